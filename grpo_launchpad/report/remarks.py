"""Remarks on a run that a reader would otherwise have to find in the numbers, each with its evidence."""

import math
import re
from dataclasses import dataclass

from grpo_launchpad.runs.folder import RunFolder

from .run_folder import Run
from .samples import Group
from .summary import (
    DIVERGENCE,
    DIVERGENCE_LIMIT,
    PROBS_DIFF,
    PROBS_DIFF_LIMIT,
    SCORER_ERROR,
    TRAINING,
    accuracies,
    extra_values,
)

CLIP_RATIO_LIMIT = 0.5
ENTROPY_COLLAPSE = 0.1  # fraction of the first entropy
FAILURES_SHOWN = 3  # kinds of failure of an attempt
_FAILURE = re.compile(rb"scorer_error: (.{1,600}?); it counts as 0")  # as reward_score logs it


@dataclass(frozen=True)
class Remark:
    level: str  # "bad", "warn" or "info"
    text: str


def remarks(run: Run, summary: dict, groups: list[Group]) -> list[Remark]:
    """Everything worth saying about the run, the worst first. `groups` are those of the last training step."""
    found = [
        *_ending(run, summary),
        *_not_a_number(run),
        *_accuracy(run, summary),
        *_reward_spread(run, groups),
        *_scorer_errors(run),
        *_clipping(run),
        *_agreement(run),
        *_entropy(run),
        *_resumes(run),
        *_gaps(run),
    ]
    return sorted(found, key=lambda remark: ("bad", "warn", "info").index(remark.level))


def _ending(run: Run, summary: dict):
    if not summary["steps"]:
        yield Remark("bad", "no training step was finished: there is nothing to judge the training by")
    if summary["status"] in ("failed", "interrupted"):
        last = run.attempts[-1]
        level = "bad" if summary["status"] == "failed" else "warn"
        how = (
            "has no end line: it was killed, or is still running"
            if last.exit_code is None
            else f"ended with exit code {last.exit_code}"
        )
        yield Remark(level, f"attempt {last.number} {how}; its last lines are in log.{last.number}.txt")


def _not_a_number(run: Run):
    steps_of: dict[str, list[int]] = {}
    for step, values in run.metrics.items():
        for metric, value in values.items():
            if not math.isfinite(value):
                steps_of.setdefault(metric, []).append(step)
    together: dict[str, list[str]] = {}  # one bad step spoils many metrics at once
    for metric, steps in steps_of.items():
        together.setdefault(_steps(steps), []).append(metric)
    for steps, metrics in together.items():
        yield Remark("bad", f"NaN in {', '.join(metrics)} at {steps}")


def _accuracy(run: Run, summary: dict):
    measured = accuracies(run)
    if not measured:
        yield Remark("warn", "no held-out accuracy was measured: rewards alone do not show that the model learned")
    elif len(measured) == 1:
        yield Remark("warn", f"held-out accuracy was measured once, at step {min(measured)}: nothing to compare with")
    elif min(measured) > 0:
        yield Remark("info", f"the first accuracy is that of step {min(measured)}, not of the model before training")
    before, after = summary["accuracy_before"], summary["accuracy_after"]
    if before is not None and after is not None and after < before:
        yield Remark("bad", f"held-out accuracy fell from {before:.1%} to {after:.1%}")


def _reward_spread(run: Run, groups: list[Group]):
    flat = [
        step
        for step, values in run.metrics.items()
        if values.get("critic/rewards/max", math.nan) == values.get("critic/rewards/min", math.nan)
    ]
    if flat:
        yield Remark(
            "warn",
            f"reward std is zero in {_count(flat)}: every answer got the same reward, so there was nothing to learn"
            f" from ({_steps(flat)})",
        )
    equal = sum(not group.has_spread for group in groups)
    if equal > len(groups) / 2:
        yield Remark(
            "info",
            f"{equal} of {len(groups)} groups of the last step have equal scores and teach nothing:"
            " the prompts are too easy or too hard for this model by now",
        )


def _scorer_errors(run: Run):
    measured = extra_values(run)
    for name, answers in ((SCORER_ERROR, "held-out answers"), (SCORER_ERROR + TRAINING, "training answers")):
        shares = {step: share for step, share in measured.get(name, {}).items() if share > 0}
        if shares:
            yield Remark(
                "warn",
                f"the reward could not score up to {max(shares.values()):.1%} of the {answers}"
                f" ({_steps(list(shares))}); what failed counted as 0",
            )
    for attempt in run.attempts:
        log = RunFolder(run.folder).log(attempt.number)
        if log.is_file():
            with log.open("rb") as lines:
                failures = dict.fromkeys(found[1] for found in map(_FAILURE.search, lines) if found)
            for failure in list(failures)[:FAILURES_SHOWN]:
                text = failure.decode("utf-8", errors="replace")
                yield Remark("warn", f"the reward failed in attempt {attempt.number}: {text}")


def _clipping(run: Run):
    steps, values = run.series("response_length/clip_ratio")
    clipped = [step for step, value in zip(steps, values, strict=True) if value > CLIP_RATIO_LIMIT]
    if clipped:
        yield Remark(
            "warn",
            f"response clip ratio above {CLIP_RATIO_LIMIT} in {_count(clipped)} (highest {max(values):.2f}):"
            " max_response_length may be too small",
        )


def _agreement(run: Run):
    measures = (
        ("probability difference", PROBS_DIFF, PROBS_DIFF_LIMIT),
        ("divergence (k3)", DIVERGENCE, DIVERGENCE_LIMIT),
    )
    for name, metric, limit in measures:
        steps, values = run.series(metric)
        apart = [step for step, value in zip(steps, values, strict=True) if value > limit]
        if apart:
            yield Remark(
                "warn",
                f"{name} above {limit} in {_count(apart)} (highest {max(values):.4f},"
                f" {_steps(apart)}): the rollout engine and the trainer disagree about the policy",
            )


def _entropy(run: Run):
    steps, values = run.series("actor/entropy")
    if len(values) > 1 and values[0] > 0 and values[-1] < ENTROPY_COLLAPSE * values[0]:
        yield Remark(
            "info",
            f"entropy fell from {values[0]:.3g} (step {steps[0]}) to {values[-1]:.3g} (step {steps[-1]}):"
            " the model hardly explores any more",
        )


def _resumes(run: Run):
    for attempt in run.attempts:
        if attempt.steps and attempt is not run.attempts[0]:
            how = "resumed" if attempt.steps[0] > 1 else "started over"
            yield Remark("info", f"{how} at step {attempt.steps[0]} (attempt {attempt.number})")
    if run.abandoned_steps:
        yield Remark(
            "info",
            f"{_count(run.abandoned_steps)} trained by an earlier attempt and lost when a later one resumed"
            f" before them ({_steps(run.abandoned_steps)}); not counted",
        )


def _gaps(run: Run):
    if run.missing:
        yield Remark("info", f"missing, so what it would show is left out: {', '.join(run.missing)}")
    if run.unreadable:
        shown = "; ".join(run.unreadable[:5])
        more = f" and {len(run.unreadable) - 5} more" if len(run.unreadable) > 5 else ""
        yield Remark("info", f"unreadable lines were skipped, such as a killed process leaves: {shown}{more}")


def _count(steps: list[int]) -> str:
    return f"{len(steps)} step{'s' if len(steps) > 1 else ''}"


def _steps(steps: list[int]) -> str:
    if len(steps) == 1:
        return f"step {steps[0]}"
    shown = ", ".join(map(str, steps[:5]))
    return f"steps {shown}" + (f" and {len(steps) - 5} more" if len(steps) > 5 else "")
