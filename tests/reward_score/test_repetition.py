import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_score.repetition import repetition


@pytest.mark.parametrize(
    ("response", "options", "reward"),
    [
        ("", {}, 0.0),
        ("to be", {}, 0.0),
        ("to be or", {}, 0.0),
        ("to be or not to be", {}, 0.0),
        # to/be/or, be/or/to, or/to/be, to/be/or, be/or/to: 3 of 5 unique
        ("to be or to be or to", {}, -0.4),
        ("To be OR to Be or tO", {}, -0.4),
        ("wait " * 102, {}, -0.99),
        ("wait " * 102, {"max_penalty": -0.5}, -0.495),
        ("wait " * 102, {"max_penalty": 0}, 0.0),
        ("to be or not to be", {"n": 2}, -0.2),
        ("to be or not to be", {"n": 1}, -1 / 3),
        ("等等等等等", {}, 0.0),
        ("等等等等等", {"unit": "characters"}, -2 / 3),
        ("等" * 102, {"unit": "characters"}, -0.99),
    ],
)
def test_value(response, options, reward):
    assert repetition(response, **options) == pytest.approx(reward)


def test_no_repetition_is_zero_and_not_minus_zero():
    assert math.copysign(1, repetition("to be or not to be")) == 1.0


@given(st.lists(st.sampled_from("abc"), max_size=40), st.integers(1, 5))
def test_the_share_of_repeated_n_grams(words, n):
    grams = [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]
    expected = -(len(grams) - len(set(grams))) / len(grams) if grams else 0.0
    assert repetition(" ".join(words), n=n) == pytest.approx(expected)


@given(st.text(), st.floats(-10, 0), st.integers(1, 20))
def test_within_the_penalty_on_any_text(response, max_penalty, n):
    for unit in ("words", "characters"):
        assert max_penalty <= repetition(response, n=n, max_penalty=max_penalty, unit=unit) <= 0.0


@given(st.lists(st.text("abcdef", min_size=1), min_size=3, max_size=30))
def test_saying_it_all_again_never_pays(words):
    once = " ".join(words)
    assert repetition(f"{once} {once}") <= repetition(once)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n=0: write a whole number from 1 to 20"),
        ({"n": 21}, "n=21: write a whole number from 1 to 20"),
        ({"n": 2.0}, "n=2.0: write"),
        ({"n": True}, "n=True: write"),
        ({"max_penalty": 1}, "max_penalty=1: write a finite number, 0 or below"),
        ({"max_penalty": -math.inf}, "max_penalty=-inf: write"),
        ({"max_penalty": math.nan}, "max_penalty=nan: write"),
        ({"max_penalty": "-1"}, "max_penalty='-1': write"),
        ({"unit": "lines"}, "unit='lines': write one of"),
        ({"unit": "tokens"}, "tokenizer=None: unit='tokens' needs"),
    ],
)
def test_an_option_that_is_not_allowed_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        repetition("to be", **options)


@pytest.mark.parametrize(
    "response", ["a" * 10**5, "a " * 10**5, "\0" * 10**5, "\ud800 " * 10**5, " ".join(map(str, range(20_000)))]
)
@pytest.mark.parametrize("unit", ["words", "characters"])
def test_time_is_bounded_on_hostile_text(response, unit, cpu_seconds):
    with cpu_seconds(2):
        repetition(response, n=20, unit=unit)
