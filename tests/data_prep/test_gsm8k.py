import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_prep import gsm8k
from data_prep.gsm8k import DataError, find_source, parse_split, to_row
from grpo_launchpad.hubs import HubError
from reward_score import SCORERS

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "data_prep" / "samples" / "gsm8k"
FULL = ROOT.parent / "shared" / "data" / "gsm8k"
GOOD = {"question": "How many?", "answer": "Many.\n#### 72"}


def run(*arguments, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "data_prep" / "gsm8k.py"), *map(str, arguments)]
    environment = os.environ | environment
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60)


def write_source(folder: Path, train: str | bytes, test: str | bytes | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    good = json.dumps(GOOD) + "\n"
    for split, text in (("train", train), ("test", good if test is None else test)):
        (folder / f"{split}.jsonl").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def test_row_is_what_verl_reads():
    record = {"question": "How much?", "answer": "A lot.\n#### 1,250"}
    assert to_row(7, "test", "file, row 8", record) == {
        "data_source": "openai/gsm8k",
        "prompt": [
            {
                "role": "user",
                "content": 'How much? Let\'s think step by step and output the final answer after "####".',
            }
        ],
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": "1250"},
        "extra_info": {"split": "test", "index": 7, "question": "How much?", "answer": "A lot.\n#### 1,250"},
    }


def test_its_data_source_has_a_scorer():
    assert gsm8k.DATA_SOURCE in SCORERS


def test_sample_becomes_200_rows_in_folders_with_spaces(tmp_path):
    source = tmp_path / "my source"
    source.symlink_to(SAMPLE)
    out = tmp_path / "my out"
    result = run("--source", source, "--out", out, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in out.iterdir()) == ["test.parquet", "train.parquet"]
    train, test = (pq.read_table(out / f"{split}.parquet").to_pylist() for split in ("train", "test"))
    assert (len(train), len(test)) == (136, 64)
    assert [row["extra_info"]["index"] for row in train] == list(range(136))
    assert not {row["prompt"][0]["content"] for row in train} & {row["prompt"][0]["content"] for row in test}


def test_limit_keeps_the_first_rows_of_each_split(tmp_path):
    result = run("--source", SAMPLE, "--limit", "3", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    for split in ("train", "test"):
        rows = pq.read_table(tmp_path / "data" / "gsm8k" / f"{split}.parquet").to_pylist()
        assert rows == parse_split(SAMPLE, split, None)[:3]


@pytest.mark.skipif(not FULL.is_dir(), reason=f"the full data set is not at {FULL}")
@pytest.mark.parametrize(("split", "rows", "commas_or_minus"), [("train", 7473, 82), ("test", 1319, 16)])
def test_full_data_set(split, rows, commas_or_minus):
    parsed = parse_split(FULL, split, None)
    assert len(parsed) == rows
    assert all(row["reward_model"]["ground_truth"].removeprefix("-").isdigit() for row in parsed)
    raw = [row["extra_info"]["answer"].split("#### ")[1] for row in parsed]
    assert sum(not answer.isdigit() for answer in raw) == commas_or_minus


@pytest.mark.parametrize("layout", ["{}.parquet", "main/{}-00000-of-00001.parquet", "data/{}-00000-of-00001.parquet"])
def test_parquet_in_the_layouts_of_the_hubs(tmp_path, layout):
    for split in ("train", "test"):
        file = tmp_path / layout.format(split)
        file.parent.mkdir(exist_ok=True)
        pq.write_table(pa.Table.from_pylist([GOOD, GOOD]), file)
    assert len(parse_split(tmp_path, "train", None)) == 2


def test_parquet_in_several_files_is_read_in_order(tmp_path):
    for part in range(3):
        answers = [{"question": "q", "answer": f"#### {part}"}]
        pq.write_table(pa.Table.from_pylist(answers), tmp_path / f"train-{part:05}-of-00003.parquet")
    assert [row["reward_model"]["ground_truth"] for row in parse_split(tmp_path, "train", None)] == ["0", "1", "2"]


BAD_LINES = {
    "truncated": ('{"question": "How many?", "ans', ["row 2", "not valid JSON", "truncated"]),
    "no column": ('{"question": "How many?", "solution": "x"}', ["row 2", "no column 'answer'", "'solution'"]),
    "no answer": ('{"question": "q", "answer": "it is 72"}', ["row 2", "column 'answer'", "#### <number>", "72"]),
    "no number": ('{"question": "q", "answer": "#### many"}', ["row 2", "column 'answer'", "#### <number>"]),
    "number as answer": ('{"question": "q", "answer": 72}', ["row 2", "column 'answer'", "int instead of text"]),
    "null question": ('{"question": null, "answer": "#### 7"}', ["row 2", "column 'question'", "NoneType"]),
    "empty question": ('{"question": " ", "answer": "#### 7"}', ["row 2", "column 'question'", "empty"]),
    "list": ('["q", "#### 7"]', ["row 2", "list instead of an object"]),
    "surrogate": ('{"question": "\\ud800", "answer": "#### 7"}', ["row 2", "column 'question'", "UTF-8"]),
    "latin-1": (b'{"question": "caf\xe9", "answer": "#### 7"}', ["row 2", "not valid JSON"]),
    "deep": ("[" * 100_000, ["row 2", "not valid JSON"]),
}


@pytest.mark.parametrize("case", BAD_LINES)
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_bad_row_is_named(tmp_path, case, split):
    line, expected = BAD_LINES[case]
    line = line if isinstance(line, bytes) else line.encode()
    good = json.dumps(GOOD).encode()
    source = write_source(tmp_path, **({"train": good} | {split: good + b"\n" + line + b"\n" + good}))
    with pytest.raises(DataError) as caught:
        parse_split(source, split, None)
    for text in [str(source / f"{split}.jsonl"), *expected]:
        assert text in str(caught.value)


def test_bad_test_split_leaves_nothing_behind(tmp_path):
    source = write_source(tmp_path / "source", train=json.dumps(GOOD), test='{"question": "q"}')
    result = run("--source", source, "--out", "out", cwd=tmp_path)
    assert result.returncode == 2
    assert "test.jsonl, row 1: no column 'answer'" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


def test_parquet_of_wrong_type_or_bytes_is_named(tmp_path):
    file = tmp_path / "train.parquet"
    pq.write_table(pa.Table.from_pylist([{"question": "q", "answer": 72}]), file)
    with pytest.raises(DataError, match=r"train\.parquet, row 1, column 'answer': int instead of text"):
        parse_split(tmp_path, "train", None)
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(DataError, match=r"train\.parquet: not readable as parquet"):
        parse_split(tmp_path, "train", None)


def test_empty_and_missing_splits_are_named(tmp_path):
    source = write_source(tmp_path, train="\n\n")
    with pytest.raises(DataError, match="the train split has no rows"):
        parse_split(source, "train", None)
    (source / "test.jsonl").unlink()
    with pytest.raises(DataError, match=r"no test\.jsonl or test\.parquet"):
        parse_split(source, "test", None)


@given(st.lists(st.one_of(st.binary(max_size=60), st.just(json.dumps(GOOD).encode())), max_size=5))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_gives_rows_or_a_data_error(tmp_path, lines):
    (tmp_path / "train.jsonl").write_bytes(b"\n".join(lines))
    good = [line for line in b"\n".join(lines).split(b"\n") if line.strip()]
    if good and all(line == json.dumps(GOOD).encode() for line in good):
        assert len(parse_split(tmp_path, "train", None)) == len(good)
    else:
        with pytest.raises(DataError, match=re.escape(str(tmp_path))):
            parse_split(tmp_path, "train", None)


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1.5", ""])
def test_a_limit_that_is_no_count_is_the_users_mistake(tmp_path, limit):
    result = run("--source", SAMPLE, "--limit", limit, cwd=tmp_path)
    assert result.returncode == 2
    assert "--limit" in result.stderr
    assert not (tmp_path / "data").exists()


def test_a_file_in_place_of_the_out_folder_is_a_failure_with_a_fix(tmp_path):
    (tmp_path / "taken").write_text("")
    result = run("--source", SAMPLE, "--out", "taken", cwd=tmp_path)
    assert result.returncode == 1
    assert "cannot write to taken" in result.stderr
    assert "--out" in result.stderr


def test_a_source_that_is_neither_folder_nor_name():
    with pytest.raises(DataError, match="--source /no/such/folder: no such folder"):
        find_source("/no/such/folder")


def test_without_a_network_it_says_so_soon(tmp_path):
    started = time.monotonic()
    # A set that no cache can have; nothing listens on port 9.
    result = run(
        "--source",
        "nobody/gsm8k",
        cwd=tmp_path,
        HF_ENDPOINT="http://127.0.0.1:9",
        MODELSCOPE_ENDPOINT="http://127.0.0.1:9",
        HF_HOME=str(tmp_path / "hf"),
        MODELSCOPE_CACHE=str(tmp_path / "ms"),
        HF_HUB_OFFLINE="0",
    )
    assert time.monotonic() - started < 20
    assert result.returncode == 2
    assert "Hugging Face hub, nobody/gsm8k: not to be had from http://127.0.0.1:9" in result.stderr
    assert "ModelScope, nobody/gsm8k: not to be had from http://127.0.0.1:9" in result.stderr
    assert "Connection refused" in result.stderr
    assert "--source data_prep/samples/gsm8k" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "data").exists()


def test_places_are_tried_in_order(tmp_path, monkeypatch):
    asked = []

    def refuse(repo_id, **_):
        asked.append(repo_id)
        raise HubError("closed today")

    monkeypatch.setattr(gsm8k, "LOCAL_COPY", tmp_path / "raw")
    monkeypatch.setattr(gsm8k, "from_hugging_face", refuse)
    monkeypatch.setattr(gsm8k, "from_modelscope", lambda repo_id, **_: asked.append(repo_id) or tmp_path)
    assert find_source(None) == tmp_path
    assert asked == ["openai/gsm8k", "AI-ModelScope/gsm8k"]

    monkeypatch.setattr(gsm8k, "from_modelscope", refuse)
    with pytest.raises(DataError) as caught:
        find_source(None)
    for place in (f"local copy {tmp_path / 'raw'}: no such", "Hugging Face hub, openai/gsm8k: closed", "ModelScope, "):
        assert place in str(caught.value)

    asked.clear()
    (tmp_path / "raw").mkdir()
    assert find_source(None) == tmp_path / "raw"
    assert asked == []
