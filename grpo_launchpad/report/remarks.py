"""Remarks on a run that a reader would otherwise have to find in the numbers, each with its evidence.

What is wrong with the training is told by the rules of grpo_launchpad/health; here is what the record itself lacks.
"""

from dataclasses import dataclass

from grpo_launchpad.health.history import facts_of
from grpo_launchpad.health.monitor import Monitor, examine, said_steps
from grpo_launchpad.health.rules import HANG, LEVELS
from grpo_launchpad.runs.attempts import progress_of, read_json_lines
from grpo_launchpad.runs.folder import RunFolder
from grpo_launchpad.runs.pace import duration

from .run_folder import Run
from .summary import accuracies


@dataclass(frozen=True)
class Remark:
    level: str  # "bad", "warn" or "info"
    text: str


def health(run: Run) -> Monitor:
    """Return what the health rules find in the run's metrics and logs."""
    files = RunFolder(run.folder)
    logs = [files.log(attempt.number) for attempt in run.attempts]
    return examine(run.metrics.items(), facts_of(files, run.settings), logs)


def remarks(run: Run, summary: dict) -> list[Remark]:
    """Everything worth saying about the run, the worst first."""
    found = [
        *_ending(run, summary),
        *(Remark(finding.rule.level, str(finding)) for finding in health(run).findings.values()),
        *_hangs(run),
        *_accuracy(run),
        *_resumes(run),
        *_gaps(run),
    ]
    return sorted(found, key=lambda remark: LEVELS.index(remark.level))


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


def _hangs(run: Run):
    records = RunFolder(run.folder).attempts
    for number, progress in progress_of(read_json_lines(records)).items() if records.is_file() else ():
        for step, waited in progress.hangs.items():
            # One that went on after all was only slow.
            level = "warn" if step in run.metrics else "bad"
            why = f"what its processes waited for stands in log.{number}.txt behind [health]"
            yield Remark(
                level, f"{HANG.name}: step {step} had run for {duration(waited)}, far longer than usual; {why}"
            )


def _accuracy(run: Run):
    measured = accuracies(run)
    if not measured:
        yield Remark("warn", "no held-out accuracy was measured: rewards alone do not show that the model learned")
    elif len(measured) == 1:
        yield Remark("warn", f"held-out accuracy was measured once, at step {min(measured)}: nothing to compare with")
    elif min(measured) > 0:
        yield Remark("info", f"the first accuracy is that of step {min(measured)}, not of the model before training")


def _resumes(run: Run):
    for attempt in run.attempts:
        if attempt.steps and attempt is not run.attempts[0]:
            how = "resumed" if attempt.steps[0] > 1 else "started over"
            yield Remark("info", f"{how} at step {attempt.steps[0]} (attempt {attempt.number})")
    if run.abandoned_steps:
        yield Remark(
            "info",
            f"{_count(run.abandoned_steps)} trained by an earlier attempt and lost when a later one resumed"
            f" before them ({said_steps(run.abandoned_steps)}); not counted",
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
