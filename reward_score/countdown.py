r"""Countdown: combine the given numbers, each exactly once, with + - * / and parentheses into the target.

The equation is what stands in the last closed ``<answer>...</answer>`` after the thoughts, for example
``<answer>(44 - 19) * 2 = 50</answer>``; the tail ``= 50`` may be absent. Values are as in TinyZero's
``verl/utils/reward_score/countdown.py``: 1.0 for a right equation, 0.1 for a well-formed one that is wrong, else 0.0.

Policies, where TinyZero differs:

- The equation is parsed and computed in exact fractions, nothing is evaluated as Python. TinyZero calls ``eval`` (so
  ``9**9**9**9`` hangs it) and takes 1e-5 beside the target as equal.
- Well-formed means that it parses as such an equation. TinyZero gives 0.1 to anything between the tags, so an empty
  pair of tags earns it there and nothing here.
- ``= 50`` at the end must be true. TinyZero counts every answer with ``=`` as wrong.
- One answer, one equation: a list of equations does not parse.
- Numbers are whole, as the given ones are. ``×``, ``÷``, ``−``, ``\times``, ``\cdot`` and ``\div`` are operators too.
"""

import ast
import operator
import re
from collections import Counter
from fractions import Fraction

from reward_score.extraction import answer_region, tagged
from reward_score.ground_truth import opened
from reward_score.vote import NO_ANSWER, as_vote

# An equation has a few short numbers; the limits bound the parser and the size of the fractions.
MAX_LENGTH = 500
MAX_DEPTH = 60
MAX_DIGITS = 18

WELL_FORMED = 0.1

_EQUATION = re.compile(r"(?P<expression>[0-9+\-*/()\s]+)(?:=\s*(?P<tail>-?\s*[0-9]+)\s*)?")
# Delimiters of mathematics, of code and of bold text around the equation.
_DELIMITED = re.compile(
    r"\$\$([^$]*)\$\$|\$([^$]*)\$|\\\((.*)\\\)|\\\[(.*)\\\]|\\boxed\{([^{}]*)\}|```[a-z]*\n([^`]*)```|`([^`]*)`|\*\*(.*)\*\*",
    re.DOTALL,
)
_NUMBER = re.compile(r"[0-9]+")
_OPERATIONS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
_SPELLINGS = {
    "×": "*",
    "÷": "/",
    "−": "-",
    "\\times": "*",
    "\\cdot": "*",
    "\\div": "/",
    "\\left": "",
    "\\right": "",
    "·": "*",
    "⋅": "*",
}


class _NotAnEquationError(ValueError):
    """The text is not an arithmetic expression within the limits."""


def score(solution_str: str, ground_truth: object) -> dict[str, float | str]:
    """Score one response.

    Args:
        solution_str: the decoded response.
        ground_truth: ``{"target": whole number, "numbers": whole numbers}``, also as JSON text or with numpy values.

    Returns:
        ``acc``: 1.0 if the equation uses every number exactly once and equals the target, else 0.0.
        ``format``: 1.0 if the answer is a well-formed equation, else 0.0.
        ``score``: 1.0 if right, 0.1 if only well-formed, else 0.0.
        ``pred``: the equation without spaces, "" if there is none.

    Raises:
        ValueError: if the ground truth has another form.
    """
    target, numbers = puzzle(ground_truth)
    answer = tagged(answer_region(solution_str) or "", "answer")
    try:
        tree, tail = _parse(answer or "")
    except _NotAnEquationError:
        return {"score": 0.0, "acc": 0.0, "format": 0.0, "pred": NO_ANSWER}
    right = Counter(_numbers(tree)) == Counter(numbers) and tail in (None, target) and _equals(tree, target)
    return {"score": 1.0 if right else WELL_FORMED, "acc": float(right), "format": 1.0, "pred": as_vote(answer)}


def puzzle(ground_truth: object) -> tuple[int, list[int]]:
    """Return a ground truth's target and numbers.

    Raises:
        ValueError: if it has another form.
    """
    try:
        truth = opened(ground_truth)
        return _whole(truth["target"]), [_whole(number) for number in truth["numbers"]]
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"ground truth {str(ground_truth)[:200]!r}: countdown needs {{'target': 98, 'numbers': [44, 19, 35]}}"
        ) from error


def _whole(value: object) -> int:
    number = int(value)
    if number != value:
        raise ValueError(f"{value!r} is not a whole number")
    return number


def _parse(answer: str) -> tuple[ast.expr, int | None]:
    """Return the expression and the number after the equals sign, which may be absent.

    Raises:
        _NotAnEquationError: if the answer is anything else.
    """
    if len(answer) > MAX_LENGTH:
        raise _NotAnEquationError
    answer = answer.strip()
    for _ in range(3):
        delimited = _DELIMITED.fullmatch(answer.rstrip(". "))
        if delimited is None:
            break
        answer = next(group for group in delimited.groups() if group is not None).strip()
    answer = answer.rstrip(". ")
    for spelling, sign in _SPELLINGS.items():
        answer = answer.replace(spelling, sign)
    equation = _EQUATION.fullmatch(answer.strip())
    if not equation or any(len(digits) > MAX_DIGITS for digits in _NUMBER.findall(answer)):
        raise _NotAnEquationError
    try:
        tree = ast.parse(" ".join(equation["expression"].split()), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise _NotAnEquationError from error
    _check(tree, MAX_DEPTH)
    tail = equation["tail"]
    return tree, int("".join(tail.split())) if tail else None


def _check(node: ast.expr, depth: int) -> None:
    """Raise _NotAnEquationError unless the tree holds whole numbers and the four operations only, not too deep."""
    match node:
        case _ if depth == 0:
            raise _NotAnEquationError
        case ast.Constant(value=int()):
            pass
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            _check(operand, depth - 1)
        case ast.BinOp(left=left, op=operation, right=right) if type(operation) in _OPERATIONS:
            _check(left, depth - 1)
            _check(right, depth - 1)
        case _:
            raise _NotAnEquationError


def _numbers(tree: ast.expr) -> list[int]:
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]


def _equals(tree: ast.expr, target: int) -> bool:
    try:
        return _value(tree) == target
    except ZeroDivisionError:
        return False


def _value(node: ast.expr) -> Fraction:
    """Return the exact value of a checked tree.

    Raises:
        ZeroDivisionError: if it divides by zero.
    """
    match node:
        case ast.Constant(value=number):
            return Fraction(number)
        case ast.UnaryOp(operand=operand):
            return -_value(operand)
        case ast.BinOp(left=left, op=operation, right=right):
            return _OPERATIONS[type(operation)](_value(left), _value(right))
    raise AssertionError(f"unchecked node {node!r}")
