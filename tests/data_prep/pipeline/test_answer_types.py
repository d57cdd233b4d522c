from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.pipeline import sources
from data_prep.pipeline.answer_types import KINDS, answer_type
from data_prep.pipeline.records import pieces, read
from reward_score.data_sources import SCORERS

EXAMPLES = {
    "whole number": ["7", "-12", "+3", "1,234,567", "$18$", " 5 "],
    "decimal": ["6.5", "-.25", "1,250.75"],
    "fraction": [r"\frac{1}{2}", r"-\dfrac{3}{4}", r"\frac12", r"\tfrac{ 5 }{ 6 }", "3/4", "-1/2"],
    "choice": ["A", "(B)", r"\text{(C)}"],
    "several values": ["(1,2)", "[0,1)", "1, 2, 3", r"\{1,2\}", r"(3,\frac{\pi}{2})", r"\left( 3, 4 \right)"],
    "text": [r"\text{east}", "Evelyn", "no", "mother-in-law"],
    "expression": ["x^2+1", r"5\sqrt{3}", r"\frac{\pi}{6}", r"50\%", "2:3", "I", "1e5", "p - q"],
    "none": ["", " ", "$$"],
}


@pytest.mark.parametrize(("kind", "answer"), [(kind, answer) for kind, all_ in EXAMPLES.items() for answer in all_])
def test_answers_and_their_kinds(kind, answer):
    assert answer_type(answer, "math") == kind


def test_a_ground_truth_with_parts_is_structured():
    assert answer_type({"solution_text_format": "(1) Zoey is a knave"}, "kk_logic") == "structured"


def test_what_no_scorer_compares_is_said_to_be_so():
    assert answer_type("42", "mlabonne/smoltldr") == "not compared"


@given(st.text(), st.sampled_from(sorted(SCORERS)))
def test_any_text_has_a_kind(answer, source):
    assert answer_type(answer, source) in {*KINDS, "expression", "none", "not compared"}


@pytest.mark.parametrize("answer", ["(" + "," * 3000, "," * 3000 + "(", "a " * 3000 + "1", r"\text{" + "a" * 3000])
def test_a_long_answer_takes_no_time(answer, cpu_seconds):
    with cpu_seconds(1):
        answer_type(answer, "math")


@pytest.mark.parametrize(("name", "kinds"), [("gsm8k", {"whole number"}), ("aime", {"whole number"})])
def test_the_samples_of_word_problems_have_whole_numbers_only(name, kinds):
    data_set = import_module(f"data_prep.{name}").DATA_SET
    for split in data_set.splits:
        (file,) = sources.find(data_set, split, str(sources.SAMPLES / name)).files
        truths = [data_set.to_problem(record).ground_truth for piece in pieces(file, 1000) for _, record in read(piece)]
        assert {answer_type(truth, split.data_source) for truth in truths} == kinds
