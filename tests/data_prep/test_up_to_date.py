"""What is prepared is not prepared again, and what is not as it should be always is."""

import io
import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from data_prep.pipeline import prepare as preparation
from tests.data_prep.scripts import (
    FINISHED,
    SAMPLES,
    contents,
    data_of,
    manifest,
    prepare,
    prepared,
    problem,
    refused,
    rows,
    source,
    write_lines,
)


@pytest.fixture
def folder(tmp_path):
    return source(tmp_path / "source", map(problem, range(10)), map(problem, range(100, 104)))


@pytest.fixture
def out(tmp_path, folder):
    prepared("gsm8k", "--source", folder, "--out", tmp_path / "out")
    return tmp_path / "out"


def identities(out):
    """Files are replaced, not changed: another number or time is another file."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in out.iterdir()}


def test_nothing_is_written_when_nothing_has_changed(folder, out):
    before = identities(out)
    done = prepared("gsm8k", "--source", folder, "--out", out)
    assert "up to date" in done.stdout
    assert "--force" in done.stdout
    assert str(out) in done.stdout
    assert identities(out) == before


def test_force_prepares_it_again(folder, out):
    before, data = identities(out), contents(out)
    done = prepared("gsm8k", "--source", folder, "--out", out, "--force")
    assert "up to date" not in done.stdout
    assert all(identities(out)[name] != before[name] for name in FINISHED)
    assert data_of(out) == {name: content for name, content in data.items() if name != "manifest.json"}


def test_a_copy_in_another_folder_is_up_to_date(tmp_path, folder, out):
    copy = shutil.copytree(out, tmp_path / "copy")
    assert "up to date" in prepared("gsm8k", "--source", folder, "--out", copy).stdout


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_changed_source_is_noticed(folder, out, split):
    file = folder / f"{split}.jsonl"
    write_lines(file, [problem(500), *map(json.loads, file.read_text().splitlines()[1:])])
    prepared("gsm8k", "--source", folder, "--out", out)
    assert rows(out, split)[0]["reward_model"]["ground_truth"] == "1000"


@pytest.mark.parametrize(
    "options",
    [("--template", "boxed"), ("--system-prompt", "Be brief."), ("--limit", "2"), ("--drop", "gold"), ("--seed", "4")],
)
def test_another_option_is_noticed(folder, out, options):
    assert "up to date" not in prepared("gsm8k", "--source", folder, "--out", out, *options).stdout
    assert "up to date" in prepared("gsm8k", "--source", folder, "--out", out, *options).stdout
    assert "up to date" not in prepared("gsm8k", "--source", folder, "--out", out).stdout


def test_an_image_that_changed_beside_the_source_is_noticed(tmp_path):
    folder, out = tmp_path / "source", tmp_path / "out"
    write_lines(folder / "train.jsonl", [{"problem": "<image>Find x.", "answer": "1", "images": ["x.png"]}])
    for colour in ("red", "blue"):
        picture = io.BytesIO()
        Image.new("RGB", (8, 8), colour).save(picture, "png")
        (folder / "x.png").write_bytes(picture.getvalue())
        prepared("geo3k", "--source", folder, "--split", "train", "--out", out)
        assert rows(out)[0]["images"][0]["bytes"] == picture.getvalue()


@pytest.mark.parametrize("name", [name for name in FINISHED if name != "manifest.json"])
def test_a_file_that_is_missing_is_made_again(folder, out, name):
    before = contents(out)
    (out / name).unlink()
    prepared("gsm8k", "--source", folder, "--out", out)
    assert contents(out).keys() == before.keys()
    assert data_of(out) == {name: content for name, content in before.items() if name != "manifest.json"}


@pytest.mark.parametrize("name", ["train.parquet", "test.parquet"])
def test_a_damaged_file_is_made_again(folder, out, name):
    before = data_of(out)
    damaged = bytearray((out / name).read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (out / name).write_bytes(damaged)
    prepared("gsm8k", "--source", folder, "--out", out)
    assert data_of(out) == before


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b'{"name": "gsm8k", "spl',
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"splits": []}',
        b'{"splits": {"train": {}, "test": {}}}',
        b'{"splits": {"train": null}}',
        b'{"splits": {"train": {"fingerprint": "x", "files": [{}]}}}',
    ],
)
@pytest.mark.parametrize("options", [(), ("--split", "test")])
def test_a_damaged_manifest_is_made_again_when_told_so(folder, out, damage, options):
    (out / "manifest.json").write_bytes(damage)
    before = contents(out)
    refused(prepare("gsm8k", "--source", folder, "--out", out, *options), f"--out {out}", "manifest.json", "--force")
    assert contents(out) == before
    prepared("gsm8k", "--source", folder, "--out", out, *options, "--force")
    assert "test" in manifest(out)["splits"]
    assert len(rows(out, "test")) == manifest(out)["splits"]["test"]["rows_out"] == 4


def test_one_split_alone_leaves_the_other_and_its_entry(tmp_path, folder, out):
    before, entry = contents(out), manifest(out)["splits"]["train"]
    write_lines(folder / "test.jsonl", map(problem, range(200, 207)))
    done = prepared("gsm8k", "--source", folder, "--split", "test", "--out", out)
    assert contents(out)["train.parquet"] == before["train.parquet"]
    assert list(manifest(out)["splits"]) == ["train", "test"]
    assert manifest(out)["splits"]["train"] == entry
    assert manifest(out)["splits"]["test"]["rows_out"] == len(rows(out, "test")) == 7
    assert "| train |" in done.stdout
    assert "| test " in done.stdout
    assert "train" in (out / "prompt_lengths.svg").read_text()


def test_splits_prepared_one_by_one_are_those_prepared_together(tmp_path, folder, out):
    for split in ("test", "train"):
        prepared("gsm8k", "--source", folder, "--split", split, "--out", tmp_path / "apart")
    assert data_of(tmp_path / "apart") == data_of(out)


def test_an_entry_whose_file_is_gone_is_not_kept(folder, out):
    (out / "train.parquet").unlink()
    prepared("gsm8k", "--source", folder, "--split", "test", "--force", "--out", out)
    assert list(manifest(out)["splits"]) == ["test"]


def test_a_split_of_another_data_set_is_not_taken_for_ones_own(folder, out):
    before = contents(out)
    done = prepare("math", "--source", SAMPLES / "math", "--split", "test", "--out", out)
    if done.returncode == 0:
        assert list(manifest(out)["splits"]) == ["test"]
    else:
        assert done.returncode == 2
        assert contents(out) == before


def shards(out, split):
    return sorted(path.name for path in out.glob(f"{split}*.parquet"))


def test_files_of_an_earlier_number_of_shards_are_removed(folder, out, monkeypatch):
    notes = out / "train-notes.parquet"
    notes.write_text("mine")
    for size, count in ((3, 4), (4, 3), (100, 1)):
        monkeypatch.setattr(preparation, "SHARD_ROWS", size)
        prepared("gsm8k", "--source", folder, "--out", out, "--force")
        expected = [f"train-{n:05}-of-{count:05}.parquet" for n in range(count)] if count > 1 else ["train.parquet"]
        assert shards(out, "train") == sorted([*expected, notes.name])
        assert [file["file"] for file in manifest(out)["splits"]["train"]["files"]] == expected
        found = [row for name in expected for row in pq.read_table(out / name).to_pylist()]
        assert [row["extra_info"]["index"] for row in found] == list(range(10))


def test_a_missing_shard_is_made_again(folder, out, monkeypatch):
    monkeypatch.setattr(preparation, "SHARD_ROWS", 3)
    prepared("gsm8k", "--source", folder, "--out", out, "--force")
    before = data_of(out)
    (out / "train-00002-of-00004.parquet").unlink()
    prepared("gsm8k", "--source", folder, "--out", out)
    assert data_of(out) == before


def test_a_parquet_file_added_to_the_source_is_noticed(tmp_path):
    folder, out = tmp_path / "source", tmp_path / "out"
    folder.mkdir()
    for part in range(2):
        pq.write_table(pa.Table.from_pylist([problem(part)]), folder / f"train-{part}.parquet")
        prepared("gsm8k", "--source", folder, "--split", "train", "--out", out)
        assert len(rows(out)) == part + 1


@pytest.mark.parametrize("name", ["train.parquet", "train-00001-of-00002.parquet", "card.md", "manifest.json"])
def test_a_file_from_elsewhere_is_replaced_only_when_told_so(tmp_path, folder, name):
    """As verl's own scripts leave it in data/gsm8k."""
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("mine")
    refused(prepare("gsm8k", "--source", folder, "--out", out), f"--out {out}: holds {name}", "--force")
    assert contents(out) == {name: b"mine"}
    prepared("gsm8k", "--source", folder, "--out", out, "--force")
    assert sorted(contents(out)) == FINISHED


def test_a_file_from_elsewhere_that_is_not_replaced_does_no_harm(tmp_path, folder):
    out = tmp_path / "out"
    out.mkdir()
    (out / "train.parquet").write_text("mine")
    prepared("gsm8k", "--source", folder, "--split", "test", "--out", out)
    assert (out / "train.parquet").read_text() == "mine"
