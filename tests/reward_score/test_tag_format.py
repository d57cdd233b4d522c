import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reward_score.tag_format import TAGS, soft_format, strict_format

GSM8K = Path(__file__).resolve().parents[2] / "data_prep" / "samples" / "gsm8k"
GOOD = "<think>\nTwo and two\nmake four.\n</think>\n<answer>\n4\n</answer>"

pieces = st.sampled_from(["<think>", "</think>", "<answer>", "</answer>", "\n", " ", "4", "x\ny", "\u200b"])


@pytest.mark.parametrize("tags", ["think", "reasoning"])
@pytest.mark.parametrize("end", ["", "\n"])
def test_every_gsm8k_solution_in_the_asked_form_passes(tags, end):
    rows = [
        json.loads(line)
        for name in ("train", "test")
        for line in (GSM8K / f"{name}.jsonl").read_text("utf-8").splitlines()
    ]
    assert len(rows) == 200
    for row in rows:
        thought, answer = row["answer"].split("####")
        response = f"<{tags}>\n{thought.strip()}\n</{tags}>\n<answer>\n{answer.strip()}\n</answer>{end}"
        assert strict_format(response, tags=tags) == soft_format(response, tags=tags) == 1.0, response
        assert strict_format(row["answer"], tags=tags) == soft_format(row["answer"], tags=tags) == 0.0


@pytest.mark.parametrize(
    ("response", "strict", "soft"),
    [
        (GOOD, 1.0, 1.0),
        (GOOD + "\n", 1.0, 1.0),
        (GOOD + "\n\n", 0.0, 1.0),
        (GOOD + "\nIt is 5.", 0.0, 1.0),
        ("\n" + GOOD, 0.0, 1.0),
        ("Sure! " + GOOD, 0.0, 1.0),
        (GOOD.replace("\n", ""), 0.0, 1.0),
        (GOOD.replace("\n", "\r\n"), 0.0, 1.0),
        (GOOD.replace("</think>\n<answer>", "</think> \n\t\n<answer>"), 0.0, 1.0),
        (GOOD.replace("</think>\n<answer>", "</think>\nSo:\n<answer>"), 0.0, 0.0),
        (GOOD.replace("</answer>", ""), 0.0, 0.0),
        (GOOD.replace("<think>\n", ""), 0.0, 0.0),
        (GOOD.replace("<answer>", "<ANSWER>"), 0.0, 0.0),
        ("<answer>\n4\n</answer>\n<think>\nTwo and two.\n</think>", 0.0, 0.0),
        ("<think>\nTwo <answer>\n4\n</answer> and two.\n</think>", 0.0, 0.0),
        ("4", 0.0, 0.0),
        ("", 0.0, 0.0),
    ],
)
def test_what_strict_and_soft_accept(response, strict, soft):
    assert strict_format(response) == strict
    assert soft_format(response) == soft


@pytest.mark.parametrize("empty", ["\n", "\n\n", "\n \t\n", "\n\u200b\n", "\n\u2060\ufeff\n", ""])
def test_an_empty_thought_or_answer_earns_nothing(empty):
    for response in (
        f"<think>{empty}</think>\n<answer>\n4\n</answer>",
        f"<think>\n4\n</think>\n<answer>{empty}</answer>",
    ):
        assert strict_format(response) == soft_format(response) == 0.0


@pytest.mark.parametrize(
    "response",
    [
        GOOD + "\n<answer>\n5\n</answer>",
        GOOD + "\n" + GOOD,
        GOOD + "</answer>",
        GOOD.replace("Two", "I will write <answer> later. Two"),
        GOOD.replace("4", "4</answer> or <answer>5"),
    ],
)
def test_several_answers_or_repeated_tags_earn_nothing(response):
    assert strict_format(response) == soft_format(response) == 0.0


def test_the_tags_are_those_asked_for():
    reasoning = GOOD.replace("think>", "reasoning>")
    assert strict_format(reasoning, tags="reasoning") == soft_format(reasoning, tags="reasoning") == 1.0
    assert strict_format(reasoning) == soft_format(reasoning) == 0.0
    assert strict_format(GOOD, tags="reasoning") == soft_format(GOOD, tags="reasoning") == 0.0


@pytest.mark.parametrize("function", [strict_format, soft_format])
@pytest.mark.parametrize("tags", ["thinking", "", None, ["think"]])
def test_unknown_tags_are_refused(function, tags):
    with pytest.raises(ValueError, match="tags=.*'think', 'reasoning'"):
        function(GOOD, tags=tags)


@given(st.lists(pieces, max_size=12).map("".join))
@example(GOOD)
def test_strict_implies_soft_and_soft_implies_each_tag_once(response):
    strict, soft = strict_format(response), soft_format(response)
    assert {strict, soft} <= {0.0, 1.0}
    assert strict <= soft
    if soft:
        assert [response.count(tag) for tag in TAGS["think"]] == [1, 1, 1, 1]


@given(*[st.text(alphabet=st.characters(exclude_characters="<"), max_size=50)] * 4)
def test_the_form_decides_whatever_the_texts_are(before, thought, answer, after):
    form = f"<think>\n{thought}x\n</think>\n<answer>\n{answer}4\n</answer>"
    assert strict_format(form) == soft_format(before + form + after) == 1.0
    assert strict_format(before + form + after) == float(before == "" and after in ("", "\n"))


@given(st.text())
def test_any_text_gets_a_score(response):
    assert {strict_format(response), soft_format(response)} <= {0.0, 1.0}


@pytest.mark.parametrize(
    "response",
    [
        "a" * 100_000,
        "\0" * 100_000,
        "\ud800" * 100_000,
        "<" * 100_000,
        "<think>" * 20_000,
        "<think>\n" + "</think>\n<answer>\n" * 6_000,
        GOOD.replace("4", "\u200b" * 100_000),
        GOOD.replace("\n<answer>", " " * 100_000 + "<answer>"),
    ],
    ids=lambda text: repr(text[:12]),
)
def test_time_is_bounded_on_hostile_text(response, cpu_seconds):
    with cpu_seconds(1):
        strict_format(response)
        soft_format(response)
