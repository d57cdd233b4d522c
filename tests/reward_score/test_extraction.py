import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_score.extraction import answer_region, last_boxed, last_boxes, stated_answer, tagged


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"so \boxed{42}.", "42"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"first \boxed{1}, then \boxed{2}", "2"),
        (r"\boxed{509 \boxed{508}}", r"509 \boxed{508}"),
        (r"\boxed{1} and \boxed{2 \boxed{3}} end", r"2 \boxed{3}"),
        (r"\boxed {42}", "42"),
        (r"\boxed 42 done", "42"),
        (r"$\boxed 7$.", "7"),
        (r"\boxed{\{1,2\}}", r"\{1,2\}"),
        (r"\boxed{never closed \boxed{5}", "5"),
        (r"\boxed{185\}", "185"),
        (r"\boxed{never closed", None),
        (r"\fbox{3}", "3"),
        (r"\boxed{2} \fbox{3}", "2"),
        (r"no box", None),
        (r"\boxed{}", ""),
    ],
)
def test_the_last_outermost_box_decides(text, content):
    assert last_boxed(text) == content


def test_boxes_side_by_side_are_one_statement():
    assert last_boxes(r"\boxed{9}. Later: $\boxed{1}$, $\boxed{2}$ \text{ and } $\boxed{3}$") == ["1", "2", "3"]
    assert last_boxes(r"\boxed{1} but then, \boxed{2}") == ["2"]
    assert last_boxes("none") == []


@given(st.text(alphabet=r"{}\abox", max_size=40))
def test_a_box_is_found_in_any_text_or_not_at_all(text):
    assert (
        last_boxed(f"{text}" + r" \boxed{77}") in ("77", *([] if "\\" not in text and "{" not in text else [None]))
        or "{" in text
    )


@pytest.mark.parametrize(
    ("response", "region"),
    [
        ("plain", "plain"),
        ("<think>a</think>b", "b"),
        ("a</think>b", "b"),  # the chat template opened the thought
        ("<think>a</think>b<think>c</think>d", "d"),
        ("<think>never ends", None),
        ("<think>a</think>b<think>again", None),
        ("<think></think>", ""),
    ],
)
def test_only_what_follows_the_thoughts_is_the_answer(response, region):
    assert answer_region(response) == region


def test_the_last_closed_pair_of_tags_decides():
    assert tagged("<answer>1</answer><answer> 2 </answer>", "answer") == "2"
    assert tagged("<answer>1</answer><answer>2", "answer") == "1"
    assert tagged("1</answer>", "answer") is None
    assert tagged("<answer>1", "answer") is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is 4", "4"),
        ("The answer is $\\frac{5}{6}$, I hope.", r"\frac{5}{6}"),
        ("Answer: 508\nAnswer: 509", "509"),
        ("**Answer:** 42.", "42"),
        ("Final Answer: The largest $n$ is 34.", "34"),
        ("Final Answer: Jane started growing Sphere 3 hours ago.", "3"),
        ("The answer is not 508.", None),
        ("Is the answer 508? No, it is 509.", "509"),
        ("#### 18", "18"),
        ("She earns 3 + 4 = 7 dollars", "7"),
        ("We get $x^2$ at last.", "x^2"),
        (r"\frac{10}{9}", r"\frac{10}{9}"),
        ("508, 509", "508, 509"),
        ("A: 3,000", "3,000"),
        ("nothing here", None),
    ],
)
def test_what_a_response_without_a_box_states(text, answer):
    assert stated_answer(text) == answer


@pytest.mark.parametrize(
    "piece",
    [
        r"\boxed{",
        r"\boxed{1}",
        "{",
        "}",
        r"\boxed",
        "<think>",
        "</think>",
        "<answer>",
        "$",
        r"\(",
        "answer is ",
        "1,",
        "#### ",
    ],
)
def test_any_number_of_repetitions_takes_linear_time(piece, cpu_seconds):
    text = piece * 20_000
    with cpu_seconds(1):
        region = answer_region(text)
        last_boxed(text), last_boxes(text), tagged(text, "answer"), stated_answer(text)
        assert region is None or isinstance(region, str)
