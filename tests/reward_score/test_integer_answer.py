import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_score.integer_answer import integer_answer

SIGNS = Path(__file__).resolve().parents[1] / "samples" / "gsm8k_signs.jsonl"


def test_every_gsm8k_answer_is_an_integer():
    """Even those with a comma or a sign: these are all of them."""
    rows = [json.loads(line) for line in SIGNS.read_text("utf-8").splitlines()]
    answers = [row["answer"].split("####")[1] for row in rows]
    assert sum("," in answer for answer in answers) == 93
    for answer in answers:
        assert integer_answer(f"<answer>{answer}</answer>") == 1.0, answer


@pytest.mark.parametrize("answer", ["18", "0", "007", "-3", "+3", "−3", "1,800", "-12,345,678", "\n18\n", "  18 "])
def test_integers(answer):
    assert integer_answer(f"<think>\nHm.\n</think>\n<answer>{answer}</answer>\n") == 1.0


@pytest.mark.parametrize(
    "answer",
    [
        *("", " ", "-", ",", "18.0", "18.", "1e3", "$18", "18%", "18 apples", "eighteen", "0x12", "--3", "- 3", "1/1"),
        *("18 or 19", "18\n19", "18,19", "1,8", "1,80", "1,8000", "1800,000", "1,,800", ",180", "180,", "1_800"),
        *("²", "x²", "１８", "٤٢", "½", "①", "Ⅷ", "1\0", "1\ud800"),
    ],
)
def test_everything_else(answer):
    assert integer_answer(f"<answer>{answer}</answer>") == 0.0


@pytest.mark.parametrize(
    "response",
    [
        "",
        "18",
        "#### 18",
        "<answer>18",
        "18</answer>",
        "</answer><answer>18",
        "<answer>18</answer><answer>19</answer>",
        "<answer>18</answer><answer>18</answer>",
        "<answer>18</answer></answer>",
        "<answer><answer>18</answer>",
    ],
)
def test_without_exactly_one_answer_there_is_no_reward(response):
    assert integer_answer(response) == 0.0


@given(st.integers(), st.sampled_from(["", ","]))
def test_any_integer_with_or_without_commas(number, comma):
    assert integer_answer(f"<answer>\n{number:{comma}}\n</answer>") == 1.0


@given(st.text(alphabet="0123456789,.-+ ²１", max_size=12))
def test_what_counts_is_plain_digits_in_one_run_or_in_thousands(answer):
    if integer_answer(f"<answer>{answer}</answer>"):
        first, *groups = answer.strip().removeprefix("-").removeprefix("+").split(",")
        assert (first + "".join(groups)).isascii()
        assert (first + "".join(groups)).isdigit()
        assert not groups or (len(first) <= 3 and {len(group) for group in groups} == {3})


@given(st.text())
def test_any_text_gets_a_score(response):
    assert integer_answer(response) == 0.0
    assert integer_answer(f"<answer>{response}</answer>") in (0.0, 1.0)


@pytest.mark.parametrize(
    "inside", ["9" * 10**6, "1," * 10**5, "111," * 10**5, "-" * 10**5, " " * 10**5, "<answer>" * 20_000]
)
def test_time_is_bounded_on_hostile_text(inside, cpu_seconds):
    with cpu_seconds(1):
        integer_answer(f"<answer>{inside}</answer>")
