"""The command, with an engine that needs no model: numbers, resuming, bad input."""

import json
import re
import shutil
from pathlib import Path

import pytest

from grpo_launchpad.evaluate.command import main
from grpo_launchpad.inference.engine import EngineError


def sums(path: Path, count: int = 20, **more) -> Path:
    """Write rows as data_prep/arithmetic.py does, as JSON Lines."""
    rows = [
        {
            "data_source": "arithmetic",
            "prompt": [{"role": "user", "content": f"{a}+{2 * a}="}],
            "ability": "arithmetic",
            "reward_model": {"style": "rule", "ground_truth": str(3 * a)},
            "extra_info": {"split": "test", "index": a, "level": f"Level {1 + a % 2}"},
        }
        | more
        for a in range(count)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def data(tmp_path) -> Path:
    return sums(tmp_path / "sums" / "test.jsonl")


def evaluate(engine, tiny, data, out, *more: str) -> int:
    return main([tiny, "--data", str(data), "--out", str(out), *more], load=engine)


def test_a_whole_evaluation(engine, tiny, data, tmp_path, capsys):
    out = tmp_path / "out"
    assert evaluate(engine, tiny, data, out, "--preset", "justrl", "--samples", "8") == 0
    results = json.loads((out / "results.json").read_text())
    (row,) = results["results"]
    assert results["sampling"]["temperature"] == 0.7
    assert results["sampling"]["top_p"] == 0.9
    assert (row["problems"], row["samples"], row["data"]) == (20, 8, "sums/test")
    metrics = row["metrics"]
    assert list(metrics) == ["avg@8", "pass@2", "pass@4", "pass@8", "maj@2", "maj@4", "maj@8"]
    records = [json.loads(line) for line in (out / "problems.jsonl").read_text().splitlines()]
    average = sum(sum(record["right"]) for record in records) / 160
    assert metrics["avg@8"]["value"] == pytest.approx(average)
    assert 0.5 < metrics["avg@8"]["low"] < average < metrics["avg@8"]["high"] < 0.9
    assert average < metrics["pass@2"]["value"] < metrics["pass@8"]["value"]
    assert metrics["maj@8"]["value"] > average  # two wrong answers share what the right one lacks
    assert row["by"]["level"]["Level 1"]["problems"] == row["by"]["level"]["Level 2"]["problems"] == 10
    assert row["length"]["max"] <= 4
    assert row["truncated"] == 0
    printed = capsys.readouterr().out
    assert re.search(r"\| avg@8  +\| \d\d\.\d \[\d\d\.\d, \d\d\.\d\] ", printed)
    assert printed.startswith((out / "results.md").read_text())
    assert (out / "results.svg").read_text().startswith("<?xml")


def test_greedy_is_the_default_and_has_one_answer(engine, tiny, data, tmp_path):
    assert evaluate(engine, tiny, data, tmp_path / "out") == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["preset"] == "greedy"
    assert list(results["results"][0]["metrics"]) == ["avg@1"]
    assert results["results"][0]["metrics"]["avg@1"]["value"] == 1.0
    assert results["results"][0]["metrics"]["avg@1"]["low"] < 0.9  # 20 problems are no proof


def test_a_stopped_evaluation_goes_on_as_if_it_had_not_been(engine, tiny, data, tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    options = ("--preset", "dapo", "--samples", "4")
    assert evaluate(engine, tiny, data, whole, *options) == 0
    engine.asked.clear()
    engine.stops_after = 30
    assert evaluate(engine, tiny, data, stopped, *options) == 130
    (kept,) = (stopped / "answers").iterdir()
    before = len(kept.read_text().splitlines()) - 1
    assert 30 <= before < 80
    assert not (stopped / "results.json").exists()
    with kept.open("a") as file:
        file.write('{"problem": "cut off by the ki')
    engine.stops_after = None
    engine.asked.clear()
    assert evaluate(engine, tiny, data, stopped, *options) == 0
    assert len(engine.asked) == 80 - before
    assert (stopped / "results.md").read_text() == (whole / "results.md").read_text()
    assert (stopped / "problems.jsonl").read_text() == (whole / "problems.jsonl").read_text()
    engine.asked.clear()
    assert evaluate(engine, tiny, data, stopped, *options) == 0
    assert engine.asked == []


def test_another_sampling_shares_no_answer(engine, tiny, data, tmp_path):
    out = tmp_path / "out"
    for options in (("--seed", "1"), ("--seed", "2"), ("--max-tokens", "3")):
        engine.asked.clear()
        assert evaluate(engine, tiny, data, out, "--preset", "dapo", "--samples", "2", *options) == 0
        assert len(engine.asked) == 40


def test_more_samples_keep_the_answers_there_are(engine, tiny, data, tmp_path):
    out = tmp_path / "out"
    assert evaluate(engine, tiny, data, out, "--preset", "dapo", "--samples", "2") == 0
    engine.asked.clear()
    assert evaluate(engine, tiny, data, out, "--preset", "dapo", "--samples", "3") == 0
    assert len(engine.asked) == 20


def test_two_models_side_by_side(engine, tiny, data, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(tiny, other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"note": "not the same model"}))
    options = ["--data", str(data), "--out", str(tmp_path / "out"), "--preset", "dapo", "--samples", "4"]
    assert main([tiny, str(other), *options], load=engine) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [row["model"] for row in results["results"]] == ["tiny_arithmetic", "other"]
    (difference,) = results["differences"]
    assert (difference["model"], difference["than"]) == ("other", "tiny_arithmetic")
    # the same seeds and the same skill: no difference at all, which twenty problems cannot prove
    assert difference["metrics"]["avg@4"]["value"] == 0
    assert difference["metrics"]["avg@4"]["low"] < 0 < difference["metrics"]["avg@4"]["high"]
    assert "Against tiny_arithmetic, problem by problem" in capsys.readouterr().out


def test_truncated_answers_are_counted(engine, tiny, data, tmp_path):
    assert evaluate(engine, tiny, data, tmp_path / "out", "--max-tokens", "1") == 0
    row = json.loads((tmp_path / "out" / "results.json").read_text())["results"][0]
    assert row["truncated"] == 1.0
    assert row["length"]["max"] == 1


BAD = {
    "unknown scorer": ({"data_source": "gsm9k"}, "no scorer for data_source 'gsm9k'"),
    "no prompt": ({"prompt": None}, "has no prompt in 'prompt'"),
    "images": ({"images": [{"bytes": "x"}]}, "has images"),
    "no truth": ({"reward_model": {}}, "has no column for the ground truth"),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_rows_end_it_before_anything_is_written(fault, engine, tiny, tmp_path, capsys):
    change, message = BAD[fault]
    data, out = sums(tmp_path / "bad" / "test.jsonl", **change), tmp_path / "out"
    assert evaluate(engine, tiny, data, out) == 2
    told = capsys.readouterr().err
    assert message in told
    assert "Traceback" not in told
    assert not out.exists()
    assert engine.asked == []


def test_missing_things_are_named_with_the_way_out(engine, tiny, data, tmp_path, capsys):
    out = str(tmp_path / "out")
    for arguments, message in (
        ([tiny, "--out", out], "--data FILE ... is missing"),
        ([tiny, "--data", str(tmp_path / "none.parquet"), "--out", out], "No such file"),
        ([str(tmp_path / "no-model"), "--data", str(data), "--out", out], "no such folder"),
        ([tiny, "--data", str(data), "--samples", "4", "--out", out], "--preset dapo"),
        ([tiny, "--data", str(data), "--base", "--out", out], "no run is among the models"),
        ([tiny, tiny, "--data", str(data), "--out", out], "named twice"),
    ):
        assert main(arguments, load=engine) == 2
        told = capsys.readouterr().err
        assert message in told, told
        assert not Path(out).exists()
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    assert main([tiny, "--data", str(empty), "--out", out], load=engine) == 2
    assert "has no rows" in capsys.readouterr().err


def test_a_model_that_cannot_be_loaded_leaves_nothing(tiny, data, tmp_path, capsys):
    def load(*_, **__):
        raise EngineError("x: vLLM cannot run it here: no memory")

    out = tmp_path / "out"
    assert main([tiny, "--data", str(data), "--out", str(out)], load=load) == 2
    assert "vLLM cannot run it here: no memory" in capsys.readouterr().err
    assert not out.exists()


def test_the_reward_function_of_a_run_scores_its_evaluation(engine, tiny, data, tmp_path, monkeypatch, capsys):
    """A user's own function, in a file of his, which returns a number alone: here 1 for an even sum."""
    own = tmp_path / "own.py"
    own.write_text(
        "def even(data_source, solution_str, ground_truth, extra_info, bonus=0.0):\n"
        "    assert extra_info['level'].startswith('Level')\n"
        "    return float(int(solution_str) % 2 == 0) + bonus\n"
    )
    run = tmp_path / "run"
    (run / "launch").mkdir(parents=True)
    (run / "launch" / "run.json").write_text("{}")
    (run / "launch" / "resolved.yaml").write_text(
        f"data: {{max_response_length: 8, val_files: {data}}}\n"
        "actor_rollout_ref: {model: {path: tiny-arithmetic}, rollout: {dtype: bfloat16}}\n"
        f"reward: {{custom_reward_function: {{path: {own}, name: even, reward_kwargs: {{bonus: 0.0}}}}}}\n"
    )
    monkeypatch.setattr("grpo_launchpad.inference.model_argument.ModelArgument.folder", lambda self: Path(tiny))
    assert main([str(run), "--base", "--out", str(tmp_path / "out")], load=engine) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [row["model"] for row in results["results"]] == ["tiny-arithmetic", "run"]
    assert results["results"][0]["metrics"]["avg@1"]["value"] == 0.5  # 3 a is even for every other a
    assert results["scorer"] == f"{own}:even"
    assert results["sampling"]["max_tokens"] == 8
    own.write_text(own.read_text().replace("return ", "return 1 / 0 + "))
    assert main([str(run), "--out", str(tmp_path / "out")], load=engine) == 0
    told = capsys.readouterr()
    assert f"{own}:even failed on row 1 of sums/test: ZeroDivisionError" in told.err
    assert told.err.count("failed on row") == 1
    assert "gave no verdict on 100.0% of run's answers" in told.out


def test_a_second_evaluation_does_not_write_into_the_first(engine, tiny, data, tmp_path, capsys):
    import fcntl

    out = tmp_path / "out"
    assert evaluate(engine, tiny, data, out) == 0
    (kept,) = (out / "answers").iterdir()
    with kept.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert evaluate(engine, tiny, data, out) == 2
    assert "another evaluation of this model is writing it" in capsys.readouterr().err
