"""GSM8K: the number after the last ``####`` must equal the ground truth, as a number.

Two rules, as in verl's ``verl/utils/reward_score/gsm8k.py``. "flexible": a response without ``#### <number>`` is judged
by what stands in ``<answer>``, in its last box or in a statement of its answer, else by its last number. "strict": such
a response is wrong. Both differ from verl's in that numbers are compared by value (``$1,000.00`` is 1000),
in that an answer line with two numbers is a hedge and counts as wrong, and in that only what follows ``</think>`` is
read.
"""

import re
from fractions import Fraction

from reward_score.extraction import (
    FULL_WIDTH,
    NO_WORD_BEFORE,
    answer_in_tags,
    answer_region,
    has_open_box,
    last_boxed,
    stated_answer,
    value_stated,
)
from reward_score.vote import NO_ANSWER, as_vote

# The longest answer line, box or ground truth that is read; it bounds the time whatever the model writes.
TAIL = 1000

_DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+"
# A minus is a sign only where nothing stands before it that it could be subtracted from; "x2" holds no number.
NUMBER = re.compile(
    rf"{NO_WORD_BEFORE}(?<!±)(?P<sign>(?<![)\]}}])[-+−])?\\?[$€£¥]?"
    r"(?:(?P<whole>[0-9]{1,9})\s+(?=[0-9]{1,9}/[0-9]{1,9}(?![0-9/])))?"
    rf"(?P<top>{_DIGITS})(?P<power>[eE][-+]?[0-9]{{1,3}}(?![0-9]))?(?:/(?P<bottom>{_DIGITS}))?"
    r"(?:[\s-]?(?P<scale>dozen|hundred|thousand|million|billion|trillion|[百千万亿](?![克米瓦卡]))s?(?![a-zA-Z])|(?P<letter>[kKMB]|bn|mn)(?![a-zA-Z])"
    r"|[\s-]?(?P<part>halves|thirds|fifths|tenths|hundredths|thousandths|squared|cubed)\b(?!\s+of))?"
)
_SCALES = {
    **{"dozen": 12, "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12},
    **{
        "百": 100,
        "千": 1000,
        "万": 10**4,
        "亿": 10**8,
        "k": 1000,
        "K": 1000,
        "M": 10**6,
        "B": 10**9,
        "mn": 10**6,
        "bn": 10**9,
    },
}
# What nine in ten answer lines look like; such a number needs no search and no fraction.
PLAIN = re.compile(r"-?[0-9]{1,15}")
# After the marker only signs and brackets may precede the digits: "#### Step 2" is a heading, not an answer.
ANSWER_LINE = re.compile(r"####(?P<line>[^\w\n]{0,16}(?:(?:Rs\.?|USD|EUR|Answer:)\s*\$?|[dt]?frac\s*\{)?[0-9][^\n]*)")
_FRACTION = re.compile(r"\\[dt]?frac\s*\{([0-9]+)\}\s*\{([0-9]+)\}")
# Full-width forms and fractions of one character.
_COMMON = FULL_WIDTH | {
    ord(character): f" {value[0]}/{value[1]}"
    for character, value in zip("½⅓⅔¼¾", ("12", "13", "23", "14", "34"), strict=True)
}
# How many markers without a number may follow the answer's.
HEADINGS = 100
_SPACED = re.compile(r"(\W*[0-9]{1,3})((?: [0-9]{3})+)(?![0-9])(?=[^0-9]*\Z)")
_TEXT = re.compile(r"\\(?:text|mathrm|mbox)\{([^{}]*)\}|\\[$%,! ]|[$*]")
_DENIED = re.compile(r"\b(?:not|never|no|or|wrong|maybe|than|least|most)\b|n['’]t\b", re.IGNORECASE)


def score(
    solution_str: str, ground_truth: str, *, format_weight: float = 0.0, method: str = "flexible"
) -> dict[str, float | str]:
    """Score one response. Never raises for text, in time that grows with its length.

    Args:
        solution_str: the decoded response, special tokens removed.
        ground_truth: a number as text. One that is no number matches nothing.
        format_weight: what a well-formed ``#### <number>`` adds to the score, right or wrong.
        method: "flexible" or "strict", see the module's text.

    Returns:
        ``acc``: 1.0 if the answer equals the ground truth, else 0.0.
        ``format``: 1.0 if the last ``####`` that a number follows has exactly one number on its line, else 0.0.
        ``score``: acc + format_weight * format, the reward.
        ``pred``: the number that the response gives, "" if it gives none.

    Raises:
        ValueError: if the method is unknown.
    """
    if method not in ("flexible", "strict"):
        raise ValueError(f"method={method!r}: write 'flexible' or 'strict'")
    if "think>" in solution_str:
        solution_str = answer_region(solution_str) or ""
    marker = solution_str.rfind("####", -TAIL)
    line = solution_str[marker + 4 :].strip(" \n") if marker >= 0 else ""
    if PLAIN.fullmatch(line) and PLAIN.fullmatch(ground_truth):
        correct = int(line) == int(ground_truth)
        return {"score": float(correct) + format_weight, "acc": float(correct), "format": 1.0, "pred": str(int(line))}
    truth = _truth(ground_truth)
    if not solution_str.isascii():
        solution_str = solution_str.translate(_COMMON)
    line = _answer_line(solution_str)
    if line is not None:
        line = _FRACTION.sub(r" \1/\2", line)
        numbers = _numbers(_SPACED.sub(lambda spaced: spaced[1] + spaced[2].replace(" ", ""), line))
        well_formed = len(numbers) == 1
        answer = str(numbers[0]) if well_formed and numbers[0] is not None else as_vote(line)
        correct = well_formed and numbers[0] is not None and numbers[0] == truth
    else:
        well_formed = False
        judged = method == "flexible" and truth is not None
        correct, answer = _states(solution_str, truth) if judged else (False, NO_ANSWER)
    return {
        "score": float(correct) + format_weight * float(well_formed),
        "acc": float(correct),
        "format": float(well_formed),
        "pred": str(truth) if correct else answer,
    }


def _truth(ground_truth: str) -> Fraction | None:
    """Return the number that a ground truth is, or that follows the last ``####`` of a solution."""
    stated = ground_truth.rpartition("####")[2]
    truth = _numbers(stated) if len(stated) <= TAIL else []
    return truth[0] if len(truth) == 1 else None


def _answer_line(text: str) -> str | None:
    """Return what follows the last ``####`` that a number follows, wherever it stands."""
    position = len(text)
    for _ in range(HEADINGS):
        position = text.rfind("####", 0, position)
        if position < 0:
            return None
        match = ANSWER_LINE.match(text, position, position + TAIL)
        if match:
            return match["line"]
    return None


def _states(response: str, truth: Fraction) -> tuple[bool, str]:
    """Return whether a response without ``####`` gives this number, in tags, in its last box or in words; and what it
    gives there, as a vote."""
    tags = answer_in_tags(response)
    if tags is not None:
        value = value_stated(tags[-TAIL:])
        return _is(tags, truth) or _is(value, truth), _vote(value or tags)
    box = last_boxed(response) if "box" in response else None
    if box is not None:
        return _is(box, truth), _vote(box)
    if "\\boxed" in response and has_open_box(response):
        return False, NO_ANSWER
    stated = stated_answer(response)
    numbers = _numbers(stated) if stated is not None else []
    known = numbers != [] and numbers[-1] is not None
    return known and numbers[-1] == truth, str(numbers[-1]) if known else as_vote(stated)


def _vote(text: str) -> str:
    numbers = _numbers(text) if len(text) <= TAIL else []
    return str(numbers[0]) if len(numbers) == 1 and numbers[0] is not None else as_vote(text)


def _is(text: str | None, truth: Fraction) -> bool:
    """Return whether a text is this number, with or without words around it."""
    if text is None or len(text) > TAIL:
        return False
    plain = _TEXT.sub(lambda command: command[1] or "", text)
    numbers = _numbers(plain)
    if len(numbers) == 1 and not re.search(r"[\\{}_^!]|[0-9)]\s*[-+*/]\s*\(", plain):
        return numbers[0] == truth and not _DENIED.search(plain)
    from reward_score.math_equivalence import UndecidedError, equivalent

    try:
        return equivalent(text, f"{truth.numerator}/{truth.denominator}" if truth.denominator > 1 else str(truth))
    except (UndecidedError, ValueError):
        return False


def _numbers(text: str) -> list[Fraction | None]:
    """Return the numbers in a text, exactly; None stands for a division by zero."""
    return [_value(match) for match in NUMBER.finditer(text)]


def _value(match: re.Match) -> Fraction | None:
    top = Fraction(match["top"].replace(",", "") + (match["power"] or ""))
    bottom = Fraction(match["bottom"].replace(",", "")) if match["bottom"] else Fraction(1)
    if bottom == 0 or match["part"]:
        return None
    value = top / bottom
    if match["whole"]:
        value += int(match["whole"])
    value *= _SCALES.get(match["scale"] or match["letter"], 1)
    return -value if match["sign"] in ("-", "−") else value
