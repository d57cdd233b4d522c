import pytest

from data_prep.arithmetic import TEST_ROWS, problems
from tests.data_prep.scripts import FINISHED, contents, data_of, prepare, prepared, refused, rows, script


@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_splits_are_disjoint_and_hold_every_sum_once(seed):
    train, test = problems(seed)
    assert len(test) == TEST_ROWS
    assert sorted(train + test) == [(a, b) for a in range(100) for b in range(100)]


def test_seeds_hold_out_different_problems():
    assert problems(0)[1] != problems(1)[1]


def test_the_seed_decides_what_is_written(tmp_path):
    prepared("arithmetic", "--seed", 7, "--split", "test", "--out", tmp_path)
    asked = [row["prompt"][0]["content"] for row in rows(tmp_path, "test")]
    assert asked == [f"{a}+{b}=" for a, b in problems(7)[1]]


def test_without_arguments_it_writes_below_data(tmp_path):
    done = script("arithmetic", cwd=tmp_path, environment={"DATA_DIR": str(tmp_path / "data")})
    assert done.returncode == 0, done.stderr
    for split, pairs in zip(("train", "test"), problems(), strict=True):
        assert rows(tmp_path / "data" / "arithmetic", split) == [
            {
                "data_source": "arithmetic",
                "prompt": [{"role": "user", "content": f"{a}+{b}="}],
                "ability": "math",
                "reward_model": {"style": "rule", "ground_truth": str(a + b)},
                "extra_info": {"split": split, "index": index},
            }
            for index, (a, b) in enumerate(pairs)
        ]


def test_same_seed_gives_the_same_bytes_anywhere(tmp_path):
    here, there = tmp_path / "here", tmp_path / "a folder with spaces"
    prepared("arithmetic", "--limit", 1000, "--out", here)
    done = script("arithmetic", "--limit", 1000, "--out", there, cwd=tmp_path, environment={"PYTHONHASHSEED": "11"})
    assert done.returncode == 0, done.stderr
    assert data_of(here) == data_of(there)
    assert sorted(contents(here)) == FINISHED


def test_a_limit_takes_the_first_problems(tmp_path):
    prepared("arithmetic", "--limit", 3, "--out", tmp_path)
    train, test = problems()
    assert [row["reward_model"]["ground_truth"] for row in rows(tmp_path)] == [str(a + b) for a, b in train[:3]]
    assert len(rows(tmp_path, "test")) == 3


@pytest.mark.parametrize("arguments", [("--seed", "x"), ("--source", "somewhere"), ("--template", "boxed")])
def test_an_option_that_makes_no_sense_is_the_users_mistake(tmp_path, arguments):
    refused(prepare("arithmetic", *arguments, "--out", tmp_path / "out"), arguments[0])
    assert not (tmp_path / "out").exists()
