import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_score.tag_count import tag_count

GOOD = "<think>\nTwo and two\nmake four.\n</think>\n<answer>\n4\n</answer>"


@pytest.mark.parametrize(
    ("response", "reward"),
    [
        (GOOD, 0.5),
        (GOOD + "\n", 0.5),
        (GOOD + "\n\n", 0.499),
        (GOOD + ".", 0.499),
        (GOOD + "\n" + "x" * 500, 0.0),
        (GOOD + "\n" + "x" * 2000, -1.5),
        ("", 0.0),
        ("4", 0.0),
        ("4" * 5000, 0.0),
        ("<think>\nTwo", 0.125),
        ("<think>\nTwo\n</think>\n", 0.25),
        ("<think>\nTwo\n</think>\n<answer>\n4", 0.375),
        ("<think>Two</think><answer>4</answer>", 0.0),
        ("<think>\nTwo\n</think>\n<answer>4</answer>", 0.25),
        (GOOD.replace("<think>", "<think> <think>"), 0.375),
    ],
)
def test_value(response, reward):
    assert tag_count(response) == pytest.approx(reward, abs=1e-12)


def test_a_missing_final_newline_costs_nothing_however_long_the_response():
    assert tag_count(GOOD.replace("Two", "Two " * 5000)) == 0.5


def test_a_second_answer_or_closing_tag_costs_more_than_it_brings():
    assert tag_count(GOOD + "\n<answer>\n5\n</answer>") == pytest.approx(0.25 - 0.001 * len("<answer>\n5\n</answer>"))
    # The first closing tag counts, so the text between two of them is charged as well.
    assert tag_count(GOOD + "\n" + "x" * 500 + "\n</answer>") == pytest.approx(
        0.375 - 0.001 * (500 + len("\n</answer>"))
    )


def test_the_tags_are_those_asked_for():
    assert tag_count(GOOD.replace("think>", "reasoning>"), tags="reasoning") == 0.5
    assert tag_count(GOOD, tags="reasoning") == 0.25
    with pytest.raises(ValueError, match="tags='xml': write one of 'think', 'reasoning'"):
        tag_count(GOOD, tags="xml")


@given(st.text(alphabet="ab \n", max_size=300))
def test_each_trailing_character_costs_a_thousandth_once(trailing):
    assert tag_count(f"{GOOD}\n{trailing}") == pytest.approx(0.5 - 0.001 * len(trailing), abs=1e-12)


@given(st.lists(st.sampled_from(["<think>", "</think>", "<answer>", "</answer>", "\n", "x"]), max_size=15).map("".join))
def test_never_above_a_half_and_only_then_with_each_tag_once(response):
    reward = tag_count(response)
    assert reward <= 0.5
    if reward == 0.5:
        assert all(response.count(tag) == 1 for tag in ("<think>\n", "\n</think>\n", "\n<answer>\n", "\n</answer>"))


@pytest.mark.parametrize("response", ["a" * 100_000, "\0" * 100_000, "\ud800" * 100_000, "\n</answer>\n" * 20_000])
def test_time_is_bounded_on_hostile_text(response, cpu_seconds):
    with cpu_seconds(1):
        assert tag_count(response) <= 0.5
