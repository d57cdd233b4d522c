"""The intervals cover the truth as often as they say."""

import numpy as np
import pytest

from grpo_launchpad.evaluate.intervals import difference_interval, mean_interval

SIMULATIONS = 1000
# (problems, answers a problem, a and b of the Beta distribution of a problem's accuracy): AIME and MATH-500 in size;
# hard, easy and divided in kind; with one greedy answer a problem, and with many.
KINDS = [
    (30, 32, 0.3, 0.3),
    (30, 32, 0.5, 2.0),
    (30, 32, 0.1, 1.0),
    (30, 1, 1.0, 1.0),
    (40, 16, 0.3, 3.0),
    (100, 4, 2.0, 0.3),
    (100, 1, 4.0, 1.0),
    (500, 1, 19.0, 1.0),
    (500, 16, 0.3, 0.3),
]


@pytest.mark.parametrize(("problems", "answers", "a", "b"), KINDS)
def test_coverage_of_a_mean(problems, answers, a, b):
    draw, truth = np.random.default_rng(18), a / (a + b)
    covered = 0
    for _ in range(SIMULATIONS):
        low, high = mean_interval(draw.binomial(answers, draw.beta(a, b, problems)) / answers)
        covered += low <= truth <= high
    assert 0.93 <= covered / SIMULATIONS <= 0.97, covered / SIMULATIONS


@pytest.mark.parametrize(("problems", "answers"), [(30, 16), (200, 1)])
def test_coverage_of_a_paired_difference(problems, answers):
    """Both models see the same problems; the second is better by a tenth of the distance to 1."""
    draw, covered = np.random.default_rng(18), 0
    for _ in range(SIMULATIONS):
        first = draw.beta(0.5, 1.0, problems)
        second = first + 0.1 * (1 - first)
        difference = (draw.binomial(answers, second) - draw.binomial(answers, first)) / answers
        low, high = difference_interval(difference)
        covered += low <= 0.1 * (1 - 1 / 3) <= high
    assert 0.93 <= covered / SIMULATIONS <= 0.97, covered / SIMULATIONS


def test_all_right_is_no_certainty():
    low, high = mean_interval(np.ones(30))
    assert 0.8 < low < 0.9
    assert high == 1.0
    low, high = mean_interval(np.zeros(30))
    assert low == 0.0
    assert 0.1 < high < 0.2


def test_a_few_problems_in_between_make_no_absurd_interval():
    """Values of pass@8: all right but for three problems, two of them now and then."""
    low, high = mean_interval(np.array([1.0] * 253 + [0.0, 0.5, 0.9]))
    assert 0.965 < low < 0.99 < high < 1


def test_no_difference_is_no_certainty_either():
    low, high = difference_interval(np.zeros(100))
    assert -0.05 < low < 0 < high < 0.05


def test_one_problem_has_no_interval():
    assert mean_interval(np.ones(1)) is None
    assert difference_interval(np.ones(1)) is None


def test_an_interval_is_the_same_each_time_and_stays_in_range():
    values = np.random.default_rng(0).beta(0.05, 0.5, 25)
    low, high = mean_interval(values)
    assert (low, high) == mean_interval(values)
    assert 0 <= low < values.mean() < high <= 1
