"""How fast a run goes: what a step should take, and when the run will end."""

import math
from collections import deque
from dataclasses import dataclass
from statistics import fmean, median, stdev

from grpo_launchpad.runs.settings import Settings

WINDOW = 50  # the steps that count
NORMAL_95 = 1.96
# A step hangs after so many times the usual step, and so many times the slowest; of the first steps little is known.
HANGS_AT, ABOVE_SLOWEST = 2.0, 1.3
FEW_STEPS, FEW_ABOVE_SLOWEST = 3, 3.0
UNKNOWN_SECONDS = 600.0  # what the first checkpoint or validation may take, of which nothing is known


@dataclass(frozen=True)
class Estimate:
    """Seconds: the mean, and half the width of the 95 % interval (None from a single step)."""

    seconds: float
    within: float | None


class Pace:
    """The durations of the steps so far, by what happened in them.

    Args:
        settings: of the run; validation and checkpoints come at the frequencies that it says.

    Attributes:
        first_validation: seconds of the validation before the training, which verl does not log; for want of others.
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        self.step = 0
        self._slowest = 0.0
        self.first_validation: float | None = None
        self._steps: deque[float] = deque(maxlen=WINDOW)  # without checkpoints
        self._tests: deque[float] = deque(maxlen=WINDOW)
        self._saves: deque[float] = deque(maxlen=WINDOW)
        self._warm_up: float | None = None

    def add(self, step: int, values: dict[str, float]) -> None:
        """Take in the metrics of a training step; the first, which warms up, counts as long as there is no other."""
        self.step = step
        seconds = values.get("timing_s/step", math.nan)
        if not math.isfinite(seconds):
            return
        save = values.get("timing_s/save_checkpoint", 0.0)
        if self._warm_up is None:
            self._warm_up = seconds - save
        else:
            self._steps.append(seconds - save)
            self._slowest = max(self._slowest, seconds)
        if save > 0:
            self._saves.append(save)
        if values.get("timing_s/testing", 0.0) > 0:
            self._tests.append(values["timing_s/testing"])

    def usual(self, step: int) -> float | None:
        """Return the seconds from the end of the step before to the end of this one, validation and checkpoint
        included, as the median of such steps; None before the first."""
        steps = self._steps or ([] if self._warm_up is None else [self._warm_up])
        if not steps:
            return None
        seconds = median(steps)
        if self._due(step, self.settings.save_freq):
            seconds += median(self._saves or [UNKNOWN_SECONDS])
        if self._due(step, self.settings.test_freq):
            seconds += median(self._tests or [self.first_validation or UNKNOWN_SECONDS])
        return seconds

    def limit(self, step: int) -> float | None:
        """Return the seconds after which a step hangs; None before the first."""
        usual = self.usual(step)
        if usual is None:
            return None
        if len(self._steps) < FEW_STEPS:
            return max(HANGS_AT * usual, FEW_ABOVE_SLOWEST * max(self._slowest, self._warm_up or 0.0))
        return max(HANGS_AT * usual, ABOVE_SLOWEST * self._slowest)

    def remaining(self, total: int | None) -> Estimate | None:
        """Return how long the run still takes; None if nobody knows.

        The interval is that of a sum of n durations to come, of which k were seen: mean x n within
        1.96 x s x sqrt(n + n^2/k).
        """
        steps = list(self._steps or ([] if self._warm_up is None else [self._warm_up]))
        if total is None or not steps:
            return None
        to_come = max(0, total - self.step)
        later = range(self.step + 1, total + 1)
        seconds = to_come * fmean(steps)
        tests = self._tests or ([self.first_validation] if self.first_validation else [])
        for durations, frequency in ((self._saves, self.settings.save_freq), (tests, self.settings.test_freq)):
            if durations:
                seconds += fmean(durations) * sum(self._due(step, frequency, total) for step in later)
        if len(steps) < 2:
            return Estimate(seconds, None)
        return Estimate(seconds, NORMAL_95 * stdev(steps) * math.sqrt(to_come + to_come**2 / len(steps)))

    def _due(self, step: int, frequency: int | None, total: int | None = None) -> bool:
        last = total or self.settings.total_steps
        return bool(frequency and frequency > 0 and (step % frequency == 0 or step == last))


def duration(seconds: float | None) -> str:
    """Seconds as a reader says them: 6.3 s, 2 min 05 s, 3 h 07 min; a dash when None."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def remaining_time(estimate: Estimate | None) -> str:
    """Say an estimate: "12 min ± 40 s to go"; "" if there is none."""
    if estimate is None:
        return ""
    within = "" if estimate.within is None else f" ± {duration(estimate.within)}"
    return f"{duration(estimate.seconds)}{within} to go"
