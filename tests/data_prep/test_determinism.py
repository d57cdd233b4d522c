"""The same input gives the same bytes, wherever, whenever and by whatever engine it is prepared."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from data_prep.pipeline import prepare as preparation
from tests.data_prep.scripts import SAMPLES, data_of, manifest, prepared, problem, rows, script, source, write_lines

DATA_SETS = ["gsm8k", "kk_logic", "geo3k", "smoltldr"]
# Ray takes most of a minute to start and to stop, so both runs are in one process.
BY_RAY = """
import json, sys
from data_prep import gsm8k
from data_prep.pipeline import command_line, prepare
prepare.SHARD_ROWS = 20
good, bad = json.loads(sys.argv[1])
command_line.main(gsm8k.DATA_SET, "", good)
command_line.main(gsm8k.DATA_SET, "", bad)
"""


@pytest.mark.parametrize("name", DATA_SETS)
def test_the_folder_makes_no_difference(tmp_path, name):
    here, there = tmp_path / "here", tmp_path / "a folder" / "with spaces"
    for out in (here, there):
        prepared(name, "--source", SAMPLES / name, "--out", out)
    assert data_of(here) == data_of(there)
    splits = manifest(here)["splits"], manifest(there)["splits"]
    for split in (split for both in splits for split in both.values()):
        split.pop("command")
    assert splits[0] == splits[1]


def test_neither_the_hash_seed_nor_the_clock_nor_the_language_makes_a_difference(tmp_path):
    """Rows are left out and kept for several reasons, whose order may depend on a set's."""
    records = [problem(number % 50) for number in range(60)]
    records += [{"question": "q", "answer": "none"}, {"question": " ", "answer": "#### 1"}]
    test = [problem(49), problem(999)]
    options = ["--source", source(tmp_path / "source", records, test), "--drop", "gold,empty,duplicate"]
    options += ["--keep", "overlap,near-overlap"]
    here, there = tmp_path / "here", tmp_path / "there"
    prepared("gsm8k", *options, "--out", here)
    environment = {"PYTHONHASHSEED": "77", "TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONUTF8": "1"}
    done = script("gsm8k", *options, "--out", there, cwd=tmp_path, environment=environment)
    assert done.returncode == 0, done.stderr
    assert data_of(here) == data_of(there)
    assert len(rows(here)) == 50


def test_what_is_said_of_images_left_out_is_the_same_each_time(tmp_path):
    folder = tmp_path / "source"
    records = [{"problem": f"<image>Find {n}.", "answer": str(n), "images": [f"{n}.png"]} for n in range(5)]
    write_lines(folder / "train.jsonl", [*records, {"problem": "None.", "answer": "7", "images": []}])
    for number in range(5):
        (folder / f"{number}.png").write_text("no picture")
    # What still exists cannot have the same address.
    outputs = []
    for number in range(3):
        out = tmp_path / str(number)
        options = ["--source", folder, "--split", "train", "--drop", "image", "--out", out]
        prepared("geo3k", *options)
        outputs.append((data_of(out), bytearray(1000)))
    assert outputs[0][0] == outputs[1][0] == outputs[2][0]


def test_the_size_of_shards_decides_the_files_and_nothing_else(tmp_path, monkeypatch):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    prepared("gsm8k", "--source", SAMPLES / "gsm8k", "--out", whole)
    monkeypatch.setattr(preparation, "SHARD_ROWS", 50)
    prepared("gsm8k", "--source", SAMPLES / "gsm8k", "--out", parts)
    assert sorted(path.name for path in parts.glob("train*")) == [f"train-0000{n}-of-00003.parquet" for n in range(3)]
    for split in ("train", "test"):
        assert rows(parts, split) == rows(whole, split)
        first, second = manifest(whole)["splits"][split], manifest(parts)["splits"][split]
        for key in ("files", "fingerprint", "command"):
            first.pop(key)
            second.pop(key)
        assert first == second


def test_ray_gives_the_bytes_and_the_errors_of_the_local_engine(tmp_path, monkeypatch):
    """Several shards, with rows left out for what stands in others, and a path that Ray hands to a shell unquoted."""
    records = [problem(number % 40) for number in range(50)] + [{"question": "q", "answer": "none"}, problem(50)]
    folder = source(tmp_path / "source", records, [problem(3), problem(999)])
    bad = write_lines(tmp_path / "bad.jsonl", [*map(problem, range(30)), b"{", *map(problem, range(40, 50))])
    local, by_ray = tmp_path / "local", tmp_path / "ray"
    options = ["--source", str(folder), "--drop", "gold,duplicate,overlap"]
    monkeypatch.setattr(preparation, "SHARD_ROWS", 20)
    prepared("gsm8k", *options, "--out", local)
    runs = [options, ["--source", str(bad), "--split", "train"]]
    runs = json.dumps([[*run, "--engine", "ray", "--out", str(by_ray)] for run in runs])
    environment = os.environ | {"RAY_ADDRESS": "local"}
    with_spaces = tmp_path / "an environment"
    with_spaces.symlink_to(sys.prefix)
    command = [with_spaces / "bin" / Path(sys.executable).name, "-c", BY_RAY, runs]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2, done.stderr
    assert f"{bad}, row 31: not valid JSON" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(list(by_ray.glob("train-*"))) == 3
    assert len(rows(by_ray)) == 40
    assert data_of(by_ray) == data_of(local)
