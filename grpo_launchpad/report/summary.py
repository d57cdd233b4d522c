"""The run in a few numbers, each measured by the run itself; None where it was not measured."""

import math
import re
from datetime import UTC, datetime
from statistics import fmean, median

from grpo_launchpad.health.rules import DIVERGENCE, PROBS_DIFF
from grpo_launchpad.runs import metrics

from .run_folder import Attempt, Run

INTERRUPTED_EXIT_CODES = {130, 137, 143}  # SIGINT, SIGKILL, SIGTERM
_EXTRA = re.compile(r"val-aux/(?P<data_source>.+)/(?P<name>[^/]+)/mean@\d+|(?:reward|gdpo)/(?P<trained>[^/]+)/mean")
_EXTRA_PREFIXES = ("val-aux/", "reward/", "gdpo/")
SCORER_ERROR = "scorer_error"
TRAINING = " (training)"
_NO_COMPONENTS = {"reward", "score", "acc", "acc_success_only", "num_turns", SCORER_ERROR}


def summarize(run: Run) -> dict:
    """The content of summary.json, keys in order. Accuracies are fractions, times seconds; NaN never appears."""
    before, after = accuracy_ends(run)
    _, rewards = run.series("critic/rewards/mean")
    _, probs_diff = run.series(PROBS_DIFF)
    _, divergence = run.series(DIVERGENCE)
    training_steps = run.training_steps()
    seconds = _steady_seconds(run)
    tokens = [
        run.metrics[step]["perf/total_num_tokens"] / duration
        for step, duration in seconds.items()
        if math.isfinite(run.metrics[step].get("perf/total_num_tokens", math.nan))
    ]
    return {
        "name": run.identity.get("name"),
        "model": run.identity.get("model"),
        "task": run.identity.get("task"),
        "backend": run.identity.get("backend"),
        "world_size": run.identity.get("world_size"),
        "status": _status(run),
        "attempts": len(run.attempts),
        "steps": training_steps[-1] if training_steps else 0,
        "accuracy_before": _mean(before.values()),
        "accuracy_after": _mean(after.values()),
        "accuracy_by_data_source": _by_data_source(before, after),
        "reward_first": rewards[0] if rewards else None,
        "reward_last": rewards[-1] if rewards else None,
        "startup_seconds": _startup_seconds(run),
        "step_seconds_median": median(seconds.values()) if seconds else None,
        "tokens_per_second_median": median(tokens) if tokens else None,
        "rollout_probs_diff_mean": _mean(probs_diff),
        "rollout_probs_diff_max_of_means": max(probs_diff, default=None),
        "rollout_divergence_max": max(divergence, default=None),
        "wall_seconds": _wall_seconds(run),
        "generated_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def accuracies(run: Run) -> dict[int, dict[str, float]]:
    """Held-out accuracy by step and data source, for the steps that validated."""
    found = {step: metrics.accuracies(values) for step, values in run.metrics.items()}
    return {step: values for step, values in found.items() if values}


def extra_values(run: Run) -> dict[str, dict[int, float]]:
    """What the reward returned beside its score, by name and step, averaged over the answers, then over the data sets.

    Values of training steps have "(training)" behind their name. They come from ``grpo_launchpad.reward_metrics``, or
    with GDPO from verl's legacy trainer.
    """
    found: dict[str, dict[int, list[float]]] = {}
    for step, values in run.metrics.items():
        for metric, value in values.items():
            match = metric.startswith(_EXTRA_PREFIXES) and _EXTRA.fullmatch(metric)
            if match and math.isfinite(value):
                name = match["name"] or match["trained"] + TRAINING
                found.setdefault(name, {}).setdefault(step, []).append(value)
    return {name: {step: fmean(means) for step, means in by_step.items()} for name, by_step in found.items()}


def components(run: Run) -> dict[str, dict[int, float]]:
    """The reward's components, by name and step: ``extra_values`` without the score and the verdict.

    None if correctness is all there is; that is the accuracy.
    """
    found = {
        name: values for name, values in extra_values(run).items() if name.removesuffix(TRAINING) not in _NO_COMPONENTS
    }
    return found if {name.removesuffix(TRAINING) for name in found} != {"correctness"} else {}


def accuracy_ends(run: Run) -> tuple[dict[str, float], dict[str, float]]:
    """First and last accuracy by data source. One that was measured only once is no comparison: it is the
    accuracy before when no training step came before it, the accuracy after otherwise."""
    measured = accuracies(run)
    if not measured:
        return {}, {}
    first, last = min(measured), max(measured)
    if first != last:
        return measured[first], measured[last]
    return (measured[first], {}) if first == 0 else ({}, measured[last])


def _by_data_source(before: dict[str, float], after: dict[str, float]) -> dict | None:
    names = sorted(before.keys() | after.keys())
    if len(names) < 2:
        return None
    return {name: {"before": before.get(name), "after": after.get(name)} for name in names}


def _status(run: Run) -> str | None:
    if not run.attempts or run.attempts[-1].started_at is None:
        return None
    exit_code = run.attempts[-1].exit_code
    if exit_code == 0:
        return "completed"
    return "interrupted" if exit_code is None or exit_code in INTERRUPTED_EXIT_CODES else "failed"


def _startup_seconds(run: Run) -> float | None:
    first = next((attempt for attempt in run.attempts if attempt.number == 1), None)
    if first is None or first.started_at is None or first.first_step_at is None:
        return None
    seconds = round(first.first_step_at - first.started_at, 3)
    return seconds if seconds >= 0 else None  # a negative one means two clocks, not a measurement


def _steady_seconds(run: Run) -> dict[int, float]:
    """Seconds by step, without the first step of each attempt, which warms up, unless there is no other."""
    steps, values = run.series("timing_s/step")
    seconds = {step: value for step, value in zip(steps, values, strict=True) if value > 0}
    warm_ups = {attempt.steps[0] for attempt in run.attempts if attempt.steps}
    return {step: value for step, value in seconds.items() if step not in warm_ups} or seconds


def _wall_seconds(run: Run) -> float | None:
    durations = [duration for duration in map(_attempt_seconds, run.attempts) if duration is not None]
    return round(sum(durations), 3) if durations else None


def _attempt_seconds(attempt: Attempt) -> float | None:
    end = attempt.ended_at if attempt.ended_at is not None else attempt.last_log_at
    if attempt.started_at is None or end is None or end < attempt.started_at:
        return None
    return end - attempt.started_at


def _mean(values) -> float | None:
    values = list(values)
    return fmean(values) if values else None
