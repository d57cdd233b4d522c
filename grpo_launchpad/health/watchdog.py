"""Tells when a step hangs: it takes a multiple of what such a step usually takes."""

from dataclasses import dataclass
from enum import Enum

from grpo_launchpad.runs.pace import HANGS_AT, Pace, duration

STACKS_AT = 3.0
STACKS_SECONDS = 30.0  # a look at all stacks costs seconds; shorter hangs are not worth it
FIRST_STEP_SECONDS = 3600.0  # what a start of which nothing is known may take, models of hundreds of GB included
MAY_BE_RESTARTED = 75  # EX_TEMPFAIL of sysexits.h: a scheduler may try again


class Verdict(Enum):
    """What to do about a step, in the order in which it comes."""

    NAME = 1
    SHOW_STACKS = 2
    END = 3


@dataclass
class Watchdog:
    """Measures the time since the last sign that a step ended.

    Args:
        pace: of the run, which others keep up to date.
        end_at: the multiple of the usual step after which the run is to end, or None.
        now: seconds of a clock that does not jump.
        first_step: seconds that an earlier attempt took to its first step, start included, or None.
    """

    pace: Pace
    end_at: float | None
    now: float
    first_step: float | None = None
    said: Verdict | None = None

    def step_ended(self, now: float) -> None:
        self.now, self.said = now, None

    def usual(self) -> float | None:
        """Return what the step in progress usually takes, in seconds; None for the first, if there was none before."""
        return self.pace.usual(self.pace.step + 1) or self.first_step

    def verdict(self, now: float) -> Verdict | None:
        """Return what to do, each verdict once a step."""
        waited, usual = now - self.now, self.usual()
        due = None
        if usual is None:
            if waited > FIRST_STEP_SECONDS:
                due = Verdict.END if self.end_at else Verdict.SHOW_STACKS
        elif waited > (self.pace.limit(self.pace.step + 1) or HANGS_AT * usual):
            due = Verdict.NAME
            if waited > max(STACKS_AT * usual, STACKS_SECONDS):
                due = Verdict.SHOW_STACKS
            if self.end_at and waited > self.end_at * usual:
                due = Verdict.END
        if due is None or self.said and due.value <= self.said.value:
            return None
        # None is left out: who restarts a run wants to read why it hung.
        following = Verdict((self.said.value if self.said else 0) + 1)
        self.said = following
        return following

    def evidence(self, now: float) -> str:
        usual = self.usual()
        known = "" if usual is None else f"; usually {duration(usual)}"
        what = (
            f"step {self.pace.step + 1} has run"
            if self.pace.step
            else "the first step has not ended, the start has run"
        )
        return f"{what} for {duration(round(now - self.now, 1))}{known}"
