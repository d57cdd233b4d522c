import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_score import knights_and_knaves
from tests.reward_score.verdict_alone import verdict_alone

score = verdict_alone(knights_and_knaves.score)

SAMPLE = Path(__file__).resolve().parents[2] / "data_prep" / "samples" / "kk_logic"

TRUTH = "(1) Zoey is a knight\n(2) Oliver is a knave\n(3) Mia is a knight"

RIGHT = {"score": 3.0, "acc": 1.0, "format": 1.0}
WRONG = {"score": -0.5, "acc": 0.0, "format": 1.0}
UNREADABLE = {"score": -1.0, "acc": 0.0, "format": 1.0}
BAD_FORMAT = {"score": -3.0, "acc": 0.0, "format": 0.0}


def respond(answer: str) -> str:
    """A response to a prompt that ends in <think>, as the data's prompts do."""
    return f"Assume that Zoey is a knave.</think>\n<answer>{answer}</answer>"


def rows() -> list[dict]:
    files = sorted(SAMPLE.glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def test_the_solutions_of_the_published_data_are_right():
    found = rows()
    assert len(found) == 96
    for row in found:
        truth = row["solution_text_format"]
        for answer in (row["solution_text_format"], row["solution_text"], row["solution_text"].replace(" is a", ":")):
            assert score(respond(answer), truth) == RIGHT, row


def test_every_other_assignment_to_the_published_puzzles_is_wrong():
    for row in rows():
        names, solution = row["names"], row["solution"]
        for number in range(2 ** len(names)):
            roles = [bool(number >> place & 1) for place in range(len(names))]
            answer = ", ".join(
                f"{name} is a {'knight' if role else 'knave'}" for name, role in zip(names, roles, strict=True)
            )
            expected = RIGHT if roles == solution else WRONG
            assert score(respond(answer), row["solution_text_format"]) == expected


@pytest.mark.parametrize(
    "answer",
    [
        TRUTH,
        "Zoey is a knight, Oliver is a knave, and Mia is a knight.",
        "**Zoey** is a **knight**, **Oliver** is a *knave*, `Mia` is a knight",
        "Mia is a knight\nZoey is a knight\nOliver is a knave",
        "1. ZOEY IS A KNIGHT\n2. OLIVER IS A KNAVE\n3. MIA IS A KNIGHT",
        "- Zoey: Knight\n- Oliver: Knave\n- Mia: Knight",
        "Zoey is knight; Oliver is knave; Mia is knight",
        "Zoey is\na knight, Oliver   is a knave,\tMia = knight",
    ],
)
def test_spellings_of_the_solution(answer):
    assert score(respond(answer), TRUTH) == RIGHT


@pytest.mark.parametrize(
    "answer",
    [
        "Zoey is a knave, Oliver is a knave, Mia is a knight",
        "Zoey is a knave, Oliver is a knight, Mia is a knave",
    ],
)
def test_a_wrong_role(answer):
    assert score(respond(answer), TRUTH) == WRONG


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "knight, knave, knight",
        "Zoey is a knight, Oliver is a knave",
        "Zoey is a knight, Oliver is a knave, Emma is a knight",
        # a name twice, and a contradiction
        f"{TRUTH}\nMia is a knight",
        f"{TRUTH}\nMia is a knave",
        "Zoey is a knight, Oliver is a knave, Oliver is a knight",
        "Zoey is a knight, Zoey is a knave, Oliver is a knight, Oliver is a knave, Mia is a knight, Mia is a knave",
        # several names to one role
        "Zoey and Mia are knights, Oliver is a knave",
        "Zoey and Mia is a knight, Oliver is a knave, Emma is a knave",
        # doubt
        "Zoey is a knight or a knave, Oliver is a knave, Mia is a knight",
        "Zoey is not a knight, Oliver is a knave, Mia is a knight",
        "It is not the case that Zoey is a knight, Oliver is a knave, Mia is a knight",
        "Zoey isn't a knave, Oliver is a knave, Mia is a knight",
        "If Zoey is a knight, Oliver is a knave, Mia is a knight",
        "Either Zoey is a knight, Oliver is a knave, Mia is a knight",
        "Maybe Zoey is a knight, Oliver is a knave, Mia is a knight",
        # an explanation
        f"{TRUTH} because knaves lie",
        "Zoey claims that Oliver is a knave, Mia is a knight, Zoey is a knight, Oliver is a knave",
    ],
)
def test_an_answer_that_is_not_one_role_for_each_name(answer):
    assert score(respond(answer), TRUTH) == UNREADABLE


def test_a_name_within_a_name():
    truth = "(1) Ann is a knave\n(2) Mary Ann is a knight\n(3) Joann is a knight"
    assert score(respond("Mary Ann is a knight, Joann is a knight, Ann is a knave"), truth) == RIGHT
    assert score(respond("Mary Ann is a knave, Joann is a knight, Ann is a knight"), truth) == WRONG
    assert score(respond("Joann is a knave, Joann is a knight, Mary Ann is a knight"), truth) == UNREADABLE


def test_the_opening_tag_may_be_part_of_the_response():
    assert score(f"<think>{respond(TRUTH)}", TRUTH) == RIGHT
    assert score(f"<think></think><answer>{TRUTH}</answer>", TRUTH) == RIGHT  # an empty thought passes, as published


@pytest.mark.parametrize(
    ("response", "acc"),
    [
        (f"<answer>{TRUTH}</answer>", 1.0),
        (f"<think>hm<think>{respond(TRUTH)}", 1.0),
        (f"hm</think>{respond(TRUTH)}", 1.0),
        (f"hm</think><answer>none</answer><answer>{TRUTH}</answer>", 1.0),
        (f"hm</think><answer>{TRUTH}</answer><answer>none</answer>", 0.0),
        (f"<answer>{TRUTH}</answer></think>", 0.0),
        (f"hm</think><answer>{TRUTH}", 0.0),
        (f"hm</think>{TRUTH}", 0.0),
        (f"hm</think></answer>{TRUTH}<answer>", 0.0),
        (f"hm</think><answer>{TRUTH}</answer><think>", 0.0),
        (TRUTH, 0.0),
        ("", 0.0),
    ],
)
def test_a_wrong_format_earns_the_least_whatever_the_answer(response, acc):
    assert score(response, TRUTH) == {**BAD_FORMAT, "acc": acc}


@pytest.mark.parametrize(
    "truth",
    [
        {"solution_text_format": TRUTH, "statements": "(...)"},
        json.dumps({"solution_text_format": TRUTH}),
        " " + json.dumps({"solution_text_format": TRUTH}, indent=2),
        TRUTH.replace("\n", "\r\n"),
    ],
)
def test_forms_of_the_ground_truth(truth):
    assert score(respond(TRUTH), truth) == RIGHT


@pytest.mark.parametrize(
    "truth",
    [
        None,
        3,
        "",
        "Zoey",
        "{",
        [],
        {},
        {"solution_text_format": None},
        "Zoey is a knight\nZoey is a knave",
        "Zoey is a spy",
    ],
)
def test_a_ground_truth_of_another_form_is_refused(truth):
    with pytest.raises(ValueError, match="'solution_text_format': '\\(1\\) Zoey is a knight"):
        score(respond(TRUTH), truth)


words = st.sampled_from(
    ["Zoey", "Oliver", "Mia", "is a", "is", ":", "knight", "knave", "not", "or", "and", ",", "\n", "(1)", "**"]
)


@given(st.lists(words, max_size=25).map(" ".join))
def test_the_score_is_one_of_the_published_values(answer):
    assert score(respond(answer), TRUTH) in (RIGHT, WRONG, UNREADABLE)


@pytest.mark.parametrize(
    "text",
    [
        "Zoey is a knight " * 6000,
        "knight" * 16_000,
        "Zoey " * 20_000,
        "Zoey" + " " * 100_000 + "is a knight",
        "Zoey is" + " a" * 50_000,
        ":" * 100_000,
        "*" * 100_000,
        "\0" * 100_000,
        "\ud800" * 100_000,
        "İ" * 100_000,
        "<answer>" * 12_500,
        "</answer>" * 11_111,
        "<think></think>" * 6_666,
    ],
)
def test_hostile_answers_are_cheap(text, cpu_seconds):
    with cpu_seconds(1):
        for response in (text, respond(text)):
            assert score(response, TRUTH)["score"] < 0
        score(respond(text + TRUTH), TRUTH)
