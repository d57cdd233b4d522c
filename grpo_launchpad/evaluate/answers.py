"""The answers of one model under one sampling: a file that only grows, so that what a kill leaves is kept.

    <out>/answers/<model digest>-<sampling digest>.jsonl

The first line says what the digests stand for; each other line is one answer. A line that was cut off is dropped.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

WEIGHTS = (".safetensors", ".bin")
TOKENIZER = ("tokenizer", "vocab", "merges", "special_tokens", "added_tokens", "chat_template")


class AnswersError(Exception):
    """The answers cannot be kept; the text says why and what mends it."""


@dataclass(frozen=True)
class KeptAnswer:
    """An answer's text, its length in tokens, and whether the limit on its length ended it."""

    text: str
    length: int
    truncated: bool


class Answers:
    """Answers by problem and sample, on disk as soon as they are added."""

    def __init__(self, path: Path, about: Mapping[str, object]):
        """Read what is there, or begin the file.

        Args:
            path: of the file.
            about: the model and the sampling, for a reader.

        Raises:
            AnswersError: if it cannot be written, or another evaluation is writing it.
        """
        self.path = path
        self._answers: dict[tuple[str, int], KeptAnswer] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._read(about)
        except BlockingIOError:
            raise AnswersError(
                f"{path}: another evaluation of this model is writing it. Wait for it, or give another folder: --out"
            ) from None
        except OSError as error:
            raise AnswersError(f"{path}: {error.strerror}. Give a folder that can be written: --out") from error

    def __enter__(self) -> "Answers":
        return self

    def __exit__(self, *_) -> None:
        if not self._answers:  # a model that could not be loaded leaves nothing
            with suppress(OSError):
                self.path.unlink()
                self.path.parent.rmdir()
                self.path.parent.parent.rmdir()
        self._file.close()

    def __contains__(self, place: tuple[str, int]) -> bool:
        return place in self._answers

    def __getitem__(self, place: tuple[str, int]) -> KeptAnswer:
        return self._answers[place]

    def add(self, key: str, sample: int, answer: KeptAnswer) -> None:
        """Keep an answer.

        Raises:
            AnswersError: if the disk is full.
        """
        self._answers[key, sample] = answer
        self._write(
            {
                "problem": key,
                "sample": sample,
                "length": answer.length,
                "truncated": answer.truncated,
                "text": answer.text,
            }
        )

    def _read(self, about: Mapping[str, object]) -> None:
        self._file.seek(0)
        content = self._file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            self._file.truncate(whole)
        for line in content[:whole].splitlines():
            try:
                row = json.loads(line)
                place = row["problem"], row["sample"]
                self._answers[place] = KeptAnswer(row["text"], row["length"], row["truncated"])
            except (ValueError, LookupError, TypeError):
                continue  # the first line, and what a full disk or a crash of the machine left
        if not whole:
            self._write(dict(about))

    def _write(self, record: dict) -> None:
        try:
            # surrogates that a byte-level tokenizer may leave are escaped by json itself
            self._file.write(json.dumps(record, ensure_ascii=True).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise AnswersError(f"{self.path}: {error.strerror}. Make room; what was answered is kept.") from error


def digest_of(value: Mapping[str, object]) -> str:
    """Return a short digest of settings."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def digest_of_model(folder: Path) -> str:
    """Return a short digest of all that decides a model's answers: its weights, configuration and tokenizer.

    Raises:
        OSError: if a file cannot be read.
    """
    files = sorted(
        path
        for path in folder.iterdir()
        if path.suffix in WEIGHTS or path.name == "config.json" or path.name.startswith(TOKENIZER)
    )
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        digests = list(pool.map(_digest_of_file, files))
    return digest_of({file.name: digest for file, digest in zip(files, digests, strict=True)})


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def open_answers(folder: Path, model: Mapping[str, object], sampling: Mapping[str, object]) -> Iterator[Answers]:
    """Open the answers of a model, whose ``digest`` is known, under a sampling."""
    name = f"{model['digest']}-{digest_of(sampling)}.jsonl"
    with Answers(folder / name, {"model": model, "sampling": sampling}) as answers:
        yield answers
