import random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpo_launchpad.runs.pace import UNKNOWN_SECONDS, Pace, duration, remaining_time
from grpo_launchpad.runs.settings import Settings


def paced(*seconds, **settings):
    pace = Pace(Settings(**settings))
    for step, value in enumerate(seconds, start=1):
        pace.add(step, {"timing_s/step": value})
    return pace


def test_the_first_step_warms_up_and_counts_only_alone():
    assert paced(9.0).usual(2) == 9.0
    assert paced(9.0, 4.0, 5.0, 6.0).usual(5) == 5.0
    assert paced().usual(1) is None


def test_a_step_that_validates_and_saves_usually_takes_longer():
    pace = Pace(Settings(total_steps=9, test_freq=2, save_freq=4))
    for step in (1, 2, 3, 4):
        values = {"timing_s/step": 4.0 + 3.0 * (step == 4)}
        values |= {"timing_s/testing": 10.0} if step % 2 == 0 else {}
        values |= {"timing_s/save_checkpoint": 3.0} if step == 4 else {}
        pace.add(step, values)
    assert [pace.usual(step) for step in (5, 6, 8, 9)] == [4.0, 14.0, 17.0, 17.0]


def test_a_validation_of_which_nothing_is_known_may_take_long():
    pace = paced(4.0, 4.0, test_freq=3)
    assert pace.usual(3) == 4.0 + UNKNOWN_SECONDS
    pace.first_validation = 6.0
    assert pace.usual(3) == 10.0


def test_what_remains_counts_validations_and_says_how_sure_it_is():
    pace = Pace(Settings(test_freq=5))
    for step in range(1, 6):
        pace.add(step, {"timing_s/step": 4.0} | ({"timing_s/testing": 10.0} if step == 5 else {}))
    left = pace.remaining(20)
    assert left.seconds == pytest.approx(15 * 4 + 3 * 10)
    assert left.within == 0
    assert paced(4.0).remaining(3).within is None
    assert pace.remaining(None) is None
    assert remaining_time(None) == ""
    assert remaining_time(left) == "1 min 30 s ± 0 s to go"


def test_the_interval_holds_what_comes_about_95_times_in_100():
    held = 0
    for seed in range(400):
        draw = random.Random(seed)
        pace = paced(5.0, *(draw.gauss(5, 1) for _ in range(20)))
        left = pace.remaining(21 + 30)
        held += abs(sum(draw.gauss(5, 1) for _ in range(30)) - left.seconds) <= left.within
    assert 0.91 <= held / 400 <= 0.97


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=20), st.integers(0, 50))
def test_no_numbers_stop_the_pace(seconds, total):
    usable = [value for value in seconds if abs(value) < 1e6]
    pace = paced(*usable)
    if left := pace.remaining(total):
        assert left.seconds == pytest.approx(max(0, total - len(usable)) * fmean(usable[1:] or usable))
    paced(*seconds[:1])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0, "0 s"),
        (6.31, "6.31 s"),
        (59, "59 s"),
        (125, "2 min 05 s"),
        (3000, "50 min 00 s"),
        (7500, "2 h 05 min"),
    ],
)
def test_times_are_said_as_people_say_them(seconds, text):
    assert duration(seconds) == text
