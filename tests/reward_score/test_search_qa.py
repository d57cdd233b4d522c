import json
import random

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_score import search_qa
from reward_score.search_qa import METHODS, normalise
from tests.reward_score.verdict_alone import verdict_alone

score = verdict_alone(search_qa.score)

TRUTH = {"target": ["Paris", "City of Light"]}

RIGHT = {"score": 1.0, "acc": 1.0, "format": 1.0}
WRONG = {"score": 0.0, "acc": 0.0, "format": 1.0}
NOTHING = {"score": 0.0, "acc": 0.0, "format": 0.0}


def respond(answer: str) -> str:
    return (
        "<think>I must search.</think><search>capital of France</search><information>Doc 1: London</information>"
        f"<think>It is clear.</think><answer>{answer}</answer>"
    )


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The  Cat's\nHat!", "cats hat"),
        ("A.B.C.", "abc"),
        ("an apple a day", "apple day"),
        ("Theatre", "theatre"),
        ("the-end", "theend"),
        ("Élysée", "élysée"),
        ("", ""),
        ("the", ""),
    ],
)
def test_normalisation(text, normal):
    assert normalise(text) == normal


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "answer", ["Paris", " paris.\n", "The PARIS", '"Paris"', "city of light", "The City of Light!"]
)
def test_right(answer, method):
    assert score(respond(answer), TRUTH, method=method) == RIGHT


@pytest.mark.parametrize("answer", ["London", "Paris, France", "Par is", "Paris or London", "City Light", "not Paris"])
def test_wrong_by_exact_match(answer):
    assert score(respond(answer), TRUTH) == WRONG


@pytest.mark.parametrize(
    "answer", ["Paris, France", "It is Paris", "The capital of France is Paris.", "in the City of Light"]
)
def test_right_by_sub_exact_match(answer):
    assert score(respond(answer), TRUTH, method="subem") == RIGHT


@pytest.mark.parametrize(
    "answer",
    [
        "Parisian",
        "City and Light",
        "London",
        # lists
        "Paris or London",
        "Paris; London",
        "Paris | London",
        "Paris/London",
        "Paris\nLondon",
        "Rome, Paris, London",
        "Rome London Berlin Madrid Vienna Oslo Athens Prague Dublin Lisbon Cairo Paris",
    ],
)
def test_wrong_by_sub_exact_match(answer):
    assert score(respond(answer), TRUTH, method="subem") == WRONG


def test_an_accepted_answer_may_look_like_a_list():
    truth = ["Simon, Garfunkel, Smith or Jones"]
    for method in METHODS:
        assert score(respond("Simon, Garfunkel, Smith or Jones"), truth, method=method) == RIGHT


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("Paris", 1.0),
        ("Paris, France", 2 / 3),
        ("Paris London Rome", 1 / 2),
        ("City", 2 / 4),
        ("of of of", 2 / 6),
        ("London", 0.0),
    ],
)
def test_f1(answer, value):
    found = score(respond(answer), TRUTH, method="f1")
    assert found == {"score": pytest.approx(value), "acc": float(value == 1.0), "format": 1.0}


@given(st.lists(st.sampled_from(["red", "green", "blue", "sky"]), min_size=1, max_size=8), st.integers(0, 8))
def test_f1_is_symmetric_and_at_most_one(words, cut):
    one, other = " ".join(words), " ".join(words[cut:] or ["sea"])
    value = score(respond(one), other, method="f1")["score"]
    assert value == score(respond(other), one, method="f1")["score"]
    assert 0 <= value <= 1
    assert (value == 1) == (sorted(one.split()) == sorted(other.split()))


@pytest.mark.parametrize("method", METHODS)
def test_too_many_tags_earn_a_quarter(method):
    quarter = {"score": 0.25, "acc": 1.0, "format": 0.0}
    assert score("<answer>Paris</answer>" * 10, TRUTH, method=method) == RIGHT
    assert score("<answer>Paris</answer>" * 11, TRUTH, method=method) == quarter
    assert score("</answer>" * 10 + respond("Paris"), TRUTH, method=method) == quarter
    assert score("<answer>" * 10 + respond("Paris"), TRUTH, method=method) == quarter


@pytest.mark.parametrize(
    "response",
    [
        "",
        "Paris",
        "<answer>Paris",
        "<answer></answer>",
        "<answer> \n </answer>",
        "<think><answer>Paris</answer>",
        "<think><answer>Paris</answer></think>",
        "<think>Hm.</think><search>capital</search><information>See <answer>Paris</answer></information>",
    ],
)
def test_no_answer(response):
    assert score(response, TRUTH) == NOTHING


def test_the_last_answer_decides():
    assert score("<answer>London</answer><answer>Paris</answer>", TRUTH) == RIGHT
    assert score("<answer>Paris</answer><answer>London</answer>", TRUTH) == WRONG


@pytest.mark.parametrize("method", METHODS)
def test_what_normalises_to_nothing_is_compared_as_it_stands(method):
    assert score(respond("A"), "A", method=method) == RIGHT
    assert score(respond("?"), "?", method=method) == RIGHT
    assert score(respond("the"), "A", method=method) == WRONG
    assert score(respond("Paris"), "?", method=method) == WRONG


@pytest.mark.parametrize(
    "truth",
    [
        "Paris",
        ["London", "Paris"],
        ("Paris",),
        numpy.array(["Paris"], dtype=object),
        {"target": "Paris"},
        {"target": numpy.array(["Paris", ""], dtype=object)},
        json.dumps(TRUTH),
        "\n" + json.dumps(TRUTH, indent=2),
        '["Paris"]',
    ],
)
def test_forms_of_the_ground_truth(truth):
    assert score(respond("Paris"), truth) == RIGHT


@pytest.mark.parametrize("title", ["[REC]", "{Intro}", "[" * 5000])
def test_an_answer_that_only_looks_like_json(title):
    assert score(respond(title), title) == RIGHT


@pytest.mark.parametrize(
    "truth", [None, 7, "", " ", [], [""], {}, {"target": []}, {"target": None}, {"target": [1]}, "[1]"]
)
def test_a_ground_truth_of_another_form_is_refused(truth):
    with pytest.raises(ValueError, match="search answers need .*'target'"):
        score(respond("Paris"), truth)


@pytest.mark.parametrize("method", ["EM", "", None, 1])
def test_an_unknown_method_is_refused(method):
    with pytest.raises(ValueError, match="method=.*'em', 'subem', 'f1'"):
        score("", TRUTH, method=method)


def test_nothing_is_printed_and_no_random_number_is_drawn(capsys):
    state = random.getstate()
    for _ in range(300):
        score(respond("Paris"), TRUTH)
    assert random.getstate() == state
    assert capsys.readouterr() == ("", "")


@given(st.text(max_size=40), st.sampled_from(METHODS))
def test_any_text_equals_itself(text, method):
    answer = text.strip()
    if answer and not any(tag in f"<{answer}" for tag in ("<answer", "</answer", "think>", "<think", "[", "{")):
        assert score(respond(answer), answer, method=method) == RIGHT


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "text",
    [
        "a " * 50_000,
        "x " * 50_000,
        "," * 100_000,
        " " * 100_000,
        "\n" * 100_000,
        "the" * 33_333,
        "\0" * 100_000,
        "\ud800" * 100_000,
        "<answer>" * 12_500,
        "</answer>" * 11_111,
        "<information>" * 7_692,
    ],
)
def test_hostile_answers_are_cheap(text, method, cpu_seconds):
    truth = {"target": [f"alias {number}" for number in range(50)]}
    with cpu_seconds(1):
        for response in (text, respond(text)):
            assert score(response, truth, method=method)["acc"] == 0.0
