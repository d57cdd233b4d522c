"""GSM8K: the number after the last ``####`` must equal the ground truth, as a number.

Two rules, as in verl's ``verl/utils/reward_score/gsm8k.py``. "flexible": a response without ``#### <number>`` is judged
by its last number. "strict": such a response is wrong. Both differ from verl's in that numbers are compared by value
(``$1,000.00`` is 1000), in that an answer line with two numbers is a hedge and counts as wrong, and in that only what
follows ``</think>`` is read.
"""

import re
from fractions import Fraction

from reward_score.extraction import answer_region

# The answer stands at the end; a bounded tail bounds the time whatever the model writes.
TAIL = 1000

_DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+"
# A minus is a sign only where nothing stands before it that it could be subtracted from; "x2" holds no number.
NUMBER = re.compile(
    r"(?<![\w.±])(?P<sign>(?<![)\]}])[-+−])?\\?\$?"
    rf"(?P<top>{_DIGITS})(?P<power>[eE][-+]?[0-9]{{1,3}}(?![0-9]))?(?:/(?P<bottom>{_DIGITS}))?"
)
# What nine in ten answer lines look like; such a number needs no search and no fraction.
PLAIN = re.compile(r"-?[0-9]{1,15}")
# After the marker only signs and brackets may precede the digits: "#### Step 2" is a heading, not an answer.
ANSWER_LINE = re.compile(r"####(?P<line>[^\w\n]{0,16}[0-9][^\n]*)")


def score(
    solution_str: str, ground_truth: str, *, format_weight: float = 0.0, method: str = "flexible"
) -> dict[str, float]:
    """Score one response. Never raises for text, and looks at its last 1,000 characters only.

    Args:
        solution_str: the decoded response, special tokens removed.
        ground_truth: a number as text. One that is no number matches nothing.
        format_weight: what a well-formed ``#### <number>`` adds to the score, right or wrong.
        method: "flexible" or "strict", see the module's text.

    Returns:
        ``acc``: 1.0 if the answer equals the ground truth, else 0.0.
        ``format``: 1.0 if the last ``####`` that a number follows has exactly one number on its line, else 0.0.
        ``score``: acc + format_weight * format, the reward.

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
        return {"score": float(correct) + format_weight, "acc": float(correct), "format": 1.0}
    tail = _tail(solution_str)
    lines = ANSWER_LINE.findall(tail)
    numbers = _numbers(lines[-1] if lines else tail)
    well_formed = bool(lines) and len(numbers) == 1
    answer = numbers[-1] if well_formed or (numbers and not lines and method == "flexible") else None
    truth = _numbers(ground_truth) if len(ground_truth) <= TAIL else []
    correct = answer is not None and len(truth) == 1 and answer == truth[0]
    return {
        "score": float(correct) + format_weight * float(well_formed),
        "acc": float(correct),
        "format": float(well_formed),
    }


def _tail(text: str) -> str:
    """Return the last characters of a text, without the word that the cut would leave as a piece."""
    if len(text) <= TAIL:
        return text
    return re.sub(r"\A\S+", "", text[-TAIL:])


def _numbers(text: str) -> list[Fraction | None]:
    """Return the numbers in a text, exactly; None stands for a division by zero."""
    return [_value(match) for match in NUMBER.finditer(text)]


def _value(match: re.Match) -> Fraction | None:
    top = Fraction(match["top"].replace(",", "") + (match["power"] or ""))
    bottom = Fraction(match["bottom"].replace(",", "")) if match["bottom"] else Fraction(1)
    if bottom == 0:
        return None
    return -top / bottom if match["sign"] in ("-", "−") else top / bottom
