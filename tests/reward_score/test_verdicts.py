r"""Verdicts by kind of answer, as verl asks for them: inputs of the kinds that public reports name (``F01`` to ``F29``)
and others of the same kinds (``own``), each kind with answers that must stay wrong.

Policies that the inputs rest on:

- Tags decide where no box follows their opening; in them, as in a statement, the value that comes first is the answer
  if words go on behind it ("18 dollars for 2 weeks").
- Brackets that separate by commas without a space hold a list: ``(100,200)`` is a pair, ``(1,000)`` too.
- ``\sqrt12`` is the root of twelve, though TeX takes one digit: nobody writes it for ``\sqrt{1}2``.
- "2 dozen" is 24 and never 2, "18k" and "18 million" are never 18, in GSM8K as in mathematics.
- A statement with "perhaps", "maybe", "might be" or "could be" states nothing; "probably" and "I think" state.
- A last number that heads a line as a step's or an item's is none, and no earlier number is taken for it.
- Of a number between 0 and 1, a percent sign is a hundredth: 0.5 % is not 0.5.
- Between two whole numbers an approximation sign joins two values.
"""

import json
from pathlib import Path

import pytest

from reward_score import compute_score

ROWS = [
    json.loads(line) for line in (Path(__file__).parent / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()
]


def acc(data_source: str, response: str, ground_truth: object) -> float:
    result = compute_score(data_source, response, ground_truth)
    assert not result.get("scorer_error")
    return result["acc"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_verdict(row):
    assert acc(row["data_source"], row["response"], row["ground_truth"]) == float(row["right"])


def test_the_marker_counts_however_much_follows():
    response = "2+40=42\n#### 42\n" + " and the reasoning above confirms this result." * 40
    assert acc("openai/gsm8k", response, "42") == 1.0
    assert acc("openai/gsm8k", response + " 43", "43") == 0.0


@pytest.mark.parametrize("gold", [["17", "18"], '["18", "\\\\frac{36}{2}"]', 18, "9*2=18\n#### 18", r"$\boxed{18}$"])
def test_golds_in_usual_forms(gold):
    assert acc("math", r"\boxed{18}", gold) == 1.0
    assert acc("math", r"\boxed{19}", gold) == 0.0


def test_a_gold_of_math_that_is_no_text_is_an_error():
    assert compute_score("math", r"\boxed{None}", None)["scorer_error"] == 1.0


@pytest.mark.parametrize("command", [r"\boxed{", r"\mathrm{", r"\mathbf{x", r"\text{", r"\sqrt{", r"{1 \over "])
@pytest.mark.parametrize("closed", [True, False])
def test_nested_commands_take_linear_time(command, closed, cpu_seconds):
    depth = 90_000 // len(command + "}")
    answer = command * depth + "7" + "}" * depth * closed
    acc("math", r"\boxed{7}", "7")
    with cpu_seconds(0.3):
        compute_score("math", rf"The final answer is $\boxed{{{answer}}}$.", "7")


@pytest.mark.parametrize(
    "piece",
    [
        *(r"\over ", r"{\over", r"{\sqrt{3} \over 2}", "(1,000", "[1,2[", r"]1,2[\cup ", r"\begin{cases}", r"x_1^2"),
        *(
            r"\text{ for all }",
            " for all ",
            r", k\in\mathbb{Z}",
            "(see above)",
            "最小值为",
            "a b ",
            r"\dot{3}",
            "0.333",
        ),
        *(
            "Step 7: ",
            "\n1. a",
            "? ",
            "not sure ",
            "answer is ",
            "Answer: 7\n",
            "#### ",
            "<answer>1</answer>",
            r"\pm 1,",
        ),
    ],
)
@pytest.mark.parametrize("length", [1_900, 90_000])
def test_repeated_pieces_take_bounded_time(piece, length, cpu_seconds):
    text = piece * (length // len(piece))
    acc("math", r"\boxed{7}", "7")
    for data_source in ("math", "openai/gsm8k"):
        for response in (rf"\boxed{{{text}}}", f"The answer is {text}"):
            with cpu_seconds(0.3):
                compute_score(data_source, response, "7")
