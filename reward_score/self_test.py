"""Does the reward know a data set's own answers? To be asked before a run, since a wrong answer to it ruins the run.

For each row, its own ground truth written as a response must be right (``acc`` 1.0), and the different ground truth of
another row must be wrong (``acc`` 0.0). Two ground truths can be one answer in two spellings, so a row fails only if it
takes the ground truths of two other rows for right.
"""

import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from reward_score.composition import Sample, plain_truth
from reward_score.configuration import check_configuration, options_of
from reward_score.data_sources import SCORERS

# How many other rows are looked at for a different ground truth.
LOOKED_AT = 50
LONGEST_SHOWN = 80


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
        skipped: data source -> why its rows cannot be tested.
        failures: the rows that failed, in their order.
    """

    tested: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)


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
    by_source: dict[str, list[Row]] = {}
    for row in rows:
        by_source.setdefault(row.data_source, []).append(row)
    composition = check_configuration(by_source, rewards, options)
    result = Result()
    for source, group in by_source.items():
        if SCORERS[source] in UNTESTABLE:
            result.skipped[source] = UNTESTABLE[SCORERS[source]]
            continue
        own = options_of(source, options or {})
        written = [_written(source, row.ground_truth) for row in group]
        for row, response, others in zip(group, written, _other_responses(group, written), strict=True):

            def scored(text: str, truth: object = row.ground_truth) -> dict[str, float]:
                return composition.score(Sample(source, text, truth, own))  # noqa: B023

            reason = _reason(response, others, scored)
            if reason:
                result.failures.append(Failure(row.number, source, _shown(row.ground_truth), reason))
            result.tested += 1
            tick()
    result.failures.sort(key=lambda failure: failure.number)
    return result


def as_response(data_source: str, ground_truth: object) -> str:
    """Write a ground truth as the response that a model would give.

    Raises:
        KeyError: if the task has no such response, see ``UNTESTABLE``.
        ValueError: if the ground truth has not the task's form.
    """
    return WRITERS[SCORERS[data_source]](plain_truth(ground_truth))


def _reason(response: str | None, others: Sequence[str], scored: Callable[[str], dict[str, float]]) -> str | None:
    if response is None:
        return "its ground truth is empty, or not of the form that the task needs"
    result = scored(response)
    if result["scorer_error"]:
        return "scoring its own gold failed; the log has the reason"
    if result["acc"] != 1.0:
        return f"its own gold scores acc {result['acc']:g} as {_shown(response)}"
    taken = 0
    for other in others:
        if scored(other)["acc"] == 0.0:
            return None
        taken += 1
    return f"the gold of another row scores acc 1 as well: {_shown(others[-1])}" if taken else None


def _other_responses(group: Sequence[Row], written: Sequence[str | None]) -> Iterable[list[str]]:
    """Yield for each row the responses of up to two others that have different ground truths."""
    keys = [_key(row.ground_truth) for row in group]
    order = list(range(len(group)))
    random.Random(0).shuffle(order)
    place = {index: at for at, index in enumerate(order)}
    for index in range(len(group)):
        found: dict[str, str] = {}
        for step in range(1, min(LOOKED_AT, len(order) - 1) + 1):
            other = order[(place[index] + step) % len(order)]
            if keys[other] != keys[index] and written[other] not in (None, written[index]):
                found.setdefault(keys[other], written[other])
            if len(found) == 2:
                break
        yield list(found.values())


def _written(data_source: str, ground_truth: object) -> str | None:
    try:
        return as_response(data_source, ground_truth)
    except (LookupError, TypeError, ValueError, AttributeError):
        return None


def _key(ground_truth: object) -> str:
    """Return a text that equal ground truths share; case, spaces and the form of a number make no difference."""
    truth = _opened(plain_truth(ground_truth))
    if not isinstance(truth, str):
        return json.dumps(truth, sort_keys=True, default=str)
    text = "".join(truth.split()).casefold().replace(",", "")
    try:
        return str(Fraction(text))
    except (ValueError, ZeroDivisionError):
        return text


def _opened(truth: object) -> object:
    """Return a structured ground truth as lists and dicts, which parquet gives as arrays or as JSON text."""
    if isinstance(truth, str) and truth.lstrip().startswith(("{", "[")):
        try:
            return json.loads(truth)
        except (ValueError, RecursionError):
            return truth
    if isinstance(truth, Mapping):
        return {key: _opened(value) for key, value in truth.items()}
    return truth.tolist() if hasattr(truth, "tolist") else truth


def _shown(value: object) -> str:
    text = "".join(character if character.isprintable() else "?" for character in repr(value))
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN // 2]}...{text[-LONGEST_SHOWN // 2 :]}"


def _text(truth: object) -> str:
    if not isinstance(truth, str) or not truth.strip():
        raise ValueError("a text is needed")
    return truth


def _value(truth: object, key: str) -> object:
    """Return what a structured ground truth holds under a key; one that is not structured is that value itself."""
    truth = _opened(truth)
    return truth[key] if isinstance(truth, dict) else truth


def _first(truth: object) -> str:
    return _text(truth[0] if isinstance(truth, list) else truth)


def _in_tags(answer: str) -> str:
    return f"<think>\nThe answer is clear.\n</think>\n<answer>\n{answer}\n</answer>"


def _equation(truth: object) -> str:
    truth = _opened(truth)
    found = _solve([(Fraction(int(number)), str(int(number))) for number in truth["numbers"]], int(truth["target"]))
    if found is None:
        raise ValueError("the numbers do not make the target")
    return found


def _solve(numbers: list[tuple[Fraction, str]], target: int) -> str | None:
    """Return an expression that combines all numbers into the target, None if there is none."""
    if len(numbers) == 1:
        return numbers[0][1] if numbers[0][0] == target else None
    for i, (a, left) in enumerate(numbers):
        for j, (b, right) in enumerate(numbers):
            if i == j:
                continue
            rest = [number for at, number in enumerate(numbers) if at not in (i, j)]
            results = [(a - b, f"({left} - {right})")]
            if i < j:
                results += [(a + b, f"({left} + {right})"), (a * b, f"({left} * {right})")]
            if b:
                results.append((a / b, f"({left} / {right})"))
            for result in results:
                if found := _solve([*rest, result], target):
                    return found
    return None


# task -> how its ground truth is written as a response
WRITERS: dict[str, Callable[[object], str]] = {
    "gsm8k": lambda truth: f"The answer is clear.\n#### {_text(truth)}",
    "arithmetic": _text,
    "math": lambda truth: f"\\boxed{{{_text(truth)}}}",
    "geometry3k": lambda truth: f"<think>The answer is clear.</think>\\boxed{{{_text(_value(truth, 'answer'))}}}",
    "countdown": lambda truth: _in_tags(_equation(truth)),
    "kk_logic": lambda truth: _in_tags(_text(_value(truth, "solution_text_format"))),
    "multiple_choice": lambda truth: _in_tags(_text(_value(truth, "answer"))),
    "search_qa": lambda truth: _in_tags(_first(_value(truth, "target"))),
}
UNTESTABLE = {
    "smoltldr": "the task has no ground truth",
    "code_tests": "its ground truth is a set of tests, not a solution",
}
