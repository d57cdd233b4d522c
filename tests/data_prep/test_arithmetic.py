import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from data_prep.arithmetic import TEST_ROWS, problems, to_row

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments, cwd: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "data_prep" / "arithmetic.py"), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_splits_are_disjoint_and_hold_every_sum_once(seed):
    train, test = problems(seed)
    assert len(test) == TEST_ROWS
    assert sorted(train + test) == [(a, b) for a in range(100) for b in range(100)]


def test_seeds_hold_out_different_problems():
    assert problems(0)[1] != problems(1)[1]


def test_row_is_what_verl_reads():
    assert to_row(3, "train", (19, 81)) == {
        "data_source": "arithmetic",
        "prompt": [{"role": "user", "content": "19+81="}],
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": "100"},
        "extra_info": {"split": "train", "index": 3},
    }


def test_same_seed_gives_the_same_bytes_anywhere(tmp_path):
    here, there = tmp_path / "here", tmp_path / "a folder with spaces"
    for out in (here, there):
        result = run("--out", out, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
    for split in ("train", "test"):
        assert (here / f"{split}.parquet").read_bytes() == (there / f"{split}.parquet").read_bytes()
    assert sorted(path.name for path in here.iterdir()) == ["test.parquet", "train.parquet"]


def test_without_arguments_it_writes_below_data(tmp_path):
    result = run(cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    rows = pq.read_table(tmp_path / "data" / "arithmetic" / "train.parquet").to_pylist()
    assert len(rows) == 10_000 - TEST_ROWS
    assert rows == [to_row(index, "train", pair) for index, pair in enumerate(problems()[0])]


def test_a_seed_that_is_no_number_is_the_users_mistake(tmp_path):
    result = run("--seed", "x", cwd=tmp_path)
    assert result.returncode == 2
    assert "--seed" in result.stderr
