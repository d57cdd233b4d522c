import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_prep.pipeline import sources
from grpo_launchpad.hubs import HubError
from tests.data_prep.scripts import (
    FINISHED,
    SAMPLES,
    contents,
    manifest,
    prepare,
    prepared,
    problem,
    refused,
    rows,
    script,
    source,
    write_lines,
)
from tests.full_data import FULL_DATA, needs


def truths(out, split="train"):
    return [row["reward_model"]["ground_truth"] for row in rows(out, split)]


def test_row_is_what_verl_reads(tmp_path):
    record = {"question": "How much?", "answer": "A lot.\n#### 1,250"}
    prepared("gsm8k", "--source", source(tmp_path / "source", [problem(1)], [problem(2), record]), "--out", tmp_path)
    assert rows(tmp_path, "test")[1] == {
        "data_source": "openai/gsm8k",
        "prompt": [
            {
                "role": "user",
                "content": 'How much? Let\'s think step by step and output the final answer after "####".',
            }
        ],
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": "1250"},
        "extra_info": {"split": "test", "index": 1, "question": "How much?", "answer": "A lot.\n#### 1,250"},
    }


def test_sample_becomes_200_rows_in_folders_with_spaces(tmp_path):
    folder, out = tmp_path / "my source", tmp_path / "my out"
    folder.symlink_to(SAMPLES / "gsm8k")
    done = script("gsm8k", "--source", folder, "--out", out, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(contents(out)) == FINISHED
    train, test = rows(out, "train"), rows(out, "test")
    assert (len(train), len(test)) == (136, 64)
    assert [row["extra_info"]["index"] for row in train] == list(range(136))
    assert not {row["prompt"][0]["content"] for row in train} & {row["prompt"][0]["content"] for row in test}


def test_limit_keeps_the_first_rows_of_each_split(tmp_path):
    few, all_of_them = tmp_path / "few", tmp_path / "all"
    prepared("gsm8k", "--source", SAMPLES / "gsm8k", "--limit", 3, "--out", few)
    prepared("gsm8k", "--source", SAMPLES / "gsm8k", "--out", all_of_them)
    for split in ("train", "test"):
        assert rows(few, split) == rows(all_of_them, split)[:3]


@needs("gsm8k/train.jsonl", "gsm8k/test.jsonl")
def test_full_data_set(tmp_path):
    prepared("gsm8k", "--source", FULL_DATA / "gsm8k", "--out", tmp_path)
    for split, count, commas_or_minus in (("train", 7473, 82), ("test", 1319, 16)):
        assert len(rows(tmp_path, split)) == manifest(tmp_path)["splits"][split]["rows_out"] == count
        assert all(truth.removeprefix("-").isdigit() for truth in truths(tmp_path, split))
        raw = [row["extra_info"]["answer"].split("#### ")[1] for row in rows(tmp_path, split)]
        assert sum(not answer.isdigit() for answer in raw) == commas_or_minus


@pytest.mark.parametrize("layout", ["{}.parquet", "main/{}-00000-of-00001.parquet", "data/{}-00000-of-00001.parquet"])
def test_parquet_in_the_layouts_of_the_hubs(tmp_path, layout):
    for first, split in enumerate(("train", "test")):
        file = tmp_path / "source" / layout.format(split)
        file.parent.mkdir(exist_ok=True, parents=True)
        pq.write_table(pa.Table.from_pylist([problem(first), problem(first + 10)]), file)
    prepared("gsm8k", "--source", tmp_path / "source", "--out", tmp_path)
    assert (truths(tmp_path), truths(tmp_path, "test")) == (["0", "20"], ["2", "22"])


def test_parquet_in_several_files_is_read_in_order(tmp_path):
    for part in range(3):
        records = [problem(part), problem(part + 10)]
        pq.write_table(pa.Table.from_pylist(records), tmp_path / f"train-{part:05}-of-00003.parquet")
    prepared("gsm8k", "--source", tmp_path, "--split", "train", "--out", tmp_path / "out")
    assert truths(tmp_path / "out") == ["0", "20", "2", "22", "4", "24"]
    assert [row["extra_info"]["index"] for row in rows(tmp_path / "out")] == list(range(6))


BAD_LINES = {
    "truncated": ('{"question": "How many?", "ans', ["not valid JSON", "truncated", "Copy it again"]),
    "no column": ('{"question": "How many?", "solution": "x"}', ["no column 'answer'", "'solution'", "Rename it"]),
    "no answer": ('{"question": "q", "answer": "it is 72"}', ["column 'answer'", "#### <number>", "72", "gold"]),
    "no number": ('{"question": "q", "answer": "#### many"}', ["column 'answer'", "#### <number>", "--drop gold"]),
    "number as answer": ('{"question": "q", "answer": 72}', ["column 'answer'", "int instead of text", "Make it"]),
    "list as question": ('{"question": ["q"], "answer": "#### 7"}', ["column 'question'", "list instead of text"]),
    "null question": ('{"question": null, "answer": "#### 7"}', ["column 'question'", "null", "--drop empty"]),
    "empty question": ('{"question": " ", "answer": "#### 7"}', ["column 'question'", "empty", "--drop empty"]),
    "list": ('["q", "#### 7"]', ["list instead of an object", "one object"]),
    "surrogate": ('{"question": "\\ud800", "answer": "#### 7"}', ["column 'question'", "UTF-8"]),
    "latin-1": (b'{"question": "caf\xe9", "answer": "#### 7"}', ["not UTF-8", "iconv -f latin1 -t utf-8"]),
    "deep": ("[" * 100_000, ["not valid JSON"]),
    "huge number": ('{"question": "q", "answer": ' + "7" * 5000 + "}", ["not valid JSON"]),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The output of an earlier run."""
    folder = tmp_path_factory.mktemp("finished")
    prepared("gsm8k", "--source", source(folder / "source", [problem(1), problem(2)]), "--out", folder / "out")
    return folder / "out"


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("case", BAD_LINES)
def test_a_bad_row_is_named_and_nothing_is_written(tmp_path, finished, case, split):
    line, expected = BAD_LINES[case]
    line = line if isinstance(line, bytes) else line.encode()
    bad = [problem(3), line, problem(4)]
    folder = source(tmp_path / "source", **({"train": [problem(5)]} | {split: bad}))
    old = shutil.copytree(finished, tmp_path / "old")
    for out in (tmp_path / "new", old):
        done = prepare("gsm8k", "--source", folder, "--out", out)
        refused(done, str(folder / f"{split}.jsonl"), "row 2", *expected)
    assert not (tmp_path / "new").exists()
    assert contents(old) == contents(finished)


def test_bad_rows_of_both_splits_are_told_at_once(tmp_path):
    folder = source(tmp_path, [problem(1), {"question": "q", "answer": "?"}], [{"question": "", "answer": "#### 1"}])
    told = refused(prepare("gsm8k", "--source", folder, "--out", tmp_path / "out"), "--drop")
    assert f"{folder / 'train.jsonl'}, row 2" in told
    assert f"{folder / 'test.jsonl'}, row 1" in told


def test_many_bad_rows_are_counted_and_the_first_are_named(tmp_path):
    bad = [{"question": f"q{number}", "answer": "?"} for number in range(1200)]
    told = refused(prepare("gsm8k", "--source", source(tmp_path, bad), "--out", tmp_path / "out"), "1,200 rows")
    assert "row 5:" in told
    assert "row 6:" not in told
    assert "1,195 more" in told


def test_a_parquet_column_of_another_type_is_named(tmp_path):
    pq.write_table(pa.Table.from_pylist([{"question": "q", "answer": 72}]), tmp_path / "train.parquet")
    done = prepare("gsm8k", "--source", tmp_path, "--split", "train", "--out", tmp_path / "out")
    refused(done, f"{tmp_path / 'train.parquet'}, row 1", "column 'answer': int instead of text")


def test_a_truncated_parquet_file_is_named(tmp_path):
    file = tmp_path / "train.parquet"
    pq.write_table(pa.Table.from_pylist([problem(number) for number in range(100)]), file)
    file.write_bytes(file.read_bytes()[:-50])
    done = prepare("gsm8k", "--source", tmp_path, "--split", "train", "--out", tmp_path / "out")
    refused(done, f"{file}: not readable as parquet", "Copy it again")


def test_damage_in_the_middle_of_a_parquet_file_is_named(tmp_path):
    file = tmp_path / "train.parquet"
    pq.write_table(pa.Table.from_pylist([problem(number) for number in range(1000)]), file)
    damaged = bytearray(file.read_bytes())
    damaged[4:200] = b"\xff" * 196
    file.write_bytes(damaged)
    done = prepare("gsm8k", "--source", tmp_path, "--split", "train", "--out", tmp_path / "out")
    refused(done, str(file), "Copy it again")


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_file_is_named(tmp_path, content):
    folder = source(tmp_path, [problem(1)])
    (folder / "train.jsonl").write_text(content)
    refused(prepare("gsm8k", "--source", folder, "--out", tmp_path / "out"), str(folder / "train.jsonl"), "no rows")


def test_a_missing_split_is_named_with_the_way_around_it(tmp_path):
    folder = source(tmp_path, [problem(1)])
    (folder / "test.jsonl").unlink()
    done = prepare("gsm8k", "--source", folder, "--out", tmp_path / "out")
    refused(done, str(folder), "test.jsonl", "--split")
    prepared("gsm8k", "--source", folder, "--split", "train", "--out", tmp_path / "out")


GOOD = [json.dumps(problem(number)).encode() for number in range(8)]


@given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from(GOOD)), max_size=5, unique=True))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_gives_rows_or_a_message_that_names_it(tmp_path, lines):
    (tmp_path / "train.jsonl").write_bytes(b"\n".join(lines))
    out = tmp_path / "out"
    done = prepare("gsm8k", "--source", tmp_path, "--split", "train", "--out", out)
    written = [line for line in b"\n".join(lines).split(b"\n") if line.strip()]
    if written and all(line in GOOD for line in written):
        assert done.returncode == 0, done.stderr
        assert [row["extra_info"]["question"] for row in rows(out)] == [
            json.loads(line)["question"] for line in written
        ]
        shutil.rmtree(out)
    else:
        refused(done, str(tmp_path / "train.jsonl"))
        assert not out.exists()


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1.5", "", "²"])
def test_a_limit_that_is_no_count_is_the_users_mistake(tmp_path, limit):
    refused(prepare("gsm8k", "--source", SAMPLES / "gsm8k", "--limit", limit, "--out", tmp_path / "out"), "--limit")
    assert not (tmp_path / "out").exists()


def test_without_a_network_it_says_so(tmp_path):
    # A set that no cache can have; nothing listens on port 9.
    done = script(
        "gsm8k",
        "--source",
        "nobody/gsm8k",
        cwd=tmp_path,
        environment={
            "HF_ENDPOINT": "http://127.0.0.1:9",
            "MODELSCOPE_ENDPOINT": "http://127.0.0.1:9",
            "HF_HOME": str(tmp_path / "hf"),
            "MODELSCOPE_CACHE": str(tmp_path / "ms"),
            "HF_HUB_OFFLINE": "0",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        },
    )
    told = refused(done, "Connection refused", "--source data_prep/samples/gsm8k")
    for hub in ("Hugging Face hub", "ModelScope"):
        assert f"{hub}, nobody/gsm8k: not to be had from http://127.0.0.1:9" in told
    assert not (tmp_path / "data").exists()


def test_places_are_tried_in_order(tmp_path, monkeypatch):
    asked = []

    def refuse(repository, **_):
        asked.append(repository)
        raise HubError("closed today")

    def give(repository, **_):
        asked.append(repository)
        return folder

    folder, out = source(tmp_path / "folder", [problem(1)]), tmp_path / "out"
    monkeypatch.setattr(sources, "RAW", tmp_path / "raw")
    monkeypatch.setattr(sources, "from_hugging_face", refuse)
    monkeypatch.setattr(sources, "from_modelscope", give)
    prepared("gsm8k", "--out", out)
    assert asked == ["openai/gsm8k", "AI-ModelScope/gsm8k"] * 2  # once for each split
    assert manifest(out)["splits"]["train"]["source"]["name"] == "AI-ModelScope/gsm8k"

    monkeypatch.setattr(sources, "from_modelscope", refuse)
    told = refused(prepare("gsm8k", "--out", tmp_path / "new"))
    for place in (
        f"local copy {tmp_path / 'raw' / 'gsm8k'}: no such folder",
        "Hugging Face hub, openai/gsm8k: closed today",
        "ModelScope, AI-ModelScope/gsm8k: closed today",
    ):
        assert place in told

    asked.clear()
    shutil.copytree(folder, tmp_path / "raw" / "gsm8k")
    prepared("gsm8k", "--out", tmp_path / "new")
    assert asked == []


def test_a_repository_named_as_the_source_is_asked_for_on_both_hubs(tmp_path, monkeypatch):
    asked = []

    def refuse(repository, **_):
        asked.append(repository)
        raise HubError("closed today")

    monkeypatch.setattr(sources, "from_hugging_face", refuse)
    monkeypatch.setattr(sources, "from_modelscope", refuse)
    told = refused(prepare("gsm8k", "--source", "somebody/else", "--out", tmp_path / "out"), "somebody/else")
    assert asked == ["somebody/else"] * 2
    assert told.count("closed today") == 2


def test_what_is_no_repository_is_not_looked_for_on_a_hub(tmp_path):
    done = prepare("gsm8k", "--source", "/no/such/folder", "--out", tmp_path / "out")
    refused(done, "--source /no/such/folder: no such file or folder", "--source data_prep/samples/gsm8k")


def test_records_without_a_last_line_end_are_all_read(tmp_path):
    folder = source(tmp_path, [problem(1)])
    (folder / "train.jsonl").write_bytes(GOOD[0] + b"\r\n" + GOOD[1])
    prepared("gsm8k", "--source", folder, "--out", tmp_path / "out")
    assert truths(tmp_path / "out") == ["0", "2"]


def test_the_byte_order_mark_of_windows_makes_no_difference(tmp_path):
    folder = source(tmp_path, [problem(1)])
    write_lines(folder / "train.jsonl", [b"\xef\xbb\xbf" + GOOD[3], GOOD[4]])
    prepared("gsm8k", "--source", folder, "--out", tmp_path / "out")
    assert truths(tmp_path / "out") == ["6", "8"]
