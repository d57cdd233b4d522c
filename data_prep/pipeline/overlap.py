"""Which prompts are the same, or nearly: among the rows of a split, and between training and held-out problems."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

# GPT-3's search for test problems in its training pages used runs of 13 words (arXiv:2005.14165, appendix C); here a
# single problem is compared with another, and many have fewer words than that.
NGRAM = 8
NEARLY_ALL = 0.8
# A run of words in more held-out problems than this is a turn of phrase.
COMMON = 20
WORDS = re.compile(r"\w+|[^\w\s]")
# The code of a drawing in MATH: its words are much the same from problem to problem.
DRAWING = re.compile(r"\[asy\].*?\[/asy\]", re.DOTALL)
# How many digests are looked at together when duplicates are searched for; 24 bytes each.
DIGESTS_AT_ONCE = 1 << 18
DIGEST_BYTES = 8


def digest(question: str, images: Sequence[bytes] = ()) -> int:
    """Return 63 bits that stand for a prompt. White space makes no difference.

    Among ten million different prompts the odds that any two share a digest are 1 to 180,000.
    """
    state = hashlib.blake2b(" ".join(question.split()).encode(), digest_size=DIGEST_BYTES)
    for image in images:
        state.update(hashlib.blake2b(image).digest())
    return int.from_bytes(state.digest()) >> 1


def ngrams(question: str) -> set[str]:
    """Return the runs of eight words and marks in a question, in lower case and without drawings."""
    words = WORDS.findall(DRAWING.sub(" ", question).lower())
    return {" ".join(words[i : i + NGRAM]) for i in range(max(1, len(words) - NGRAM + 1))} if words else set()


class HeldOut:
    """The problems of held-out splits, to be compared with those that are trained on. Grows with their number.

    Attributes:
        names: how each problem is called in messages.
    """

    def __init__(self, problems: Iterable[tuple[str, str, Sequence[bytes]]]):
        """Index problems, each given as (name, question, images)."""
        self.names: list[str] = []
        self._by_digest: dict[int, int] = {}
        having: dict[str, list[int]] = {}
        for number, (name, question, images) in enumerate(problems):
            self.names.append(name)
            self._by_digest.setdefault(digest(question, images), number)
            # With images, the text alone ("Find x.") says little about the problem.
            for run in () if images else ngrams(question):
                having.setdefault(run, []).append(number)
        self._by_ngram = {run: numbers for run, numbers in having.items() if len(numbers) <= COMMON}
        self._runs = Counter(chain.from_iterable(self._by_ngram.values()))

    def same(self, question: str, images: Sequence[bytes]) -> str | None:
        """Return the name of the held-out problem that is this one, or None."""
        number = self._by_digest.get(digest(question, images))
        return None if number is None else self.names[number]

    def nearly(self, question: str) -> tuple[str, float] | None:
        """Return (name, share) of the held-out problem of which the most is in this question, or None if that is less
        than four fifths of its runs of words. Runs that many problems have do not count."""
        shared = Counter(number for run in ngrams(question) for number in self._by_ngram.get(run, ()))
        share, number = max(((count / self._runs[n], -n) for n, count in shared.items()), default=(0.0, 0))
        return (self.names[-number], share) if share >= NEARLY_ALL else None


def repeated(digest_files: Iterable[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows have the digest of an earlier row, and the first row that has it.

    Memory is bounded by the number of repeated rows, whatever the number of rows: digests are compared class by class,
    and each pass reads all files.

    Args:
        digest_files: files of little-endian 64-bit digests, in the order of the rows.

    Returns:
        positions of the repeated rows, ascending, and of their first ones, counted over all files from 0; both int64
        of shape (repeated rows,).
    """
    files = [(file, file.stat().st_size // DIGEST_BYTES) for file in digest_files]
    classes = -(-sum(length for _, length in files) // DIGESTS_AT_ONCE)
    again, first = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for remainder in range(classes):
        digests, positions = _of_class(files, remainder, classes)
        order = np.argsort(digests, kind="stable")  # stable: equal digests stay in the order of their rows
        ordered = digests[order]
        starts_group = np.ones(len(ordered), bool)
        starts_group[1:] = ordered[1:] != ordered[:-1]
        group_start = np.maximum.accumulate(np.where(starts_group, np.arange(len(ordered)), 0))
        again.append(positions[order[~starts_group]])
        first.append(positions[order[group_start[~starts_group]]])
    by_position = np.argsort(np.concatenate(again))
    return np.concatenate(again)[by_position], np.concatenate(first)[by_position]


def _of_class(files: Iterable[tuple[Path, int]], remainder: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the digests that leave this remainder, and their positions."""
    digests, positions, offset = [], [], 0
    for file, length in files:
        for begin in range(0, length, DIGESTS_AT_ONCE):
            block = np.fromfile(file, "<i8", DIGESTS_AT_ONCE, offset=begin * DIGEST_BYTES)
            (chosen,) = np.nonzero(block % classes == remainder)
            digests.append(block[chosen])
            positions.append(chosen + offset + begin)
        offset += length
    return np.concatenate(digests), np.concatenate(positions)
