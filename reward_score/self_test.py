"""Does the reward know a data set's own answers? To be asked before a run, since a wrong answer to it ruins the run.

For each row, its own ground truth written as a response must be right (``acc`` 1.0), and the different ground truth of
another row must be wrong (``acc`` 0.0). Two ground truths can be one answer in two spellings, so a row fails only if it
takes the ground truths of two other rows for right.
"""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations

from reward_score.composition import Sample, plain_truth
from reward_score.configuration import check_configuration, options_of
from reward_score.countdown import MAX_DIGITS, puzzle
from reward_score.data_sources import SCORERS
from reward_score.ground_truth import opened

# How many other rows are looked at for a different ground truth.
LOOKED_AT = 50
LONGEST_SHOWN = 80
WRONG_FORM = "it is empty, or not of the form that the task needs"
# Steps of the search for a Countdown equation: enough to try all that five numbers can become, and 0.3 s at most.
SOLVER_STEPS = 100_000
SOLVER_NUMBERS = 8


@dataclass(frozen=True)
class Row:
    """What a row says about its answer; ``number`` is how the row is called in the result."""

    number: int
    data_source: str
    ground_truth: object


@dataclass(frozen=True)
class Failure:
    """A row whose ground truth the reward does not judge as it should."""

    number: int
    data_source: str
    gold: str
    reason: str

    def __str__(self) -> str:
        return f"row {self.number} ({self.data_source}, gold {self.gold}): {self.reason}"


@dataclass
class Result:
    """What the self-test found.

    Attributes:
        tested: how many rows were tested.
        untested: (data source, why its rows could not be tested) -> how many rows.
        failures: the rows that failed, in their order.
    """

    tested: int = 0
    untested: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)


class UnsolvedError(ValueError):
    """A puzzle's solution, which its ground truth does not hold, was not found within the limits."""


def self_test(
    rows: Iterable[Row],
    rewards: object = None,
    options: Mapping[str, object] | None = None,
    tick: Callable[[], object] = lambda: None,
) -> Result:
    """Test the reward on a data set's own ground truths. The same rows give the same result.

    Args:
        rows: the data set.
        rewards: the composition of the run.
        options: the task scorers' options of the run.
        tick: called once a row.

    Raises:
        UnknownDataSourceError: for rows without a scorer.
        ValueError: if the composition or the options are wrong.
    """
    rows = list(rows)
    composition = check_configuration([row.data_source for row in rows], rewards, options)
    by_source: dict[str, list[Row]] = {}
    for row in rows:
        by_source.setdefault(row.data_source, []).append(row)
    result = Result()
    for source, group in by_source.items():
        if SCORERS[source] in UNTESTABLE:
            result.untested[source, UNTESTABLE[SCORERS[source]]] = len(group)
            continue
        own = options_of(source, options or {})
        written = [_written(source, row.ground_truth) for row in group]
        for row, response, others in zip(group, written, _other_responses(group, written), strict=True):
            tick()
            if isinstance(response, UnsolvedError):
                result.untested[source, str(response)] += 1
                continue

            def scored(text: str, truth: object = row.ground_truth) -> dict[str, float]:
                return composition.score(Sample(source, text, truth, own))  # noqa: B023

            reason = _reason(response, others, scored)
            if reason:
                result.failures.append(Failure(row.number, source, shown(row.ground_truth), reason))
            result.tested += 1
    result.failures.sort(key=lambda failure: failure.number)
    return result


def as_response(data_source: str, ground_truth: object) -> str:
    """Write a ground truth as the response that a model would give.

    Raises:
        UnsolvedError: if the response has to be searched for and was not found within the limits.
        ValueError: if the task has no such response, see ``UNTESTABLE``, or the ground truth has not the task's form.
    """
    task = SCORERS[data_source]
    if task in UNTESTABLE:
        raise ValueError(UNTESTABLE[task])
    try:
        return WRITERS[task](plain_truth(ground_truth))
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(WRONG_FORM) from error


def shown(value: object) -> str:
    """Return a value for a message: on one line, without control characters, and long ones without their middle."""
    text = "".join(character if character.isprintable() else "?" for character in repr(value))
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN // 2]}...{text[-LONGEST_SHOWN // 2 :]}"


def _reason(response: str | ValueError, others: Sequence[str], scored: Callable[[str], dict[str, float]]) -> str | None:
    if isinstance(response, ValueError):
        return f"its ground truth cannot be written as a response: {response}"
    result = scored(response)
    if result["scorer_error"]:
        return "scoring its own gold failed; the log has the reason"
    if result["acc"] != 1.0:
        return f"its own gold scores acc {result['acc']:g} as {shown(response)}"
    taken = 0
    for other in others:
        if scored(other)["acc"] == 0.0:
            return None
        taken += 1
    return f"the gold of another row scores acc 1 as well: {shown(others[-1])}" if taken else None


def _other_responses(group: Sequence[Row], written: Sequence[str | ValueError]) -> Iterable[list[str]]:
    """Yield for each row the responses of up to two others that have different ground truths."""
    keys = [_key(row.ground_truth) for row in group]
    order = list(range(len(group)))
    random.Random(0).shuffle(order)
    place = {index: at for at, index in enumerate(order)}
    for index in range(len(group)):
        found: dict[str, str] = {}
        for step in range(1, min(LOOKED_AT, len(order) - 1) + 1):
            other = order[(place[index] + step) % len(order)]
            response = written[other]
            if keys[other] != keys[index] and response != written[index] and isinstance(response, str):
                found.setdefault(keys[other], response)
            if len(found) == 2:
                break
        yield list(found.values())


def _written(data_source: str, ground_truth: object) -> str | ValueError:
    try:
        return as_response(data_source, ground_truth)
    except ValueError as error:
        return error


def _key(ground_truth: object) -> str:
    """Return a text that equal ground truths share; case, spaces and the form of a number make no difference."""
    truth = opened(plain_truth(ground_truth))
    if not isinstance(truth, str):
        return json.dumps(truth, sort_keys=True, default=_as_json)
    text = "".join(truth.split()).casefold().replace(",", "")
    try:
        return text if "e" in text else str(Fraction(text))  # 1e999999999 would take all memory
    except (ValueError, ZeroDivisionError):
        return text


def _as_json(value: object) -> object:
    return value.tolist() if hasattr(value, "tolist") else str(value)  # parquet gives arrays


def _text(truth: object) -> str:
    if not isinstance(truth, str) or not truth.strip():
        raise ValueError(WRONG_FORM)
    return truth


def _value(truth: object, key: str) -> object:
    """Return what a structured ground truth holds under a key; one that is not structured is that value itself."""
    structured = opened(truth)
    return structured[key] if isinstance(structured, Mapping) else truth


def _accepted(truth: object) -> str:
    """Return the first of the answers that a search question accepts."""
    answers = opened(truth)
    answers = answers["target"] if isinstance(answers, Mapping) else answers
    return _text(answers if isinstance(answers, str) else answers[0])


def _in_tags(answer: str) -> str:
    return f"<think>\nThe answer is clear.\n</think>\n<answer>\n{answer}\n</answer>"


def _equation(truth: object) -> str:
    """Return an equation that solves a Countdown puzzle.

    Raises:
        UnsolvedError: if none was found within the limits.
        ValueError: if there is none, or the puzzle has another form.
    """
    target, numbers = puzzle(truth)
    if len(numbers) > SOLVER_NUMBERS or any(abs(number) >= 10**MAX_DIGITS for number in numbers):
        raise UnsolvedError(f"not solved: more than {SOLVER_NUMBERS} numbers, or one of more than {MAX_DIGITS} digits")
    searched: set[tuple[Fraction, ...]] = set()
    steps = 0

    def found(numbers: list[tuple[Fraction, str]]) -> str | None:
        nonlocal steps
        steps += 1
        if steps > SOLVER_STEPS:
            raise UnsolvedError(f"not solved within {SOLVER_STEPS:,} steps")
        values = tuple(sorted(value for value, _ in numbers))
        if len(values) <= 1 or values in searched:
            return numbers[0][1] if values == (target,) else None
        searched.add(values)
        for (i, first), (j, second) in combinations(enumerate(numbers), 2):
            rest = [number for at, number in enumerate(numbers) if at not in (i, j)]
            for result in _results(first, second):
                if equation := found([*rest, result]):
                    return equation
        return None

    equation = found([(Fraction(number), str(number)) for number in numbers])
    if equation is None:
        raise ValueError("its numbers do not make the target")
    return equation


def _results(first: tuple[Fraction, str], second: tuple[Fraction, str]) -> Iterable[tuple[Fraction, str]]:
    (a, left), (b, right) = first, second
    yield a + b, f"({left} + {right})"
    yield a * b, f"({left} * {right})"
    yield a - b, f"({left} - {right})"
    yield b - a, f"({right} - {left})"
    if b:
        yield a / b, f"({left} / {right})"
    if a:
        yield b / a, f"({right} / {left})"


# task -> how its ground truth is written as a response
WRITERS: dict[str, Callable[[object], str]] = {
    "gsm8k": lambda truth: f"The answer is clear.\n#### {_text(truth)}",
    "arithmetic": _text,
    "math": lambda truth: f"\\boxed{{{_text(truth)}}}",
    "geometry3k": lambda truth: f"<think>The answer is clear.</think>\\boxed{{{_text(_value(truth, 'answer'))}}}",
    "countdown": lambda truth: _in_tags(_equation(truth)),
    "kk_logic": lambda truth: _in_tags(_text(_value(truth, "solution_text_format"))),
    "multiple_choice": lambda truth: _in_tags(_text(_value(truth, "answer"))),
    "search_qa": lambda truth: _in_tags(_accepted(truth)),
}
UNTESTABLE = {
    "smoltldr": "the task has no ground truth",
    "code_tests": "its ground truth is a set of tests, not a solution",
}
