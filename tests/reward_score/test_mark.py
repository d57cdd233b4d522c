import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_score.mark import mark

GOOD = "<think>\nTwo and two\nmake four.\n</think>\n<answer>\n4\n</answer>\n"


@pytest.mark.parametrize(
    ("response", "reward"),
    [
        (GOOD, 0.5),
        (GOOD.strip(), 0.5),
        (GOOD.replace("\n", " "), 0.5),
        ("</answer></think><answer><think>", 0.5),
        (GOOD.replace("</answer>", ""), 0.375),
        ("<think>\nTwo\n</think>\n4", 0.25),
        ("<think>", 0.125),
        ("4", 0.0),
        ("", 0.0),
        (GOOD + GOOD, 0.0),
        (GOOD + "<answer>\n5\n</answer>", 0.25),
    ],
)
def test_value(response, reward):
    assert mark(response) == reward


def test_the_tags_are_those_asked_for():
    assert mark(GOOD.replace("think>", "reasoning>"), tags="reasoning") == 0.5
    assert mark(GOOD, tags="reasoning") == 0.25
    with pytest.raises(ValueError, match="tags='xml': write one of 'think', 'reasoning'"):
        mark(GOOD, tags="xml")


@given(st.lists(st.sampled_from(["<think>", "</think>", "<answer>", "</answer>", "x"]), max_size=8))
def test_the_reward_counts_the_marks_that_stand_once(pieces):
    once = sum(pieces.count(tag) == 1 for tag in ("<think>", "</think>", "<answer>", "</answer>"))
    assert mark("".join(pieces)) == once / 8


@pytest.mark.parametrize("response", ["<" * 100_000, "\0" * 100_000, "\ud800" * 100_000, "<think>" * 20_000])
def test_time_is_bounded_on_hostile_text(response, cpu_seconds):
    with cpu_seconds(1):
        assert mark(response) == 0.0
