"""Search answers: exact match or token F1 with one of the accepted answers, after SQuAD's normalisation.

The answer is what stands in the last closed ``<answer>...</answer>`` after the last thought and the last search result.
Normalisation (Rajpurkar et al., arXiv 1606.05250; the official evaluation script): lower case, without ASCII
punctuation, without "a", "an" and "the", with single spaces. Exact match is the rule of Search-R1 (arXiv 2503.09516),
in verl ``verl/utils/reward_score/search_r1_like_qa_em.py``; three methods, each the best over the accepted answers::

    em      1 if the normalised texts are equal
    subem   1 if the accepted answer's words stand in the answer, one after the other
    f1      2 * P * R / (P + R), P the share of the answer's words that the accepted answer has, R the reverse

Policies:

- A response with more than 10 opening or closing ``<answer>`` tags earns a quarter of the score (verl: exact match
  only). Nothing is printed and nothing is random; verl prints 1 in 64 responses and draws from the global generator.
- Listing answers earns nothing with em, and lowers P with f1. With subem, which would pay for it, an answer is wrong
  if it is more than 10 words longer than the accepted one, or has an "or", a semicolon, a bar, a slash, a line break or
  two commas more than it. "Paris, London" still passes for "Paris", as "Paris, France" must: train with em or f1.
  Whole words count: "art" is not in "party" (it is in verl).
- A text of which normalisation leaves nothing (the letter "A", "?") is compared as it stands. In verl an empty answer
  equals it, and with subem every answer does.
"""

import re
import string
from collections import Counter
from typing import Literal

from reward_score.extraction import answer_region, tagged
from reward_score.ground_truth import opened
from reward_score.vote import LONGEST, NO_ANSWER

MANY_TAGS = 10
MANY_TAGS_SHARE = 0.25
# How much longer than the accepted answer an answer may be with subem, in words: "The capital of France is Paris".
SUBEM_EXTRA_WORDS = 10

METHODS = ("em", "subem", "f1")

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_ALTERNATIVES = (" or ", ";", "|", "/", "\n")


def score(
    solution_str: str, ground_truth: object, *, method: Literal["em", "subem", "f1"] = "em"
) -> dict[str, float | str]:
    """Score one response.

    Args:
        solution_str: the decoded response, search results included.
        ground_truth: an accepted answer, a list or array of them, or a mapping with either under ``target``; lists and
            mappings also as JSON text.
        method: "em", "subem" or "f1", see the module's text.

    Returns:
        ``acc``: 1.0 if the answer equals an accepted one, or with subem contains one, else 0.0.
        ``format``: 1.0 if there is an answer that is not empty, and not too many tags, else 0.0.
        ``score``: the F1 or acc, and a quarter of it with too many tags.
        ``pred``: the answer's words, normalised, "" if there is none.

    Raises:
        ValueError: if the method is unknown, or the ground truth has another form.
    """
    if method not in METHODS:
        raise ValueError(f"method={method!r}: write one of {', '.join(map(repr, METHODS))}")
    accepted = _accepted(ground_truth)
    region = (answer_region(solution_str) or "").rpartition("</information>")[2]
    answer = tagged(region, "answer")
    if not answer:
        return {"score": 0.0, "acc": 0.0, "format": 0.0, "pred": NO_ANSWER}
    many_tags = any(solution_str.count(tag) > MANY_TAGS for tag in ("<answer>", "</answer>"))
    words = _words(answer)
    if method == "subem":
        acc = float(any(_contains(answer, words, gold) for gold in accepted))
    else:
        acc = float(any(words == _words(gold) for gold in accepted))
    value = max(_f1(words, _words(gold)) for gold in accepted) if method == "f1" else acc
    return {
        "score": value * (MANY_TAGS_SHARE if many_tags else 1.0),
        "acc": acc,
        "format": float(not many_tags),
        "pred": " ".join(words)[:LONGEST],
    }


def normalise(text: str) -> str:
    """Return the text in lower case, without ASCII punctuation and English articles, with single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def _accepted(ground_truth: object) -> list[str]:
    try:
        answers = opened(ground_truth)
        if hasattr(answers, "keys"):
            answers = answers["target"]
        answers = [answers] if isinstance(answers, str) else list(answers)
        answers = [answer for answer in answers if answer.strip()]
    except (LookupError, TypeError, AttributeError):
        answers = []
    if not answers:
        raise ValueError(
            f"ground truth {str(ground_truth)[:200]!r}: search answers need {{'target': ['Paris', 'City of Paris']}}"
        )
    return answers


def _words(text: str) -> list[str]:
    return normalise(text).split() or [text.strip().lower()]


def _contains(answer: str, words: list[str], gold: str) -> bool:
    wanted = _words(gold)
    if len(words) > len(wanted) + SUBEM_EXTRA_WORDS or _lists_alternatives(answer.lower(), gold.lower()):
        return False
    return any(words[start : start + len(wanted)] == wanted for start in range(len(words) - len(wanted) + 1))


def _lists_alternatives(answer: str, gold: str) -> bool:
    def surplus(separator: str) -> int:
        return answer.count(separator) - gold.count(separator)

    return surplus(",") > 1 or any(surplus(separator) > 0 for separator in _ALTERNATIVES)


def _f1(words: list[str], wanted: list[str]) -> float:
    common = sum((Counter(words) & Counter(wanted)).values())
    return 2 * common / (len(words) + len(wanted))
