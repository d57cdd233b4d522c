"""The tutorials' values, the wrong ones included: a change here means that a tutorial is no longer reproduced."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reward_score import tutorial
from reward_score.tutorial import (
    correctness_reward,
    correctness_reward_func,
    count_xml,
    digit_reward,
    extract_hash_answer,
    extract_xml_answer,
    hard_format_reward,
    int_reward_func,
    mark_reward,
    reward_len,
    soft_format_reward_func,
    strict_format_reward_func,
    xmlcount_reward_func,
)
from tests.full_data import FULL_DATA, SAMPLES, needs

ALL_OF_GSM8K = ("gsm8k/train.jsonl", "gsm8k/test.jsonl")
SAMPLE = Path(__file__).resolve().parents[2] / "data_prep" / "samples" / "gsm8k"
# What the rewards are on 200 solutions and all 98 with a comma or a sign, and, as docs/en/rewards.md has it, on all.
OF_SAMPLES = {"solutions": 298, "commas": 93, "integers": 200, "xml": (0.383, -0.379, 0.1702)}
OF_ALL = {"solutions": 8792, "commas": 93, "integers": 8694, "xml": (0.414, -0.766, 0.1737)}
# One line each, which is all that the printed patterns let through.
REASONING = "<reasoning>\nTwo and two.\n</reasoning>\n<answer>\n4\n</answer>\n"
THINK = REASONING.replace("reasoning>", "think>")
# As the tutorials print them, compiled without DOTALL.
STRICT = re.compile(r"^<reasoning>\n.*?\n</reasoning>\n<answer>\n.*?\n</answer>\n$")
HARD = re.compile(r"^<think>\n.*?\n</think>\n<answer>\n.*?\n</answer>\n$")
SOFT = re.compile(r"<reasoning>.*?</reasoning>\s*<answer>.*?</answer>")


def chats(*texts: str) -> list[list[dict[str, str]]]:
    return [[{"role": "assistant", "content": text}] for text in texts]


@pytest.fixture(scope="module", params=["samples", pytest.param("all", marks=needs(*ALL_OF_GSM8K))])
def counts(request) -> dict:
    return OF_SAMPLES if request.param == "samples" else OF_ALL


@pytest.fixture(scope="module")
def gold(counts) -> list[tuple[str, str, str]]:
    """Thought, answer and reference answer of GSM8K's solutions."""
    files = [SAMPLE / "train.jsonl", SAMPLE / "test.jsonl", SAMPLES / "gsm8k_signs.jsonl"]
    if counts is OF_ALL:
        files = [FULL_DATA / file for file in ALL_OF_GSM8K]
    solutions = [json.loads(line)["answer"] for file in files for line in file.read_text("utf-8").splitlines()]
    assert len(solutions) == counts["solutions"]
    return [
        (text.split("####")[0].strip(), text.split("####")[1].strip(), extract_hash_answer(text)) for text in solutions
    ]


def written(gold, tag: str, end: str = "\n") -> list[list[dict[str, str]]]:
    texts = (f"<{tag}>\n{thought}\n</{tag}>\n<answer>\n{answer}\n</answer>{end}" for thought, answer, _ in gold)
    return chats(*texts)


class TestOnGsm8kSolutionsInTheAskedForm:
    def test_no_format_reward_ever_fires(self, gold):
        assert set(strict_format_reward_func(written(gold, "reasoning"))) == {0.0}
        assert set(soft_format_reward_func(written(gold, "reasoning"))) == {0.0}
        assert set(hard_format_reward(written(gold, "think"))) == {0.0}

    def test_the_xml_count_is_full_with_a_final_newline_and_far_from_it_without(self, gold, counts):
        assert set(xmlcount_reward_func(written(gold, "reasoning"))) == {0.5}
        rewards = xmlcount_reward_func(written(gold, "reasoning", end=""))
        found = (max(rewards), min(rewards), sum(rewards) / len(rewards))
        assert found == pytest.approx(counts["xml"], abs=1e-4)

    def test_the_mark_of_the_answers_end_needs_a_final_newline(self, gold):
        assert set(mark_reward(written(gold, "think"))) == {0.5}
        assert set(mark_reward(written(gold, "think", end=""))) == {0.375}

    def test_right_answers_without_thousands_commas_are_wrong(self, gold, counts):
        references = [reference for _, _, reference in gold]
        plain = [(thought, answer.replace(",", ""), None) for thought, answer, _ in gold]
        assert correctness_reward_func(None, written(gold, "reasoning"), references) == [2.0] * counts["solutions"]
        assert correctness_reward_func(None, written(plain, "reasoning"), references).count(0.0) == counts["commas"]

    def test_answers_with_a_comma_or_a_sign_are_no_integers(self, gold, counts):
        rewards = int_reward_func(written(gold, "reasoning"))
        assert (rewards.count(0.5), rewards.count(0.0)) == (counts["integers"], 98)


class TestExtraction:
    @pytest.mark.parametrize(
        ("text", "answer"),
        [
            (REASONING, "4"),
            ("<answer>1</answer><answer> 2 </answer>", "2"),
            ("<answer>3</answer>5</answer>", "3"),
            ("<answer>unclosed", "unclosed"),
            (" no tags at all ", "no tags at all"),
            ("before</answer>after", "before"),
            ("", ""),
        ],
    )
    def test_xml(self, text, answer):
        assert extract_xml_answer(text) == answer

    @pytest.mark.parametrize(
        ("text", "answer"),
        [("so\n#### 1,800 ", "1,800"), ("#### 1 #### 2", "1"), ("########", ""), ("####", ""), ("none ###", None)],
    )
    def test_hash(self, text, answer):
        assert extract_hash_answer(text) == answer

    @given(st.lists(st.sampled_from(["<answer>", "</answer>", "####", "#", " ", "4", "\n"]), max_size=12).map("".join))
    def test_as_splitting_gives_it(self, text):
        assert extract_xml_answer(text) == text.split("<answer>")[-1].split("</answer>")[0].strip()
        assert extract_hash_answer(text) == (text.split("####")[1].strip() if "####" in text else None)


class TestCorrectness:
    @pytest.mark.parametrize("function", [correctness_reward_func, correctness_reward])
    def test_equal_strings_earn_two(self, function):
        texts = (REASONING, "4", "<answer>4", "<answer>4.0</answer>", "<answer>$4</answer>", "<answer>5</answer>")
        prompts = [[{"role": "user", "content": "2+2?"}]] * 6
        rewards = function(prompts=prompts, completions=chats(*texts), answer=["4"] * 6, question=["2+2?"] * 6)
        assert rewards == [2.0, 2.0, 2.0, 0.0, 0.0, 0.0]

    def test_only_the_think_tutorial_writes_the_expected_answer_as_a_string(self):
        assert correctness_reward_func(None, chats(THINK), [4]) == [0.0]
        assert correctness_reward(None, chats(THINK), [4]) == [2.0]

    def test_nothing_is_printed(self, capsys):
        correctness_reward_func([[{"content": "2+2?"}]], chats(REASONING), ["4"])
        assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("function", [int_reward_func, digit_reward])
@pytest.mark.parametrize(
    ("answer", "reward"),
    [
        ("4", 0.5),
        ("007", 0.5),
        ("²", 0.5),
        ("１８", 0.5),
        ("-4", 0.0),
        ("4.0", 0.0),
        ("1,800", 0.0),
        ("$4", 0.0),
        ("", 0.0),
    ],
)
def test_digits(function, answer, reward):
    assert function(chats(f"<answer>\n{answer}\n</answer>", answer), step=3) == [reward, reward]


class TestFormat:
    @pytest.mark.parametrize(
        ("text", "strict", "soft"),
        [
            (REASONING, 0.5, 0.0),
            (REASONING + "\n", 0.5, 0.0),
            (REASONING + "\n\n", 0.0, 0.0),
            (REASONING.strip(), 0.0, 0.0),
            (REASONING.replace("Two and", "Two\nand"), 0.0, 0.0),
            (REASONING.replace("Two and two.", ""), 0.5, 0.0),
            (REASONING.replace("4", ""), 0.5, 0.0),
            (REASONING.replace("Two and two.", "</reasoning><answer>5</answer>"), 0.5, 0.0),
            ("<reasoning>2+2</reasoning> \n <answer>4</answer> and more", 0.0, 0.5),
            ("<reasoning></reasoning><answer></answer>", 0.0, 0.5),
            ("<reasoning>2+2</reasoning><answer>4\n</answer>", 0.0, 0.0),
            ("<reasoning>2+2</answer></reasoning><answer>4", 0.0, 0.0),
            ("<reasoning>2+2</reasoning>so</reasoning><answer>4</answer>", 0.0, 0.5),
            ("So: <reasoning>2+2</reasoning><answer>4</answer>", 0.0, 0.0),
            ("", 0.0, 0.0),
        ],
    )
    def test_value(self, text, strict, soft):
        assert strict_format_reward_func(chats(text), step=3) == [strict]
        assert soft_format_reward_func(chats(text), step=3) == [soft]
        assert hard_format_reward(chats(text.replace("reasoning>", "think>")), step=3) == [strict]

    @given(
        st.lists(
            st.sampled_from(
                [
                    *("<reasoning>", "</reasoning>", "<answer>", "</answer>", "\n", " ", "x", "\r", "\x85", "\u2028"),
                    *("<reasoning>\n", "\n</reasoning>\n<answer>\n", "\n</answer>\n", "</reasoning> \n<answer>"),
                ]
            ),
            max_size=10,
        ).map("".join),
        st.sampled_from(["", "<reasoning>", "<reasoning>\n"]),
        st.sampled_from(["", "</answer>", "\n</answer>\n", "\n</answer>\n\n"]),
    )
    @settings(max_examples=2000)
    def test_as_the_printed_patterns_give_it(self, middle, start, end):
        text = start + middle + end
        think = text.replace("reasoning>", "think>")
        assert strict_format_reward_func([text]) == [0.5 if STRICT.match(text) else 0.0]
        assert soft_format_reward_func([text]) == [0.5 if SOFT.match(text) else 0.0]
        assert hard_format_reward([think]) == [0.5 if HARD.match(think) else 0.0]

    @given(*[st.text(max_size=10)] * 2, st.sampled_from(["", "\n", "\n\n", " "]))
    def test_as_the_printed_patterns_give_it_in_the_asked_form(self, thought, answer, end):
        text = f"<reasoning>\n{thought}\n</reasoning>\n<answer>\n{answer}\n</answer>{end}"
        assert strict_format_reward_func([text]) == [0.5 if STRICT.match(text) else 0.0]
        soft = f"<reasoning>{thought}</reasoning>{end}<answer>{answer}</answer>"
        assert soft_format_reward_func([soft]) == [0.5 if SOFT.match(soft) else 0.0]


class TestCountXml:
    @pytest.mark.parametrize(
        ("text", "reward"),
        [
            (REASONING, 0.5),
            # Without the final newline all 58 characters are charged, and the text after the tag is minus one long.
            (REASONING.strip(), 0.5 - 0.058 + 0.001),
            # Trailing text is charged twice.
            (REASONING + "x" * 500, -0.5),
            (REASONING + "x", 0.498),
            ("<reasoning>\n", 0.125),
            ("<reasoning>\nTwo\n</reasoning>\n", 0.25),
            ("<reasoning>\nTwo\n</reasoning>\n<answer>\n4", 0.375 - 0.039),
            (REASONING + REASONING, 0.0),
            ("\n</answer>\n</answer>\n<answer>\n", 0.125 - 0.001 * len("</answer>\n<answer>\n")),
            ("x" * 2000, 0.0),
            ("", 0.0),
        ],
    )
    def test_value(self, text, reward):
        assert count_xml(text) == pytest.approx(reward, abs=1e-12)
        assert xmlcount_reward_func(chats(text, text), step=3) == [count_xml(text)] * 2

    def test_a_well_formed_response_of_2000_characters_without_final_newline(self):
        text = REASONING.strip().replace("Two and two.", "x" * (2000 - len(REASONING.strip()) + 12))
        assert len(text) == 2000
        assert count_xml(text) == pytest.approx(-1.499)

    @given(
        st.lists(
            st.sampled_from(["<reasoning>", "</reasoning>", "<answer>", "</answer>", "\n", "x", "\n</answer>\n"]),
            max_size=15,
        ).map("".join)
    )
    def test_each_tag_adds_and_trailing_text_takes(self, text):
        openings = [text.count(tag) == 1 for tag in ("<reasoning>\n", "\n</reasoning>\n")]
        answer, end = text.count("\n<answer>\n") == 1, text.count("\n</answer>") == 1
        charged = answer * len(text.split("\n</answer>\n")[-1]) + end * (len(text.split("\n</answer>")[-1]) - 1)
        assert count_xml(text) == pytest.approx(0.125 * sum([*openings, answer, end]) - 0.001 * charged, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "reward"),
    [
        (THINK, 0.5),
        (THINK.strip(), 0.375),
        (THINK + THINK, 0.0),
        (THINK.replace("<think>\n", "<think>"), 0.375),
        ("x<think>\n", 0.125),
        ("", 0.0),
    ],
)
def test_marks(text, reward):
    assert mark_reward(chats(text), step=3) == [reward]


def test_length_is_that_of_the_string_or_the_number_of_messages():
    assert reward_len(["x" * 50, "x" * 48, "x" * 60, ""], step=3) == [0.0, -2.0, -10.0, -50.0]
    assert reward_len(chats("x" * 50, "")) == [-49.0, -49.0]


@pytest.mark.parametrize(
    "text",
    [
        *("a" * 10**5, "\0" * 10**5, "\ud800" * 10**5, "\n" * 10**5, "####" * 10**5, "\n</answer>\n" * 10**4),
        "<reasoning>" + "</reasoning>" * 9_000,
        "<reasoning>" + "</reasoning><answer>" * 6_000,
        "<reasoning>" + "</reasoning>   <answer>" * 6_000 + "\n</answer>",
        "<reasoning></reasoning>" + " " * 10**5,
        "<reasoning>\n" + "\n</reasoning>\n<answer>\n" * 5_000,
    ],
    ids=lambda text: repr(text[:14]),
)
def test_time_is_bounded_on_hostile_text(text, cpu_seconds):
    with cpu_seconds(1):
        for name in ("int", "strict_format", "soft_format", "xmlcount"):
            getattr(tutorial, f"{name}_reward_func")(chats(text))
        correctness_reward(None, chats(text), ["4"])
        mark_reward(chats(text))
        hard_format_reward(chats(text))
        extract_hash_answer(text)
