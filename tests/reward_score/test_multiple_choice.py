import json
from pathlib import Path

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_score import multiple_choice
from reward_score.multiple_choice import TAIL, chosen_letter
from tests.reward_score.verdict_alone import verdict_alone

score = verdict_alone(multiple_choice.score)

GRADING = Path(__file__).resolve().parents[1] / "samples" / "grading"

CHOICES = {"A": "London", "B": "Paris", "C": "Rome", "D": "Oslo"}


def rows(file: str) -> list[dict]:
    return [json.loads(line) for line in (GRADING / file).read_text(encoding="utf-8").splitlines()]


def test_agreement_with_the_labelled_answers():
    found = [row for row in rows("lighteval_tests.jsonl") if row["kind"] == "mcq"]
    assert len(found) == 15
    for row in found:  # four of them in French or Chinese
        assert score(row["pred"], row["gold"])["acc"] == row["label"], row


def test_agreement_with_the_choices_among_the_rewritten_answers():
    found = [row for row in rows("metamorphic.jsonl") if row.get("category") == "choice"]
    assert {row["label"] for row in found} == {0, 1}
    for row in found:
        assert score(rf"So it is $\boxed{{{row['pred']}}}$.", row["gold"])["acc"] == row["label"], row


@pytest.mark.parametrize(
    "response",
    [
        # box
        r"\boxed{B}",
        r"\boxed{(B)}",
        r"\boxed{b}",
        r"So $\boxed{\text{(B)}}$.",
        r"\boxed{\textbf{(B)}\ 12}",
        r"\boxed{\mathrm{B}}",
        r"\boxed{\text{B. Paris}}",
        r"\boxed{B: Paris}",
        r"Final Answer: The final answer is $\boxed{B}$. I hope it is correct.",
        # tags
        "<answer>B</answer>",
        "<answer> (B) Paris </answer>",
        "<answer>The answer is B.</answer>",
        r"<answer>\boxed{B}</answer>",
        "<answer>B because A is wrong</answer>",
        r"\boxed{B since C or D would be too long}",
        "<think>A, C, D</think><answer>B</answer>",
        # statement
        "The answer is B",
        "the answer is (B).",
        "The answer is: **B**",
        "Answer: B",
        "**Answer:** B",
        "ANSWER: B",
        "Answer: (B) Paris",
        "answer (B)",
        "### Answer\n\nB",
        "Answer: b",
        "The answer is option (b)",
        "The answer to the last question is B",
        "The correct answer is therefore B) Paris.",
        "The correct option is **B) Paris**",
        "the best choice is B, since A, C and D are wrong",
        "The answer is B, A is wrong",
        "The answer is B and C is wrong",
        "The answer is B. It might be A if it rained.",
        "The answer is B, which is not A or C.",
        "The answer is not A but B",
        "The answer is for sure B, it can't be A or C",
        "B is the correct answer.",
        "This makes (B) the best choice.",
        "答案是B",
        "答案：**B**",
        "正确答案为 (B)。",
        "la réponse est B",
        "La respuesta correcta es B",
        "Die Antwort ist B.",
    ],
)
def test_right_in_the_form_that_is_asked_for(response):
    assert score(response, "B") == {"score": 1.0, "acc": 1.0, "format": 1.0}


@pytest.mark.parametrize(
    "response",
    [
        "B",
        "B.",
        "(B)",
        "**B**",
        "b",
        "Let me think. A is a city.\n\nB",
        "B. Paris is the capital, so it can't be A or C.",
        "B) Paris",
        "It's not A because it rains, therefore I think it's B",
        "I choose B.",
        "Option B is correct.",
        "Is the answer A? No, it's B.",
        "I don't think the answer is A, it's B",
    ],
)
def test_right_in_a_weaker_form(response):
    assert score(response, "B") == {"score": 1.0, "acc": 1.0, "format": 0.0}


@pytest.mark.parametrize("gold", "AB")
@pytest.mark.parametrize(
    "hedge", ["B or maybe A", "B, maybe A", "B (perhaps A)", "B or possibly A", "B or rather A", "B. Or A.", "B\nor A"]
)
@pytest.mark.parametrize(
    "form", ["%s", "The answer is %s", "Answer: %s", "I choose %s", "<answer>%s</answer>", r"\boxed{%s}", "**%s**"]
)
def test_a_doubt_is_a_hedge(form, hedge, gold):
    assert score(form % hedge, gold)["acc"] == 0.0


def test_a_doubt_after_the_statement_is_a_hedge():
    assert chosen_letter("B is correct, or maybe A") is None
    assert chosen_letter("B is the correct answer. Perhaps A.") is None
    assert chosen_letter("B is correct. A, C and D are wrong") == "B"


@pytest.mark.parametrize("gold", "ABCD")
@pytest.mark.parametrize(
    "response",
    [
        r"\boxed{A,B,C,D}",
        r"\boxed{ABCD}",
        r"\boxed{A B C D}",
        r"\boxed{\text{A, B, C or D}}",
        r"\boxed{A}\boxed{B}\boxed{C}\boxed{D}",
        r"\boxed{A}, \boxed{B}, \boxed{C} or \boxed{D}",
        "<answer>A, B, C, D</answer>",
        "<answer>(A) (B) (C) (D)</answer>",
        "<answer>A or B or C or D</answer>",
        "The answer is A or B or C or D.",
        "The answer is A, B, C, D",
        "The answer is A/B/C/D",
        "The answer is (A), (B), (C) and (D).",
        "The answer is either A, B, C or D",
        "Answer: A\nAnswer: B\nAnswer: C\nAnswer: D",
        "The answer is A. The answer is B. The answer is C. The answer is D.",
        "A, B, C, D",
        "A or B or C or D",
        "ABCD",
        "A\nB\nC\nD",
        "A. London\nB. Paris\nC. Rome\nD. Oslo",
        "I choose A, B, C, D",
        "Which is it, A, B, C or D?",
    ],
)
def test_a_hedge_is_wrong_whatever_the_right_letter(response, gold):
    assert score(response, gold) == {"score": 0.0, "acc": 0.0, "format": 0.0}
    assert score(response, {"answer": gold, "choices": CHOICES})["acc"] == 0.0


@pytest.mark.parametrize(
    "response",
    [
        "",
        "The answer is not B",
        "The answer isn't B.",
        "The answer cannot be B",
        "I don't think the answer is B",
        "Is the answer B?",
        "The answer is neither B nor C",
        "The answer is Boron",
        r"\boxed{B^2}",
        r"\boxed{B = 5}",
        "<think>The answer is B",
        "<think>The answer is B</think>",
        "A better answer would be hard to find",
        "The answer is B" + " and so on" * TAIL,
        r"\boxed{A} because B",
        "<answer>A</answer> or B",
        "B or not B, the answer is C",
    ],
)
def test_no_answer_or_another(response):
    assert score(response, "B")["acc"] == 0.0


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("The answer is A dog.", None),
        ("The answer is a mystery", None),
        ("Answer: I think that all are wrong", None),
        ("The answer is A because dogs bark", "A"),
        ("the answer is a", "A"),
        ("The answer is I.", "I"),
        ("Answer: I", "I"),
    ],
)
def test_articles_and_pronouns_are_no_letters(response, letter):
    assert chosen_letter(response) == letter


@pytest.mark.parametrize(
    "response",
    [
        "The answer is A. Wait, Rome is no capital of France, let me check again. The answer is B.",
        r"At first \boxed{A} looks right. Yet it is \boxed{B}.",
        "<answer>A</answer>No.<answer>B</answer>",
    ],
)
def test_a_later_answer_corrects_an_earlier_one(response):
    assert chosen_letter(response) == "B"


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("Paris", "B"),
        ("**Paris.**", "B"),
        (r"\boxed{Paris}", "B"),
        (r"\boxed{\text{paris}}", "B"),
        ("<answer> Paris </answer>", "B"),
        ("<answer>London or Paris</answer>", None),
        ("Paris London", None),
        (r"\boxed{London}, \boxed{Paris}", None),
        (r"\boxed{A}, \boxed{Paris}", None),
    ],
)
def test_the_text_of_a_choice(response, letter):
    assert chosen_letter(response, CHOICES) == letter
    assert chosen_letter(response) in (None, "A")


def test_formulas_are_compared_with_their_braces():
    choices = {"A": r"\frac{11}{2}", "B": r"\frac{1}{12}"}
    assert chosen_letter(r"\boxed{\frac{1}{12}}", choices) == "B"
    assert chosen_letter(r"\boxed{\frac{11}{2}}", choices) == "A"


@pytest.mark.parametrize(
    "truth",
    [
        "B",
        "b",
        "(B)",
        r"\text{(B)}",
        "B. Paris",
        "B) Paris",
        "(B) Paris",
        "B Paris",
        "The answer is\n(B) Paris",
        {"answer": "B"},
        {"answer": "B", "choices": ["London", "Paris"]},
        {"answer": "Paris", "choices": ["London", "Paris"]},
        {"answer": "Paris", "choices": numpy.array(["London", "Paris"], dtype=object)},
        {"answer": "Paris", "choices": {"a": "London", "(b)": "Paris", "C": None}},
        json.dumps({"answer": "paris", "choices": ["London", "Paris"]}, indent=1),
        ' {"answer": "B"}',
    ],
)
def test_forms_of_the_ground_truth(truth):
    assert score("The answer is B", truth)["acc"] == 1.0
    assert score("The answer is A", truth)["acc"] == 0.0


@pytest.mark.parametrize(
    "truth",
    [
        None,
        1,
        "",
        "Paris",
        "A or B",
        "{1,2}",
        "[1,2]",
        {},
        {"answer": 1, "choices": ["x", "y"]},
        {"answer": "Bonn", "choices": ["London", "Paris"]},
        {"answer": "C", "choices": ["London", "Paris"]},
        {"answer": "Paris", "choices": ["Paris", "Paris"]},
    ],
)
def test_a_ground_truth_without_a_letter_is_refused(truth):
    with pytest.raises(ValueError, match="multiple choice needs a letter"):
        score("The answer is B", truth)


@given(
    st.sampled_from([r"\boxed{%s}", "The answer is %s.", "Answer: (%s)", "<answer>%s</answer>", "**%s**"]),
    st.sampled_from("ABCDEFGHIJ"),
    st.sampled_from("ABCDEFGHIJ"),
)
def test_only_the_same_letter_is_right(form, letter, gold):
    assert score(form % letter, gold)["acc"] == float(letter == gold)


pieces = st.sampled_from(
    [
        "the answer is",
        "Answer:",
        "A",
        "B",
        "(C)",
        "or",
        "and",
        "not",
        ",",
        ".",
        "\n",
        r"\boxed{",
        "}",
        "<answer>",
        "I",
        "?",
    ]
)


@given(st.lists(pieces, max_size=30).map(" ".join))
def test_at_most_one_letter_is_right(response):
    assert sum(score(response, gold)["acc"] for gold in "ABCDEFGHI") <= 1


@pytest.mark.parametrize(
    "text",
    [
        "answer " * 14_000,
        "answer is " * 10_000,
        "answer" + " " * 100_000 + "B",
        "answer" + " most" * 20_000,
        "answer not A but " * 6_000,
        "A, " * 33_000,
        "A or maybe " * 9_000,
        "A or " + "maybe " * 16_000,
        "answer A" + " " * 50_000 + "or" + " " * 50_000 + "x",
        "(A) or " * 14_000,
        "A\n" * 50_000 + "x",
        "answer: b" + "." * 100_000 + "x",
        "B" + " " * 100_000 + "x",
        "(" * 100_000,
        "{" * 100_000,
        r"\boxed{A}" * 11_000,
        r"\boxed{" * 14_000,
        r"\text{" * 16_000,
        "<answer>" * 12_500,
        "\0" * 100_000,
        "\ud800" * 100_000,
        "\n" * 100_000,
    ],
)
def test_hostile_answers_are_cheap(text, cpu_seconds):
    with cpu_seconds(1):
        truth = {"answer": "D", "choices": CHOICES}
        for response in (text, rf"\boxed{{{text}}}", f"<answer>{text}</answer>"):
            assert score(response, truth)["acc"] == 0.0
