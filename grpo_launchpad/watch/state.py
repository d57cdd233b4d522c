"""What a run is doing, read from its folder alone and kept up to date with what is written there."""

import fcntl
import math
import os
import time
from dataclasses import dataclass
from enum import Enum

from grpo_launchpad.console import VALIDATING
from grpo_launchpad.health.history import REWARD, facts_of
from grpo_launchpad.health.monitor import OWN_LINE, Finding, Monitor
from grpo_launchpad.health.rules import HANG
from grpo_launchpad.health.watchdog import MAY_BE_RESTARTED
from grpo_launchpad.runs.attempts import Progress, progress_of
from grpo_launchpad.runs.folder import RunFolder
from grpo_launchpad.runs.metrics import GrowingFile, accuracies, is_training, merge, numbers
from grpo_launchpad.runs.pace import Pace, duration
from grpo_launchpad.runs.settings import settings_of

INTERRUPTED = {130, 137, 143}  # SIGINT, SIGKILL, SIGTERM
SILENT_SECONDS = 120.0  # a log that was not written for so long belongs to no living run that holds no lock
STACK_LINES = 40


class Status(Enum):
    """What a run is doing; the values are what a reader sees."""

    NOT_STARTED = "not started"
    STARTING = "starting"
    TRAINING = "training"
    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    DIED = "died"

    @property
    def is_over(self) -> bool:
        return self in (Status.FINISHED, Status.FAILED, Status.INTERRUPTED, Status.DIED)


@dataclass
class Step:
    """A training step that is new to the watcher."""

    step: int
    metrics: dict[str, float]


class WatchedRun:
    """A run that may be going on.

    Attributes:
        metrics: step -> metrics of all attempts, those that a resume discarded left out.
        stacks: the last lines in which the console wrote what the processes wait for.
    """

    def __init__(self, run: RunFolder):
        self.run = run
        self.progress: dict[int, Progress] = {}
        self._attempts = GrowingFile(run.attempts)
        self._reset()

    def _reset(self) -> None:
        self.settings = settings_of(self.run)
        self.metrics: dict[int, dict[str, float]] = {}
        self._files: dict[int, tuple[GrowingFile, GrowingFile]] = {}
        self._trained: dict[int, bool] = {}
        self.stacks: list[str] = []
        self._judge_anew()

    def _judge_anew(self) -> None:
        self.monitor = Monitor(lambda: facts_of(self.run, self.settings))
        self.pace = Pace(self.settings)
        self._judged: set[int] = set()

    def update(self) -> tuple[list[Step], list[Finding]]:
        """Read what is new; return the training steps and the findings since the last call."""
        records = self._attempts.objects()
        if any("started_at" in record for record in records):
            self.settings = settings_of(self.run)
            self._judge_anew()
        progress_of(records, self.progress)
        for progress in self.progress.values():
            self.pace.first_validation = progress.durations().get(VALIDATING, self.pace.first_validation)
        new_findings: list[Finding] = []
        for number in sorted({*self.progress, *self.run.numbers_of_attempts()}):
            metrics, log = self._files.setdefault(
                number, (GrowingFile(self.run.metrics(number)), GrowingFile(self.run.log(number)))
            )
            found = [
                (record["step"], numbers(record["data"]))
                for record in metrics.objects()
                if isinstance(record.get("step"), int) and isinstance(record.get("data"), dict)
            ]
            self._take(number, found)
            for line in log.lines():
                if OWN_LINE in line:
                    self.stacks = [*self.stacks, line.split(OWN_LINE, 1)[1]][-STACK_LINES:]
                elif finding := self.monitor.add_line(line):
                    new_findings.append(finding)
        new_steps = []
        for step in sorted(self.metrics.keys() - self._judged):
            values = self.metrics[step]
            self._judged.add(step)
            new_findings += self.monitor.add(step, values)
            if is_training(values):
                self.pace.add(step, values)
                new_steps.append(Step(step, values))
        return new_steps, new_findings

    def _take(self, attempt: int, records: list[tuple[int, dict[str, float]]]) -> None:
        """Add records to the history; a resume that discards steps makes all be judged anew."""
        for step, values in records:
            first = is_training(values) and not self._trained.get(attempt)
            if first:
                self._trained[attempt] = True
                if any(earlier >= step for earlier in self.metrics):
                    merge(self.metrics, [(step, values)])
                    self._judge_anew()
                    continue
            if step in self._judged and is_training(values) is False:
                continue  # the validation with which a resume begins
            self.metrics.setdefault(step, {}).update(values)

    @property
    def attempt(self) -> int | None:
        return max(self._files, default=None)

    @property
    def total(self) -> int | None:
        last = self.progress.get(self.attempt or 0)
        return (last.total_steps if last else None) or self.settings.total_steps

    def status(self) -> Status:
        """Say what the run is doing, as far as its folder tells."""
        number = self.attempt
        last = self.progress.get(number or 0)
        if number is None or last is None and not self.metrics:
            return Status.NOT_STARTED
        if last is not None and last.ended_at is not None:
            if last.exit_code == 0:
                return Status.FINISHED
            return Status.INTERRUPTED if last.exit_code in INTERRUPTED else Status.FAILED
        if self.silent_for() > max(SILENT_SECONDS, 3 * (self.pace.usual(self.pace.step + 1) or 0)) and self._is_free():
            return Status.DIED
        return Status.TRAINING if self._trained.get(number) else Status.STARTING

    def silent_for(self) -> float:
        """Return the seconds since something was written, by this machine's clock; infinite if nothing was."""
        number = self.attempt or 0
        times = []
        for path in (self.run.log(number), self.run.metrics(number), self.run.attempts):
            try:
                times.append(path.stat().st_mtime)
            except OSError:
                continue
        return max(0.0, time.time() - max(times)) if times else math.inf

    def _is_free(self) -> bool:
        """Say whether nobody holds the run's lock. Some shared folders do not tell one node of another's locks."""
        try:
            descriptor = os.open(self.run.lock, os.O_RDONLY)
        except OSError:
            return True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return True
        except OSError:
            return False
        finally:
            os.close(descriptor)

    def doing(self) -> str:
        """Say what is going on now, and how long it usually takes."""
        last = self.progress.get(self.attempt or 0)
        if last is None or not last.phases:
            return ""
        phase, began = list(last.phases.items())[-1]
        if self._trained.get(self.attempt or 0) and phase.startswith(("step", "the first")):
            usual = self.pace.usual(self.pace.step + 1)
            waited = self.since_last_step()
            return f"step {self.pace.step + 1} for {duration(waited)} (usually {duration(usual)})"
        known = [progress.durations()[phase] for progress in self.progress.values() if phase in progress.durations()]
        return f"{phase} for {duration(round(time.time() - began))}" + (
            f" ({duration(known[-1])} the last time)" if known else ""
        )

    def since_last_step(self) -> float:
        """Return the seconds since metrics were written, by this machine's clock."""
        try:
            return max(0.0, round(time.time() - self.run.metrics(self.attempt or 0).stat().st_mtime, 1))
        except OSError:
            return 0.0

    def hang(self) -> Finding | None:
        """Return that the step in progress takes far too long, or did so when the run ended."""
        recorded = self.progress[self.attempt].hangs if self.attempt in self.progress else {}
        if self.status().is_over:
            hung = [(step, waited) for step, waited in recorded.items() if step not in self.metrics]
            return Finding(HANG, f"step {hung[-1][0]} did not end") if hung else None
        usual, limit = self.pace.usual(self.pace.step + 1), self.pace.limit(self.pace.step + 1)
        waited = self.since_last_step()
        last_step = self.total is not None and self.pace.step >= self.total
        if self.status() is not Status.TRAINING or limit is None or last_step or waited <= limit:
            return None
        evidence = f"step {self.pace.step + 1} has run for {duration(waited)}; usually {duration(usual)}"
        return Finding(HANG, evidence)

    def alarms(self) -> list[Finding]:
        """Return what is wrong, the worst first, a hang before all."""
        hang = self.hang()
        return [*([hang] if hang else []), *self.monitor.alarms()]

    def rewards(self) -> list[float]:
        return self.monitor.history.all(REWARD)

    def accuracies(self) -> list[tuple[int, float]]:
        """Return (step, accuracy averaged over the data sets) of each validation."""
        found = ((step, list(accuracies(values).values())) for step, values in sorted(self.metrics.items()))
        return [(step, sum(values) / len(values)) for step, values in found if values]

    def how_it_ended(self) -> str:
        """Say how a run ended that is over, and what to do."""
        number = self.attempt
        last = self.progress.get(number or 0)
        log = self.run.log(number or 0)
        match self.status():
            case Status.FINISHED:
                return f"finished after {duration(last.ended_at - last.started_at)}; its report: {self.run.report}"
            case Status.FAILED if last.exit_code == MAY_BE_RESTARTED:
                return f"its step hung and END_IF_HUNG ended it; start it again to resume. Its log: {log}"
            case Status.FAILED:
                return f"failed with exit code {last.exit_code}; the reason stands at the end of {log}"
            case Status.INTERRUPTED:
                return f"was interrupted (exit code {last.exit_code}); start it again to resume"
            case Status.DIED:
                silent = duration(round(self.silent_for()))
                return f"died without a word: nobody holds its lock, nothing was written for {silent}. Its log: {log}"
        return ""
