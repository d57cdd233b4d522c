import json
from fractions import Fraction

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_score import countdown
from reward_score.countdown import MAX_LENGTH
from tests.reward_score.verdict_alone import verdict_alone

score = verdict_alone(countdown.score)

TRUTH = {"target": 98, "numbers": [44, 19, 35]}

RIGHT = {"score": 1.0, "acc": 1.0, "format": 1.0}
WELL_FORMED = {"score": 0.1, "acc": 0.0, "format": 1.0}
NOTHING = {"score": 0.0, "acc": 0.0, "format": 0.0}


def respond(equation: str) -> str:
    return f"44 and 19 are 63.</think>\n<answer>{equation}</answer>"


@pytest.mark.parametrize(
    "equation",
    [
        "44+19+35",
        "44 + 19 + 35",
        " (44 + 19) + 35\n",
        "35 + 44 + 19 = 98",
        "44-(-19)+35",
        "44 − (−19) + 35 = 98",
        "((44))+19+35",
    ],
)
def test_right(equation):
    assert score(respond(equation), TRUTH) == RIGHT


@pytest.mark.parametrize(
    ("equation", "truth"),
    [
        ("6*4", {"target": 24, "numbers": [4, 6]}),
        ("6 × 4", {"target": 24, "numbers": [4, 6]}),
        (r"6 \times 4 = 24", {"target": 24, "numbers": [4, 6]}),
        (r"8 \div (1 - 2 \div 3)", {"target": 24, "numbers": [1, 2, 3, 8]}),
        ("8 ÷ (3 - 8 / 3)", {"target": 24, "numbers": [3, 3, 8, 8]}),
        ("2 - 5 = -3", {"target": -3, "numbers": [2, 5]}),
        ("7+7+7", {"target": 21, "numbers": [7, 7, 7]}),
    ],
)
def test_operators_and_repeated_numbers(equation, truth):
    assert score(respond(equation), truth) == RIGHT


def test_a_value_beside_the_target_is_wrong():
    truth = {"target": 1, "numbers": [10**17 + 1, 10**17]}
    assert (10**17 + 1) / 10**17 == 1
    assert score(respond("100000000000000001/100000000000000000"), truth) == WELL_FORMED


@pytest.mark.parametrize(
    "equation",
    [
        "44+19",
        "44+19+35+0",
        "44+19+35+35-35",
        "44+19-35",
        "44+19+35 = 97",
        "44*19/(35-35)",
        "98",
        "98 = 98",
        "44/(19-19)+35",
    ],
)
def test_well_formed_but_wrong(equation):
    assert score(respond(equation), TRUTH) == WELL_FORMED


@pytest.mark.parametrize(
    "equation",
    [
        "",
        " ",
        "44+19+35, 98",
        "44+19+35\n44+19-35",
        "44+19+35 = 98 = 98",
        "98 = 44+19+35",
        "44+19+35 or 44-19",
        "44 19 35",
        "44(19)35",
        "+44+19+35",
        "44**19",
        "44//19+35",
        "44%19",
        "4_4+19+35",
        "44.0+19+35",
        "044+19+35",
        "٤٤+19+35",
        "44+19+35#",
        "44+19+35;",
        "x=44+19+35",
        "__import__('os').system('true')",
        "(lambda:98)()",
        "[44,19][0]",
        "9**9**9**9",
        "(44+19+35",
        "44+19+35)",
    ],
)
def test_no_equation(equation):
    assert score(respond(equation), TRUTH) == NOTHING


@pytest.mark.parametrize(
    "response",
    [
        "44+19+35",
        "<think>44+19+35</think> 98",
        "<think><answer>44+19+35</answer>",
        "<think><answer>44+19+35</answer></think>",
        "<answer>44+19+35",
        "44+19+35</answer>",
        "<answer>44+19+35</answer><answer>none</answer>",
    ],
)
def test_only_the_last_closed_answer_after_the_thoughts_counts(response):
    assert score(response, TRUTH) == NOTHING


def test_a_later_answer_corrects_an_earlier_one():
    assert score("<answer>44+19-35</answer> No: <answer>44+19+35</answer>", TRUTH) == RIGHT


@pytest.mark.parametrize(
    "truth",
    [
        json.dumps(TRUTH),
        "\n" + json.dumps(TRUTH, indent=2),
        {"target": numpy.int64(98), "numbers": numpy.array([44, 19, 35])},
        {"target": 98.0, "numbers": [44.0, 19.0, 35.0]},
    ],
)
def test_forms_of_the_ground_truth(truth):
    assert score(respond("44+19+35"), truth) == RIGHT


@pytest.mark.parametrize(
    "truth",
    [
        None,
        98,
        "98",
        "",
        "numbers and a target",
        "[" * 100_000,
        [],
        {},
        {"target": 98},
        {"target": None, "numbers": [1]},
        {"target": 98.5, "numbers": [1]},
        {"target": 98, "numbers": 98},
        {"target": float("inf"), "numbers": [1]},
    ],
)
def test_a_ground_truth_of_another_form_is_refused(truth):
    with pytest.raises(ValueError, match="countdown needs .*'target': 98, 'numbers'"):
        score(respond("44+19+35"), truth)


@st.composite
def expressions(draw) -> tuple[str, list[int], Fraction | None]:
    """An expression as text, with the numbers that it uses and its value."""
    numbers = draw(st.lists(st.integers(1, 100), min_size=1, max_size=6))
    text, value = str(numbers[0]), Fraction(numbers[0])
    for number in numbers[1:]:
        operator = draw(st.sampled_from("+-*/"))
        left = draw(st.booleans())
        text = f"({text}) {operator} {number}" if left else f"{number} {operator} ({text})"
        first, second = (value, Fraction(number)) if left else (Fraction(number), value)
        if value is not None:
            value = {
                "+": lambda a, b: a + b,
                "-": lambda a, b: a - b,
                "*": lambda a, b: a * b,
                "/": lambda a, b: a / b if b else None,
            }[operator](first, second)
    return text, numbers, value


@given(expressions(), st.randoms(use_true_random=False))
def test_every_expression_has_its_value(expression, random):
    text, numbers, value = expression
    random.shuffle(numbers)
    if value is not None and value.denominator == 1:
        assert score(respond(f"{text} = {value}"), {"target": int(value), "numbers": numbers}) == RIGHT
        assert score(respond(text), {"target": int(value) + 1, "numbers": numbers}) == WELL_FORMED
        assert score(respond(text), {"target": int(value), "numbers": [*numbers, 1]}) == WELL_FORMED
    else:
        assert score(respond(text), {"target": 1, "numbers": numbers}) == WELL_FORMED


@given(st.text(alphabet="0123456789+-*/() =_.×−\\times\n", max_size=60))
def test_any_text_is_scored(text):
    assert score(respond(text), TRUTH) in (RIGHT, WELL_FORMED, NOTHING)


@pytest.mark.parametrize(
    "equation",
    [
        "(" * 100_000,
        "-" * 100_000 + "1",
        "-" * (MAX_LENGTH - 1) + "1",
        "(" * 249 + "1" + ")" * 249,
        "1+" * 50_000 + "1",
        "1+" * 249 + "1",
        "9" * 100_000,
        " " * 100_000,
        "1" + " " * 100_000 + "=",
        "\0" * 100_000,
        "\ud800" * 1000,
        "99999999999999999*" * 27 + "9" + "=" + "9" * 18,
    ],
)
def test_hostile_answers_are_cheap(equation, cpu_seconds):
    with cpu_seconds(1):
        assert score(respond(equation), TRUTH)["acc"] == 0.0
        for response in (equation, "<answer>" * 12_500, "</answer>" * 11_111, "<think>" * 14_285 + equation):
            assert score(response, TRUTH) == NOTHING
