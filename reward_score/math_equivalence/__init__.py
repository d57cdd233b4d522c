r"""Whether two final answers of mathematics are the same: numbers, formulas, tuples, intervals, sets, matrices,
equations, words.

Three tiers, each far more expensive and far rarer than the one before: equal spelling or two plain numbers (4 in 5
golds of MATH); a parser of the notation that answers are written in, with exact fractions and evaluation at sample
points; computer algebra in a process of its own, for what the parser does not understand.
"""

import re
from fractions import Fraction
from functools import lru_cache

from reward_score.math_equivalence.compare import Comparison
from reward_score.math_equivalence.spelling import is_indian_number
from reward_score.math_equivalence.structure import Answer, Listing, Sequence, Union, read
from reward_score.math_equivalence.symbolic import UndecidedError

__all__ = ["UndecidedError", "equivalent"]

# The longest answer that is compared in any other way than by its spelling.
MAX_LENGTH = 100_000

_PLAIN = re.compile(
    r"(-?)\s*(?:([0-9]{1,40})(?:\.([0-9]{1,40}))?|\\[dt]?frac\s*\{\s*(-?[0-9]{1,40})\s*\}\s*\{\s*(-?[0-9]{1,40})\s*\})"
)
_WORD = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{3,}")
_NO_TEXT = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox|textrm)\b|[\s{}$~]|\\[ ,;:!]")
_LABELLED = re.compile(
    r"(?:\\(?:text|textbf|mathrm|mathbf)\{)?\(?(?P<letter>[A-J])[).]\s*\}?"
    r"(?:\s|~|\\[ ,;]|\\q?quad)*(?P<text>[^\s}.].*)",
    re.DOTALL,
)
_COMMA_GROUPS = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")


def equivalent(answer: str, gold: str) -> bool:
    """Return whether two final answers are the same. The policies stand in ``compare``.

    Args:
        answer: the answer alone, as LaTeX or plain text, not the response around it.
        gold: the reference answer; its form decides what is asked for.

    Raises:
        UndecidedError: if only computer algebra could tell and it did not answer in time.
    """
    answer, gold = answer.strip(" \n"), gold.strip(" \n")  # a tab may be the beginning of a broken \\text
    if not answer or not gold:
        return False
    if answer == gold:
        return True
    value, gold_value = _plain_number(answer), _plain_number_of_gold(gold)
    if value is not None and gold_value is not None and (value == gold_value or len(answer) < 10):
        return value == gold_value
    if len(answer) > MAX_LENGTH or len(gold) > MAX_LENGTH:
        return False
    if _WORD.search(gold) and _as_text(answer) == _as_text(gold):
        return True
    label = _LABELLED.fullmatch(answer)
    if label:  # \textbf{(C)} 12
        answer = label["letter"] if len(gold) == 1 else label["text"]
    comparison = Comparison()
    gold_answer = _read_gold(gold)
    if comparison.same(read(answer), gold_answer):
        return True
    if isinstance(gold_answer, Listing | Sequence | Union) and _COMMA_GROUPS.search(answer + " " + gold):
        # 81,256 may also be two numbers
        return comparison.same(read(_COMMA_GROUPS.sub(", ", answer)), _read_gold(_COMMA_GROUPS.sub(", ", gold)))
    if gold_value is not None and is_indian_number(answer):
        return int(answer.strip(" $").replace(",", "")) == gold_value
    return False


def _as_text(answer: str) -> str:
    """Return an answer without text commands, dollar signs, spaces, punctuation at its ends, and capital letters."""
    return _NO_TEXT.sub("", answer).strip(".,;:!").lower()


def _plain_number(text: str) -> Fraction | None:
    match = _PLAIN.fullmatch(text)
    if match is None:
        return None
    sign, whole, decimals, top, bottom = match.groups()
    if whole is None:
        if int(bottom) == 0:
            return None
        value = Fraction(int(top), int(bottom))
    elif decimals is None:
        value = int(whole)
    else:
        value = Fraction(int(whole + decimals), 10 ** len(decimals))
    return -value if sign else value


@lru_cache(maxsize=16384)
def _plain_number_of_gold(gold: str) -> Fraction | None:
    return _plain_number(gold)


@lru_cache(maxsize=4096)
def _read_gold(gold: str) -> Answer:
    return read(gold)
