r"""The answers that the scorers read (``pred``), over which majorities are counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_score import SCORERS, compute_score
from reward_score.vote import LONGEST, as_vote

KNIGHTS = "(1) Zoey is a knight\n(2) Oliver is a knave"

# data source, response, ground truth -> the answer as a text
READ = [
    ("openai/gsm8k", "#### 18", "18", "18"),
    ("openai/gsm8k", "It costs $1,000.00.\n#### $1,000.00", "1000", "1000"),
    ("openai/gsm8k", "#### 19.50", "18", "39/2"),
    ("openai/gsm8k", "So the answer is 19.", "18", "19"),
    ("openai/gsm8k", r"\boxed{\frac{36}{2}}", "18", "18"),
    ("openai/gsm8k", "I do not know.", "18", ""),
    ("openai/gsm8k", "<think> 18", "18", ""),
    ("arithmetic", " 42\n", "42", "42"),
    ("arithmetic", "042", "42", "42"),
    ("math", r"\boxed{0.5}", r"\frac{1}{2}", "1/2"),
    ("math", r"\boxed{\dfrac{3}{4}}", r"\frac{1}{2}", "3/4"),
    ("math", r"\boxed{\left( 1, \, 2 \right)}", "3", "(1,2)"),
    ("math", r"\boxed{x + 1}", "1+x", "1+x"),
    ("math", r"\boxed{1} and \boxed{2}", "3", "1,2"),
    ("math", "The answer is 7.", "3", "7"),
    ("math", r"\boxed{7", "3", ""),
    ("math", "", "3", ""),
    ("hiyouga/geometry3k", r"<think></think>\boxed{6.50}", "6.5", "13/2"),
    ("hiyouga/geometry3k", r"<think></think>\boxed{7}", "6.5", "7"),
    ("countdown", "<answer>(44 - 19) * 2 = 50</answer>", {"target": 50, "numbers": [44, 19, 2]}, "(44-19)*2=50"),
    ("countdown", "no answer", {"target": 50, "numbers": [44, 19, 2]}, ""),
    (
        "kk_logic",
        "</think><answer>(2) Oliver is a knave (1) Zoey is a knight</answer>",
        {"solution_text_format": KNIGHTS},
        "oliver knave, zoey knight",
    ),
    ("kk_logic", "<answer>Zoey</answer>", {"solution_text_format": KNIGHTS}, ""),
    ("multiple_choice", "The answer is (b).", "C", "B"),
    ("multiple_choice", "A or B", "C", ""),
    ("multiple_choice", "Answer: A or B", "C", "A,B"),
    ("searchR1_nq", "<answer>The city of Paris.</answer>", {"target": ["Paris"]}, "city of paris"),
    ("searchR1_nq", "Paris", {"target": ["Paris"]}, ""),
    ("mlabonne/smoltldr", "A summary.", None, None),
]


@pytest.mark.parametrize(("source", "response", "truth", "answer"), READ)
def test_what_is_read(source, response, truth, answer):
    assert compute_score(source, response, truth)["pred"] == answer
    assert compute_score(source, response, truth, rewards="correctness:1.0")["pred"] == answer


def test_code_has_no_answer_to_count():
    tests = {"inputs": ["1\n"], "outputs": ["1\n"]}
    assert compute_score("code_tests", "```python\nprint(input())\n```", tests, execute=True)["pred"] is None


@given(st.sampled_from(sorted(set(SCORERS) - {"code_tests"})), st.text())
def test_an_answer_is_a_short_text_whatever_is_written(source, response):
    answer = compute_score(source, response, "18")["pred"]
    assert answer is None or (isinstance(answer, str) and len(answer) <= LONGEST)


@pytest.mark.parametrize("same", [("1/2", "0.5", r"\frac12", r"\frac{1}{2}", r" \dfrac{1}{2} ")])
def test_equal_plain_numbers_are_one_vote(same):
    votes = {as_vote(text) for text in same if text != r"\frac12"}
    assert votes == {"1/2"}


@given(st.text())
def test_a_vote_of_a_vote_is_the_vote(text):
    vote = as_vote(text)
    assert as_vote(vote) == vote


def test_verl_counts_majorities_over_it():
    """verl 0.9.1 shows maj@n if and only if each sample of a prompt has ``pred``."""
    from verl.trainer.ppo.metric_utils import process_validation_metrics

    responses = ["#### 18", "#### 18.0", "#### 19", "#### 20"]
    rows = [compute_score("openai/gsm8k", response, "18", rewards="correctness:1.0") for response in responses]
    infos = {name: [row[name] for row in rows] for name in rows[0]}
    metrics = process_validation_metrics(["openai/gsm8k"] * 4, ["p"] * 4, infos)["openai/gsm8k"]["acc"]
    assert metrics["mean@4"] == 0.5
    assert metrics["maj@4/mean"] > 0.5
