import json
from pathlib import Path

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_score import geometry3k
from reward_score.math_equivalence import UndecidedError
from tests.reward_score.verdict_alone import verdict_alone

score = verdict_alone(geometry3k.score)

SAMPLE = Path(__file__).resolve().parents[1] / "samples" / "geometry3k_choices.jsonl"

RIGHT = {"score": 1.0, "acc": 1.0, "format": 1.0, "scorer_error": 0.0}
WRONG = {"score": 0.1, "acc": 0.0, "format": 1.0, "scorer_error": 0.0}
UNDECIDED = WRONG | {"scorer_error": 1.0}
ANSWER_ALONE = RIGHT | {"score": 0.9, "format": 0.0}
NOTHING = {"score": 0.0, "acc": 0.0, "format": 0.0, "scorer_error": 0.0}


def respond(answer: str) -> str:
    return rf"<think>The sides are equal.</think> So it is $\boxed{{{answer}}}$."


def problems() -> list[dict]:
    return [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]


def test_real_problems_with_and_without_choices():
    found = problems()
    assert len(found) == 10
    for problem in found:
        right = "ABCD".index(problem["answer"])
        value, choices = problem["choices"][right], problem["choices"]
        for place, choice in enumerate(choices):
            expected = RIGHT if place == right else WRONG
            assert score(respond(choice), value) == expected
            for truth in ({"answer": problem["answer"], "choices": choices}, {"answer": value, "choices": choices}):
                assert score(respond(choice), truth) == expected
                assert score(respond("ABCD"[place]), truth) == expected
                assert score(respond(rf"\text{{({'ABCD'[place]})}}"), truth) == expected


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("6.50", "6.5"),
        ("60^\\circ", "60"),
        ("60°", "60"),
        (r"2\sqrt{221}", r"2 \sqrt { 221 }"),
        (r"\frac{\sqrt{2}}{10}", r"\frac { \sqrt { 2 } } { 10 }"),
        (r"\dfrac{13}{2}", "6.5"),
        ("x = 12", "12"),
    ],
)
def test_the_same_value_in_another_spelling(answer, gold):
    assert score(respond(answer), gold) == RIGHT


@pytest.mark.parametrize("answer", ["", " ", "6.4", "6.451", "645", "-6.45", "6.45, 6.4", r"6.45\text{ or }6.4", "B"])
def test_wrong_without_a_tolerance(answer):
    assert score(respond(answer), "6.45") == WRONG


@pytest.mark.parametrize(
    ("answer", "gold", "tolerance", "acc"),
    [
        ("6.4", "6.45", 0.01, 1.0),
        ("6.4^\\circ", "6.45", 0.01, 1.0),
        ("6.5", "6.45", 0.01, 1.0),
        ("6.", "6", 0.01, 1.0),
        ("99", "100", 0.01, 1.0),
        ("98.9", "100", 0.01, 0.0),
        ("-6.4", "6.45", 0.01, 0.0),
        ("6.3", "6.45", 0.01, 0.0),
        ("6.4, 6.5", "6.45", 0.01, 0.0),
        ("7.07", r"5\sqrt{2}", 0.01, 0.0),
        ("0.001", "0", 0.5, 0.0),
        ("6", "6", 0, 1.0),
    ],
)
def test_a_tolerance_is_relative_and_for_plain_numbers(answer, gold, tolerance, acc):
    assert score(respond(answer), gold, tolerance=tolerance)["acc"] == acc


@given(st.integers(1, 10**6), st.integers(0, 10**6))
def test_the_tolerance_is_exact(true, found):
    within = abs(found - true) * 8 <= true
    assert score(respond(str(found)), str(true), tolerance=0.125)["acc"] == float(within)


@pytest.mark.parametrize("tolerance", [-0.1, 1, 2.0, float("nan"), float("inf"), True, "0.01", None])
def test_an_impossible_tolerance_is_refused(tolerance):
    with pytest.raises(ValueError, match="tolerance=.*from 0 to below 1"):
        score("", "6.45", tolerance=tolerance)


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (r"<think></think>\boxed{5}", RIGHT),  # an empty thought passes, as published
        ("\n<think>a\nb</think>\nSo\n\\boxed{5} cm.\n", RIGHT),
        (r"\boxed{5}", ANSWER_ALONE),
        (r"The angle.</think>\boxed{5}", ANSWER_ALONE),
        (r"So: <think>a</think>\boxed{5}", ANSWER_ALONE),
        (r"<think>\boxed{5}</think>It is 5.", NOTHING),
        (r"<think>\boxed{5}", NOTHING),
        (r"<think>a</think>\boxed{5", NOTHING),
        ("<think>a</think>5", NOTHING),
        ("", NOTHING),
    ],
)
def test_the_format_and_where_the_answer_must_stand(response, expected):
    assert score(response, "5") == expected


@pytest.mark.parametrize(
    ("boxes", "acc"),
    [
        (r"\boxed{5}, \boxed{6}", 0.0),
        (r"\boxed{6} or \boxed{5}", 0.0),
        (r"\boxed{5} and \boxed{5.0}", 1.0),
        (r"\boxed{6} is too long, the side is \boxed{5}", 1.0),
        (r"\boxed{5} is too long, the side is \boxed{6}", 0.0),
    ],
)
def test_several_boxes(boxes, acc):
    assert score(f"<think>a</think>{boxes}", "5")["acc"] == acc


def test_a_letter_without_choices():
    assert score(respond("(B)"), "B") == RIGHT
    assert score(respond("B"), "(B)") == RIGHT
    assert score(respond("A"), "B") == WRONG
    assert score(respond("A, B"), "B") == WRONG
    assert score(respond("5"), "B") == WRONG


def test_several_letters_are_wrong():
    truth = {"answer": "B", "choices": ["5", "6"]}
    for answer in ("A, B", "A or B", "AB", "A, 6", "5, 6", r"5\text{ or }6"):
        assert score(respond(answer), truth) == WRONG


@pytest.mark.parametrize(
    "truth",
    [
        {"answer": "5"},
        {"answer": "5", "choices": None},
        {"answer": " 5 ", "choices": ["4", "5.0"]},
        {"answer": "B", "choices": numpy.array(["4", "5"], dtype=object)},
        json.dumps({"answer": "B", "choices": ["4", "5"]}, indent=1),
    ],
)
def test_forms_of_the_ground_truth(truth):
    assert score(respond("5"), truth) == RIGHT
    assert score(respond("4"), truth) == WRONG


@pytest.mark.parametrize("truth", ["{1,2}", "[1,2]", "(1,2)"])
def test_a_set_or_an_interval_is_an_answer(truth):
    assert score(respond(truth), truth) == RIGHT
    assert score(respond("3"), truth) == WRONG


@pytest.mark.parametrize("truth", ["x+1", {"answer": "x+1", "choices": ["x+2", "x+3"]}])
def test_an_answer_that_nothing_decides_is_no_right_one_and_counted(monkeypatch, truth):
    def undecided(answer, gold):
        raise UndecidedError("no result")

    monkeypatch.setattr(geometry3k, "equivalent", undecided)
    assert score(respond("1+x"), truth) == UNDECIDED
    assert score("1+x", "x+1") == NOTHING


@pytest.mark.parametrize(
    "truth", [None, 5, "", " ", {}, "{}", {"answer": 5}, {"answer": "C", "choices": ["4", "5"]}, [], '{"a": 1}']
)
def test_a_ground_truth_of_another_form_is_refused(truth):
    with pytest.raises(ValueError, match="geometry3k needs the answer as text"):
        score(respond("5"), truth)


@pytest.mark.parametrize(
    "text",
    [
        "9" * 100_000,
        " " * 100_000,
        "6" + " " * 100_000 + "x",
        "(" * 100_000,
        "{" * 100_000,
        r"\frac{" * 16_000,
        r"\boxed{" * 14_000,
        r"\boxed{6.45}" * 8_000,
        "A, " * 33_000,
        "9^{9^{9^{9}}}",
        "<think>" * 14_000,
        "\0" * 100_000,
        "\ud800" * 100_000,
    ],
)
@pytest.mark.parametrize("truth", ["6.4", {"answer": "B", "choices": ["6.4", "7"]}])
def test_hostile_answers_are_cheap(text, truth, cpu_seconds):
    with cpu_seconds(2):
        for response in (text, respond(text)):
            assert score(response, truth, tolerance=0.001)["acc"] == 0.0
