import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_score.ground_truth import opened

truths = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner))


@given(st.lists(truths) | st.dictionaries(st.text(), truths), st.sampled_from([None, 2]), st.sampled_from(["", " \n"]))
def test_json_text_of_an_object_or_list_is_opened(value, indent, before):
    assert opened(before + json.dumps(value, indent=indent)) == value


@pytest.mark.parametrize(
    "text", ["", "18", "true", "null", '"a"', "{1,2}", "[REC]", "[0,1)", '{"a"', "[" * 100_000, "\ud800", "{\0}"]
)
def test_any_other_text_is_left_alone(text):
    assert opened(text) == text


@pytest.mark.parametrize("value", [None, 18, ["1"], {"a": "[1]"}, b"{}"])
def test_what_is_no_text_is_left_alone(value):
    assert opened(value) is value
