"""When a step is said to hang; that sound runs are not is tested in test_recorded_runs.py."""

import pytest

from grpo_launchpad.health.watchdog import FIRST_STEP_SECONDS, Verdict, Watchdog
from grpo_launchpad.runs.pace import Pace
from grpo_launchpad.runs.settings import Settings


def verdicts(watchdog: Watchdog, until: float) -> dict[str, float]:
    """Return verdict -> when it was given, looking every second."""
    found = {}
    for now in range(int(until)):
        if verdict := watchdog.verdict(float(now)):
            found[verdict.name] = now
    return found


def paced(*seconds: float) -> Pace:
    pace = Pace(Settings())
    for step, value in enumerate(seconds, start=1):
        pace.add(step, {"timing_s/step": value})
    return pace


def test_a_hang_is_named_then_looked_at_then_ended():
    watchdog = Watchdog(paced(99.0, 10.0, 10.0, 10.0), end_at=5.0, now=0.0)
    assert verdicts(watchdog, 100) == {"NAME": 21, "SHOW_STACKS": 31, "END": 51}


def test_nobody_is_ended_who_was_not_looked_at():
    watchdog = Watchdog(paced(99.0, 10.0, 10.0, 10.0), end_at=2.0, now=0.0)
    assert verdicts(watchdog, 100) == {"NAME": 21, "SHOW_STACKS": 22, "END": 23}


def test_without_a_multiple_nothing_is_ended():
    assert "END" not in verdicts(Watchdog(paced(99.0, 1.0, 1.0, 1.0), end_at=None, now=0.0), 1000)


def test_a_step_that_ends_starts_the_clock_anew():
    watchdog = Watchdog(paced(99.0, 10.0, 10.0, 10.0), end_at=None, now=0.0)
    assert watchdog.verdict(25.0) is Verdict.NAME
    watchdog.step_ended(25.0)
    assert watchdog.verdict(40.0) is None
    assert watchdog.verdict(46.0) is Verdict.NAME


def test_short_hangs_are_not_worth_a_look():
    assert verdicts(Watchdog(paced(9.0, 1.0, 1.0, 1.0), None, 0.0), 60) == {"NAME": 3, "SHOW_STACKS": 31}


@pytest.mark.parametrize(("known", "named"), [(50.0, 101), (None, FIRST_STEP_SECONDS + 1)])
def test_a_start_is_compared_with_that_of_an_earlier_attempt(known, named):
    watchdog = Watchdog(paced(), end_at=5.0, now=0.0, first_step=known)
    found = verdicts(watchdog, 2 * FIRST_STEP_SECONDS)
    assert found["NAME"] == named
    assert found["END"] == (251 if known else named + 2)
    assert "the first step has not ended, the start has run for 3 min" in watchdog.evidence(180.0)
