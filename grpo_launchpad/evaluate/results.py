"""Verdicts to numbers: per model and file, with intervals over problems, by groups, and models against the first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from grpo_launchpad.evaluate.answers import KeptAnswer
from grpo_launchpad.evaluate.estimators import ks_up_to, majority_at_k, pass_at_k
from grpo_launchpad.evaluate.intervals import LEVEL, difference_interval, mean_interval
from grpo_launchpad.evaluate.problems import Problem, groups_in
from grpo_launchpad.evaluate.scoring import Verdict

ROUNDING = 1e-9
THRESHOLD = 0.5  # acc is 0 or 1; a reward function of the user's may return what lies between


@dataclass(frozen=True)
class Scored:
    """All answers of one model to one problem."""

    problem: Problem
    answers: Sequence[KeptAnswer]
    verdicts: Sequence[Verdict]

    @property
    def right(self) -> int:
        return sum(verdict.right >= THRESHOLD for verdict in self.verdicts)


def measure(scored: Sequence[Scored], *, says_answers: bool) -> dict:
    """Return the numbers of one model on one file.

    Args:
        scored: its problems, each with equally many answers.
        says_answers: whether the scorer names the answers it read, without which there is no majority.

    Returns:
        ``problems``, ``samples``; ``metrics``: name -> ``value``, ``low``, ``high`` (avg@n, which is pass@1; pass@k;
        maj@k); ``reward``: mean score; ``length``: tokens (mean, median, 95th percentile, longest); ``truncated`` and
        ``scorer_errors``: shares of all answers; ``by``: column -> value -> problems and avg.
    """
    samples = len(scored[0].answers)
    verdicts = [verdict for one in scored for verdict in one.verdicts]
    answers = [answer for one in scored for answer in one.answers]
    lengths = np.array([answer.length for answer in answers])
    by = {}
    for column in groups_in(one.problem for one in scored):
        groups: dict[str, list[Scored]] = {}
        for one in scored:
            groups.setdefault(one.problem.groups.get(column, "other"), []).append(one)
        by[column] = {
            value: {"problems": len(group), **_mean(averages(group))} for value, group in sorted(groups.items())
        }
    return {
        "problems": len(scored),
        "samples": samples,
        "metrics": {
            name: _mean(values) for name, values in values_by_problem(scored, says_answers=says_answers).items()
        },
        "reward": float(np.mean([verdict.score for verdict in verdicts])),
        "length": {
            "mean": float(lengths.mean()),
            "median": float(np.median(lengths)),
            "p95": float(np.percentile(lengths, 95)),
            "max": int(lengths.max()),
        },
        "truncated": float(np.mean([answer.truncated for answer in answers])),
        "scorer_errors": float(np.mean([verdict.failed for verdict in verdicts])),
        "by": by,
    }


def values_by_problem(scored: Sequence[Scored], *, says_answers: bool) -> dict[str, np.ndarray]:
    """Return metric -> its value for each problem."""
    samples = len(scored[0].answers)
    ks = [k for k in ks_up_to(samples) if k > 1]
    values = {f"avg@{samples}": averages(scored)}
    values |= {f"pass@{k}": np.array([pass_at_k(samples, one.right, k) for one in scored]) for k in ks}
    if says_answers and ks:
        majorities = [
            majority_at_k([verdict.answer for verdict in one.verdicts], [verdict.right for verdict in one.verdicts], ks)
            for one in scored
        ]
        values |= {f"maj@{k}": np.array([majority[k] for majority in majorities]) for k in ks}
    return values


def averages(scored: Sequence[Scored]) -> np.ndarray:
    """Return each problem's share of right answers."""
    return np.array([np.mean([verdict.right for verdict in one.verdicts]) for one in scored])


def compare(first: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> dict:
    """Return metric -> other - first over the same problems, with its interval: narrower than those of the two."""
    differences = {}
    for name in first.keys() & other.keys():
        difference = other[name] - first[name]
        differences[name] = _with_interval(difference.mean(), difference_interval(difference))
    return {name: differences[name] for name in first if name in differences}


def _mean(values: np.ndarray) -> dict:
    if np.any((values < -ROUNDING) | (values > 1 + ROUNDING)):  # a reward function of the user's: no share
        return _with_interval(values.mean(), None)
    values = np.clip(values, 0, 1)
    return _with_interval(values.mean(), mean_interval(values))


def _with_interval(value: float, interval: tuple[float, float] | None) -> dict:
    low, high = interval or (None, None)
    return {"value": float(value), "low": low, "high": high, "level": LEVEL}
