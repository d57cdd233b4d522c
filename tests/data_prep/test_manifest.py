import hashlib
import shlex
from collections import Counter
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_prep.pipeline import prepare as preparation
from data_prep.pipeline import sources
from tests.data_prep.scripts import (
    SAMPLES,
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


def check_files(described, folder):
    for file in described:
        content = (folder / file["file"]).read_bytes()
        assert file["bytes"] == len(content)
        assert file["sha256"] == hashlib.sha256(content).hexdigest()


def test_files_are_described_as_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "SHARD_ROWS", 60)
    prepared("gsm8k", "--source", SAMPLES / "gsm8k", "--out", tmp_path)
    told = manifest(tmp_path)
    assert [told[key] for key in ("name", "licence")] == ["gsm8k", "MIT"]
    assert "grade-school" in told["homepage"]
    for split, count in (("train", 136), ("test", 64)):
        described = told["splits"][split]
        check_files(described["files"], tmp_path)
        check_files(described["source"]["files"], SAMPLES / "gsm8k")
        assert [file["file"] for file in described["source"]["files"]] == [f"{split}.jsonl"]
        assert described["source"]["name"] == str(SAMPLES / "gsm8k")
        assert described["source"]["revision"] == ""
        on_disk = [pq.read_metadata(tmp_path / file["file"]).num_rows for file in described["files"]]
        assert [file["rows"] for file in described["files"]] == on_disk
        assert len(on_disk) > 1
        assert sum(on_disk) == described["rows_out"] == described["rows_in"] == count
    assert told["splits"]["train"]["compared_with_held_out_problems"] == 64


def test_lengths_and_answers_are_those_of_the_rows(tmp_path):
    prepared("kk_logic", "--source", SAMPLES / "kk_logic", "--out", tmp_path / "kk_logic")
    prepared("math", "--source", SAMPLES / "math", "--out", tmp_path / "math")
    for name, kind in (("kk_logic", "structured"), ("math", "whole number")):
        for split, described in manifest(tmp_path / name)["splits"].items():
            found = rows(tmp_path / name, split)
            lengths = sorted(sum(len(message["content"]) for message in row["prompt"]) for row in found)
            told = described["prompt_length"]
            assert (told["unit"], told["tokenizer"]) == ("characters", None)
            assert (told["min"], told["max"]) == (lengths[0], lengths[-1])
            assert told["p50"] == lengths[(len(lengths) + 1) // 2 - 1]
            assert told["p90"] in lengths
            assert sum(length <= told["p90"] for length in lengths) >= 0.9 * len(lengths)
            assert sum(length < told["p90"] for length in lengths) < 0.9 * len(lengths)
            assert sum(count for _, count in told["histogram"]) == len(lengths)
            assert told["histogram"][0][0] <= lengths[0]
            assert sum(described["answer_types"].values()) == len(lengths)
            if name == "math":
                truths = [row["reward_model"]["ground_truth"] for row in found]
                assert described["answer_types"][kind] == sum(truth.lstrip("-").isdigit() for truth in truths)
            else:
                assert described["answer_types"] == {kind: len(found)}


def test_the_command_is_the_one_to_prepare_it_again(tmp_path):
    folder = source(tmp_path / "my source", [problem(1)])
    options = ["--source", str(folder), "--out", "my out", "--system-prompt", 'It\'s "so", $HOME']
    done = script("gsm8k", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for split in manifest(tmp_path / "my out")["splits"].values():
        assert shlex.split(split["command"]) == ["python", "data_prep/gsm8k.py", *options]


def test_the_command_is_right_when_the_script_is_called_as_a_function(tmp_path):
    options = ["--source", str(source(tmp_path, [problem(1)])), "--out", str(tmp_path / "out")]
    prepared("gsm8k", *options)
    command = manifest(tmp_path / "out")["splits"]["train"]["command"]
    assert shlex.split(command) == ["python", "data_prep/gsm8k.py", *options]


def test_each_split_has_the_command_that_made_it(tmp_path):
    folder = source(tmp_path / "source", [problem(1)])
    for options in ([], ["--split", "test", "--template", "boxed"]):
        prepared("gsm8k", "--source", folder, *options, "--out", tmp_path / "out")
    splits = manifest(tmp_path / "out")["splits"]
    assert "boxed" in splits["test"]["command"]
    assert "boxed" not in splits["train"]["command"]


@pytest.mark.parametrize(("folder", "revision"), [("0123456789abcdef" * 2 + "01234567", True), ("main", False)])
def test_the_commit_of_a_hubs_snapshot_is_noted(tmp_path, monkeypatch, folder, revision):
    snapshot = tmp_path / "hub" / "datasets--openai--gsm8k" / "snapshots" / folder
    blobs = tmp_path / "hub" / "datasets--openai--gsm8k" / "blobs"
    (snapshot / "main").mkdir(parents=True)
    blobs.mkdir()
    for number, split in enumerate(("train", "test")):
        pq.write_table(pa.Table.from_pylist([problem(number)]), blobs / split)
        (snapshot / "main" / f"{split}-00000-of-00001.parquet").symlink_to(blobs / split)  # as the hub's cache has it
    monkeypatch.setattr(sources, "RAW", tmp_path / "raw")
    monkeypatch.setattr(sources, "from_hugging_face", lambda *_, **__: snapshot)
    done = prepared("gsm8k", "--out", tmp_path / "out")
    for split in ("train", "test"):
        described = manifest(tmp_path / "out")["splits"][split]["source"]
        assert (described["name"], described["revision"]) == ("openai/gsm8k", folder if revision else "")
        assert [file["file"] for file in described["files"]] == [f"main/{split}-00000-of-00001.parquet"]
        check_files(described["files"], snapshot)
    assert ("openai/gsm8k at 0123456789ab" in done.stdout) == revision


@pytest.mark.parametrize("shard_rows", [3, 4, 1000])
def test_rows_are_numbered_through_all_files_of_a_split(tmp_path, monkeypatch, shard_rows):
    """Faults in the second and third file are told by the file's row, and noted by the split's number."""
    monkeypatch.setattr(preparation, "SHARD_ROWS", shard_rows)
    records = [problem(number) for number in range(30)]
    records[13] = {"question": "q", "answer": "none"}
    records[27] = records[2]
    folder, out = tmp_path / "source", tmp_path / "out"
    folder.mkdir()
    for part in range(3):
        table = pa.Table.from_pylist(records[10 * part : 10 * part + 10])
        pq.write_table(table, folder / f"train-{part:05}-of-00003.parquet", row_group_size=4)
    options = ["--source", folder, "--split", "train", "--out", out]
    told = refused(prepare("gsm8k", *options), f"{folder / 'train-00001-of-00003.parquet'}, row 4: column 'answer'")
    assert f"{folder / 'train-00002-of-00003.parquet'}, row 8: the same prompt as row 3 of the split" in told

    prepared("gsm8k", *options, "--drop", "gold,duplicate")
    found = rows(out)
    assert [row["extra_info"]["index"] for row in found] == [n for n in range(30) if n not in (13, 27)]
    for row in found:
        assert row["extra_info"]["question"] == records[row["extra_info"]["index"]]["question"]
    described = manifest(out)["splits"]["train"]
    left_out = {reason: what["indices"] for reason, what in described["left_out"].items()}
    assert left_out == {"gold": [13], "duplicate": [27]}
    assert (described["rows_in"], described["rows_out"]) == (30, 28)


def test_what_is_left_out_accounts_for_every_missing_row(tmp_path):
    records = [problem(number % 30) for number in range(40)]
    records += [{"question": f"q{n}", "answer": "none"} for n in range(7)]
    records += [{"question": "", "answer": "#### 1"}] * 3
    folder = source(tmp_path / "source", records, [problem(5), problem(900)])
    prepared("gsm8k", "--source", folder, "--drop", "gold,empty,duplicate,overlap", "--out", tmp_path / "out")
    described = manifest(tmp_path / "out")["splits"]["train"]
    counts = Counter({reason: what["rows"] for reason, what in described["left_out"].items()})
    assert counts == {"gold": 7, "empty": 3, "duplicate": 9, "overlap": 2}
    assert described["rows_in"] - counts.total() == described["rows_out"] == len(rows(tmp_path / "out")) == 29
    assert all(len(what["indices"]) == what["rows"] for what in described["left_out"].values())
    assert all(len(what["first"]) == min(5, what["rows"]) for what in described["left_out"].values())
    assert described["kept"] == {}


def test_the_card_is_printed_and_kept(tmp_path):
    done = prepared("gsm8k", "--source", SAMPLES / "gsm8k", "--out", tmp_path)
    card = (tmp_path / "card.md").read_text()
    assert done.stdout.strip() == card.strip()
    assert "(prompt_lengths.svg)" in card
    (row, *_) = rows(tmp_path)
    assert row["prompt"][0]["content"] in card
    assert f"~~~~text\n{row['reward_model']['ground_truth']}\n~~~~" in card
    for line in ("| train | 136     | 0        | 136  |", "| test  | 64      | 0        | 64   |"):
        assert line in card


def test_a_question_cannot_break_out_of_the_card(tmp_path):
    """Its text stands between fences, whatever marks it has itself."""
    question = "Look:\n~~~~\n# A heading"
    folder = source(tmp_path / "source", [problem(1) | {"question": question}])
    prepared("gsm8k", "--source", folder, "--out", tmp_path / "out")
    fence = ""
    for line in (tmp_path / "out" / "card.md").read_text().splitlines():
        if line.startswith("# A heading"):
            assert fence
        if not fence and line.startswith("~~~"):
            fence = line.rstrip("abcdefghijklmnopqrstuvwxyz")
        elif fence and line.startswith(fence) and not line.strip("~"):
            fence = ""
    assert not fence


def test_the_picture_is_one_that_a_browser_shows(tmp_path):
    write_lines(tmp_path / "train.jsonl", [{"question": "How <much> & why?", "answer": "7"}])
    options = ["--name", "a", "--data-source", "math", "--split", "train", "--out", tmp_path / "out"]
    prepared("custom", "--source", tmp_path, *options)
    picture = ElementTree.parse(tmp_path / "out" / "prompt_lengths.svg").getroot()
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    assert "train" in "".join(picture.itertext())


def test_faults_that_are_kept_are_on_the_card_too(tmp_path):
    question = "At dawn seven tired bakers carried ninety warm loaves to the old market and sold all but four of them."
    first, second = (
        {"problem": f"{question} {asked}", "solution": r"\boxed{4}", "level": "Level 1", "type": "Algebra"}
        for asked in ("How many loaves did they bring home?", "How many loaves did they carry home?")
    )
    folder = source(tmp_path / "source", [first], [second])
    done = prepared("math", "--source", folder, "--out", tmp_path)
    kept = manifest(tmp_path)["splits"]["train"]["kept"]["near-overlap"]
    assert kept["rows"] > 0
    assert f"near-overlap: {kept['rows']:,} kept" in done.stdout
    assert set(kept["indices"]) <= {row["extra_info"]["index"] for row in rows(tmp_path)}
