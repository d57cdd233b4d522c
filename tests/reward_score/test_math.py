import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reward_score import math
from reward_score.extraction import last_boxed
from tests.full_data import FULL_DATA, SAMPLES, needs
from tests.reward_score.verdict_alone import verdict_alone

score = verdict_alone(math.score)

SAMPLE = Path(__file__).resolve().parents[2] / "data_prep" / "samples"
GRADING = SAMPLES / "grading"


def read(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def verdict(row: dict) -> float:
    response = rf"The final answer is $\boxed{{{row['pred']}}}$." if row["kind"] == "answer" else row["pred"]
    return score(response, row["gold"])["acc"]


def test_right_wrong_and_form():
    assert score(r"So it is $\boxed{\frac{1}{2}}$.", "0.5") == {
        "score": 1.0,
        "acc": 1.0,
        "format": 1.0,
        "scorer_error": 0.0,
    }
    assert score(r"So it is $\boxed{2}$.", "0.5") == {"score": 0.0, "acc": 0.0, "format": 1.0, "scorer_error": 0.0}
    assert score("The answer is 0.5.", "0.5") == {"score": 1.0, "acc": 1.0, "format": 0.0, "scorer_error": 0.0}
    assert score("The answer is 0.5.", "0.5", method="boxed")["acc"] == 0.0
    assert score(r"\boxed{2}", "0.5", format_weight=0.1)["score"] == pytest.approx(0.1)
    with pytest.raises(ValueError, match="method='loose'"):
        score("1", "1", method="loose")


@pytest.mark.parametrize(
    "response",
    [
        r"<think>maybe \boxed{508}</think> I do not know.",
        r"<think>\boxed{508}",
        r"\boxed{508} no, \boxed{509}",
        r"\boxed{509} \fbox{508}",
        r"\boxed{509 \boxed{508}}",
        r"\boxed{509} although some say 508.",
        "The answer is not 508.",
        "The answer is 508 or 509.",
        "Is the answer 508? No, it is 509.",
        "Answer: 508\nAnswer: 509",
        "508, 509",
        r"\boxed{}",
        "",
    ],
)
def test_the_gold_somewhere_in_the_response_is_not_enough(response):
    assert score(response, "508")["acc"] == 0.0


def test_boxes_side_by_side_answer_a_list():
    assert score(r"\boxed{1} and \boxed{2}", "1,2")["acc"] == 1.0
    assert score(r"\boxed{1} and \boxed{3}", "1,2")["acc"] == 0.0
    assert score(r"\boxed{1} and \boxed{2}", "2")["acc"] == 1.0  # the last box decides


def test_a_verdict_out_of_time_is_no_verdict(monkeypatch):
    def undecided(answer, gold):
        raise math.UndecidedError

    monkeypatch.setattr(math, "equivalent", undecided)
    assert score(r"\boxed{x}", "y") == {"score": 0.0, "acc": 0.0, "format": 1.0, "scorer_error": 1.0}


@pytest.mark.parametrize(
    "file",
    [
        SAMPLE / "math" / "test.jsonl",
        SAMPLE / "math500" / "test.jsonl",
        pytest.param(FULL_DATA / "math" / "test.jsonl", marks=needs("math/test.jsonl")),
        pytest.param(FULL_DATA / "math500" / "test.jsonl", marks=needs("math500/test.jsonl")),
    ],
    ids=["sample-math", "sample-math500", "full-math", "full-math500"],
)
def test_every_reference_solution_of_math_is_right(file):
    rows = read(file)
    assert rows
    for row in rows:
        gold = last_boxed(row["solution"])
        assert score(row["solution"], gold)["acc"] == 1.0, row


def test_the_solution_of_another_problem_is_wrong():
    rows = read(SAMPLE / "math" / "test.jsonl")
    pairs = [(row["solution"], last_boxed(other["solution"])) for row in rows for other in rows]
    accepted = [(last_boxed(solution), gold) for solution, gold in pairs if score(solution, gold)["acc"]]
    assert len(pairs) == 64**2
    assert [(answer, gold) for answer, gold in accepted if answer != gold] == []


@needs("math/test.jsonl")
def test_the_solution_of_another_problem_is_wrong_in_all_of_math():
    rows = read(FULL_DATA / "math" / "test.jsonl")
    golds = [last_boxed(row["solution"]) for row in rows]
    accepted = [
        (last_boxed(row["solution"]), gold)
        for row, gold in zip(rows, golds[1000:] + golds[:1000], strict=True)
        if score(row["solution"], gold)["acc"]
    ]
    different = [(answer, gold) for answer, gold in accepted if answer != gold]
    assert different == [(r"\frac{1}{2}", "1:2")]  # a ratio is a quotient
    assert len(accepted) < 60  # the same small numbers in two problems


def test_labelled_gsm8k_solutions():
    rows = read(GRADING / "gsm8k_openai_solutions.jsonl")
    assert [row for row in rows if verdict(row) != row["label"]] == []


def test_hack_templates():
    assert [row for row in read(GRADING / "hacks.jsonl") if verdict(row)] == []


def test_rewritten_golds():
    rows = [row for row in read(GRADING / "metamorphic.jsonl") if not row["soft"]]
    wrong_verdicts = [(row["pred"], row["gold"]) for row in rows if verdict(row) != row["label"]]
    # The rule behind these two labels writes a digit behind a decimal, and the digit is 0: they are equal.
    assert wrong_verdicts == [(r"237.50\%", r"237.5\%"), (r"7.20\%", r"7.2\%")]


@pytest.mark.parametrize(
    ("file", "disagreements"), [("hendrycks_tests", 2), ("nemo_skills_tests", 2), ("misc_unit_tests", 0)]
)
def test_unit_tests_of_other_graders(file, disagreements):
    # Hendrycks' two ask for the order of a list without brackets, NeMo's two take "any text" for a unit.
    assert sum(verdict(row) != row["label"] for row in read(GRADING / f"{file}.jsonl")) == disagreements


def test_honest_answers_behind_hostile_ones_have_their_verdicts():
    hostile = [(r"\boxed{9^{9^{9^{9}}}}", "42"), (r"\boxed{\sum_{k=1}^{10^9} \frac{1}{k}}", "x^2+1")] * 16
    honest = [(rf"\boxed{{{value}.0}}", str(value)) for value in range(16)]
    with ThreadPoolExecutor(16) as pool:
        for pair in hostile:
            pool.submit(score, *pair)
        verdicts = list(pool.map(lambda pair: score(*pair)["acc"], honest))
    assert verdicts == [1.0] * 16
