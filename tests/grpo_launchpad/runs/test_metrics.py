import json
import math

from hypothesis import given
from hypothesis import strategies as st

from grpo_launchpad.runs.metrics import GrowingFile, accuracies, merge, numbers


@given(st.lists(st.dictionaries(st.text(max_size=5), st.integers()), max_size=8), st.integers(1, 40))
def test_a_growing_file_gives_each_object_once_however_it_is_written(tmp_path_factory, records, size):
    path = tmp_path_factory.mktemp("growing") / "m.jsonl"
    growing = GrowingFile(path)
    assert growing.objects() == []
    data = "".join(json.dumps(record) + "\n" for record in records).encode()
    found = []
    for start in range(0, len(data), size):
        with path.open("ab") as stream:
            stream.write(data[start : start + size])
        found += growing.objects()
    assert found == records


def test_a_file_that_was_replaced_by_a_shorter_one_starts_anew(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}\n')
    growing = GrowingFile(path)
    growing.objects()
    path.write_text('{"b": 1}\n')
    assert growing.objects() == [{"b": 1}]


def test_a_line_that_is_no_object_is_passed_over(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text('[1]\nnonsense\n{"a": 1}\n')
    assert GrowingFile(path).objects() == [{"a": 1}]


def test_null_is_not_a_number_and_text_is_none():
    assert math.isnan(numbers({"a": None})["a"])
    assert numbers({"a": "x", "b": True, "c": 1}) == {"c": 1.0}


def test_accuracies_by_data_source():
    values = {"val-core/a/b/acc/mean@1": 0.5, "val-core/c/acc/mean@32": math.nan, "val-core/c/acc/best@32/mean": 1.0}
    assert accuracies(values) == {"a/b": 0.5}


def test_a_resume_discards_what_it_repeats_and_keeps_what_its_validation_stands_for():
    history = {}
    merge(history, [(0, {"val-x": 1.0}), (1, {"a": 1.0}), (2, {"a": 2.0})])
    trained, abandoned = merge(history, [(1, {"val-x": 3.0}), (2, {"a": 9.0})])
    assert (trained, abandoned) == ([2], [2])
    assert history == {0: {"val-x": 1.0}, 1: {"a": 1.0, "val-x": 3.0}, 2: {"a": 9.0}}
