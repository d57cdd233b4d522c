from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.pipeline.data_set import REASONS, DataError, Fault, Split, column, number_or_text, text


def test_the_first_column_that_is_there_is_taken():
    record = {"question": "b", "Problem": "c"}
    assert column(record, "problem", "question", "Problem") == ("question", "b")
    assert column({"question": None}, "question") == ("question", None)


def test_a_missing_column_is_named_with_those_that_there_are():
    with pytest.raises(DataError) as caught:
        text({"prompt": "q", "solution": "s"}, "problem", "question")
    assert str(caught.value).startswith("no column 'problem' or 'question', only 'prompt', 'solution'.")
    assert "--question-column" in str(caught.value)


def test_a_record_without_columns_or_with_hundreds_is_told_briefly():
    with pytest.raises(DataError, match="only none"):
        column({}, "question")
    with pytest.raises(DataError) as caught:
        column({f"column {number}": "" for number in range(500)}, "question")
    assert len(str(caught.value)) < 600


def test_text_is_kept_as_it_is():
    assert text({"q": "  two\nlines 漢😀 "}, "q") == "  two\nlines 漢😀 "


@pytest.mark.parametrize("read", [text, number_or_text])
@pytest.mark.parametrize(
    ("value", "told"),
    [(None, "column 'q': null. Fill it in."), ("", "column 'q': empty"), (" \n\t\u00a0", "column 'q': empty")],
)
def test_an_empty_text_is_a_fault_of_the_row_alone(read: Callable, value, told):
    with pytest.raises(Fault) as caught:
        read({"q": value}, "q")
    assert caught.value.reason == "empty"
    assert told in str(caught.value)


@pytest.mark.parametrize("value", [["a"], {"a": 1}, b"a", True, 7, 7.0])
def test_another_type_is_an_error_that_names_column_and_type(value):
    with pytest.raises(DataError, match=f"column 'q': {type(value).__name__} instead of text"):
        text({"q": value}, "q")


def test_a_truth_value_is_no_number():
    with pytest.raises(Fault, match="column 'q': bool instead of a text"):
        number_or_text({"q": True}, "q")


@pytest.mark.parametrize("value", ["\ud800", "a\udfffb"])
def test_half_a_surrogate_pair_is_an_error_since_no_parquet_file_can_hold_it(value):
    with pytest.raises(DataError, match="column 'q': half of a surrogate pair"):
        text({"q": value}, "q")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(142.0, "142"), (142, "142"), (0.5, "0.5"), (-3.0, "-3"), (" 7 ", "7"), ("1/2", "1/2"), (2**70, str(2**70))],
)
def test_a_short_answer_may_be_stored_as_a_number(value, expected):
    assert number_or_text({"q": value}, "q") == expected


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_an_answer_that_is_not_finite_is_a_fault(value):
    with pytest.raises(Fault) as caught:
        number_or_text({"q": value}, "q")
    assert caught.value.reason == "gold"


@given(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False)))
def test_any_number_keeps_its_value(value):
    written = number_or_text({"q": value}, "q")
    assert (int if written.lstrip("-").isdigit() else float)(written) == value


def test_every_split_but_train_is_held_out():
    assert [Split(name, "x").held_out for name in ("train", "test", "aime24", "validation")] == [
        False,
        True,
        True,
        True,
    ]


def test_faults_have_reasons_that_the_user_can_name():
    assert all("," not in reason and " " not in reason for reason in REASONS)
