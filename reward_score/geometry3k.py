r"""Geometry3K (data source hiyouga/geometry3k): a number, an expression or a choice, boxed after the thoughts.

Values as in verl's ``verl/utils/reward_score/geo3k.py``::

    score = 0.9 * acc + 0.1 * format

The format is ``<think>...</think>...\boxed{...}``: the response begins with ``<think>``, and a box follows the last
``</think>``. An empty thought passes, as published. The data's instruction asks for the opening tag, so a chat template
that opens the thought itself leaves none for the response to open, and 0.1 out of reach.

The answer is the last box after the thoughts, right if ``reward_score.math_equivalence`` finds it the same as the
ground truth. Where verl differs: it reads a box within the thoughts too, and compares by mathruler's grader, for which
an empty box equals an empty ground truth and ``42\text{ or }43`` is 42.

Policies:

- Rounding is wrong by default (6.4 for 6.45, as in verl). With ``tolerance=0.01`` a plain decimal number is right
  within 1 % of the true one. It applies to plain numbers only: a rounded ``5\sqrt{2}`` stays wrong.
- Where the ground truth is a letter, or comes with choices, the letter and the choice's value are both right. Several
  letters are wrong (see ``reward_score.multiple_choice``), and so are several values, in one box or in boxes joined by
  "and", "or" or commas. A later box corrects an earlier one.
"""

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

from reward_score.extraction import answer_region, last_boxes
from reward_score.ground_truth import opened
from reward_score.math_equivalence import UndecidedError, equivalent
from reward_score.multiple_choice import choices_by_letter, chosen_letter
from reward_score.vote import as_vote

ACCURACY_WEIGHT, FORMAT_WEIGHT = 0.9, 0.1

_LETTER = re.compile(r"\(?[A-Z]\)?\.?")
_NUMBER = re.compile(
    r"(?P<decimal>[-+]?(?:[0-9]{1,15}(?:\.[0-9]{0,15})?|\.[0-9]{1,15}))\s*(?:\^\s*\{?\s*\\circ\s*\}?|\\degree|°)?"
)


def score(solution_str: str, ground_truth: object, *, tolerance: float = 0.0) -> dict[str, float | str]:
    """Score one response.

    Args:
        solution_str: the decoded response.
        ground_truth: the answer ("6.5", "2 \\sqrt { 221 }", "B"), or ``{"answer": the answer or its letter, "choices":
            the texts in order}``, also as JSON text.
        tolerance: how far a number may be off, as a share of the true one; from 0 to below 1.

    Returns:
        ``acc``: 1.0 if the answer is right, else 0.0.
        ``format``: 1.0 if the response has the form above, else 0.0.
        ``score``: 0.9 * acc + 0.1 * format.
        ``pred``: the boxed answer as a text, the ground truth if it is right, "" if there is none.
        ``scorer_error``: 1.0 if only computer algebra could tell and it gave no verdict in time; acc is 0.0 then.

    Raises:
        ValueError: if the tolerance is no such number, or the ground truth has another form.
    """
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 <= tolerance < 1:
        raise ValueError(f"tolerance={tolerance!r}: give a share of the true value from 0 to below 1, such as 0.01")
    answers = dict.fromkeys(last_boxes(answer_region(solution_str) or ""))
    well_formed = bool(answers) and solution_str.lstrip().startswith("<think>")
    acc, undecided, vote = 0.0, False, as_vote(", ".join(answers))
    try:
        truth = _read(ground_truth)
        acc = float(bool(answers) and all(_right(answer, truth, tolerance) for answer in answers))
        vote = as_vote(truth.value or min(truth.letters)) if acc else vote
    except UndecidedError:
        undecided = True
    return {
        "score": ACCURACY_WEIGHT * acc + FORMAT_WEIGHT * float(well_formed),
        "acc": acc,
        "format": float(well_formed),
        "pred": vote,
        "scorer_error": float(undecided),
    }


class _Truth(NamedTuple):
    value: str | None  # None if the ground truth is a letter without choices
    letters: set[str]
    choices: dict[str, str]


def _read(ground_truth: object) -> _Truth:
    try:
        truth = opened(ground_truth)
        if not isinstance(truth, Mapping):  # {1,2} and [1,2] are answers
            truth = {"answer": ground_truth}
        answer, choices = truth["answer"].strip(), choices_by_letter(truth.get("choices"))
        if not answer:
            raise ValueError("empty")
        if _LETTER.fullmatch(answer):
            letter = answer.strip("().")
            return _Truth(choices[letter] if choices else None, {letter}, choices)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"ground truth {str(ground_truth)[:200]!r}: geometry3k needs the answer as text, or "
            "{'answer': 'B', 'choices': ['30', '40', '60', '80']}"
        ) from error
    return _Truth(answer, {letter for letter, choice in choices.items() if equivalent(choice, answer)}, choices)


def _right(answer: str, truth: _Truth, tolerance: float) -> bool:
    letter = chosen_letter(answer, truth.choices) if truth.letters else None
    if letter is not None:
        return letter in truth.letters
    if truth.value is None:
        return False
    return equivalent(answer, truth.value) or (tolerance > 0 and _near(answer, truth.value, tolerance))


def _near(answer: str, value: str, tolerance: float) -> bool:
    found, true = _number(answer), _number(value)
    return found is not None and true is not None and abs(found - true) <= Fraction(tolerance) * abs(true)


def _number(text: str) -> Fraction | None:
    """Return the value of a plain decimal number, with or without a degree sign."""
    number = _NUMBER.fullmatch(text.strip(" $")) if len(text) <= 60 else None
    return Fraction(number["decimal"]) if number else None
