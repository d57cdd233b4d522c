import json
import math
from pathlib import Path

import pytest

from grpo_launchpad.report.run_folder import RunFolderError, read_run
from tests.run_folders import START, training, validation


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(RunFolderError, match="no-such-run: no such run folder"):
        read_run(tmp_path / "no-such-run")


def test_a_missing_run_json_is_named(tmp_path):
    with pytest.raises(RunFolderError, match=r"launch/run\.json: missing"):
        read_run(tmp_path)


@pytest.mark.parametrize("content", ["{", "[1]"])
def test_a_broken_run_json_is_named(run_folder, content):
    (run_folder.path / "launch/run.json").write_text(content)
    with pytest.raises(RunFolderError, match=r"launch/run\.json"):
        read_run(run_folder.path)


def test_a_truncated_last_line_is_skipped_and_said(run_folder):
    run_folder.metrics({1: training()}, tail='{"step": 2, "da')
    run = read_run(run_folder.path)
    assert run.training_steps() == [1]
    assert run.unreadable == ["metrics.1.jsonl, line 2"]


def test_null_is_how_orjson_writes_nan(run_folder):
    run_folder.metrics({1: training(actor__grad_norm=None)})
    run = read_run(run_folder.path)
    assert math.isnan(run.metrics[1]["actor/grad_norm"])
    assert run.series("actor/grad_norm") == ([], [])


def test_the_later_attempt_wins_and_what_it_discarded_is_dropped(run_folder):
    run_folder.metrics({0: validation(0.1), **{step: training(reward=0.1) for step in range(1, 7)}}, attempt=1)
    run_folder.metrics({3: validation(0.3), 4: training(reward=0.9), 5: training(reward=0.9)}, attempt=2)
    run = read_run(run_folder.path)
    assert run.series("critic/rewards/mean") == ([1, 2, 3, 4, 5], [0.1, 0.1, 0.1, 0.9, 0.9])
    assert run.abandoned_steps == [6]
    # The validation of the resume joins the training values of the step it resumed from.
    assert run.metrics[3]["val-core/arithmetic/acc/mean@1"] == 0.3
    assert [attempt.steps for attempt in run.attempts] == [[1, 2, 3, 4, 5, 6], [4, 5]]


def test_a_step_trained_again_keeps_nothing_of_the_first_time(run_folder):
    run_folder.metrics({1: training(), 2: training(reward=0.1) | validation(0.9)}, attempt=1)
    run_folder.metrics({2: training(reward=0.2)}, attempt=2)
    assert read_run(run_folder.path).metrics[2] == training(reward=0.2)


def test_an_attempt_that_died_before_training_discards_nothing(run_folder):
    run_folder.metrics({1: training(), 2: training()}, attempt=1)
    run_folder.metrics({1: validation(0.5)}, attempt=2)
    assert read_run(run_folder.path).training_steps() == [1, 2]


def test_attempt_ten_comes_after_attempt_two(run_folder):
    for number, reward in ((2, 0.2), (10, 1.0)):
        run_folder.metrics({1: training(reward=reward)}, attempt=number)
    run = read_run(run_folder.path)
    assert [attempt.number for attempt in run.attempts] == [2, 10]
    assert run.series("critic/rewards/mean") == ([1], [1.0])


def test_log_times(run_folder):
    run_folder.log([(START, "start"), (START + 7.25, "\x1b[36m(pid=1)\x1b[0m Training Progress: 0%"), (START + 9, "x")])
    with (run_folder.path / "log.1.txt").open("a") as log:
        log.write("a line without a time\n2026-11-")
    (attempt,) = read_run(run_folder.path).attempts
    assert attempt.first_step_at == pytest.approx(START + 7.25)
    assert attempt.last_log_at == pytest.approx(START + 9)


def test_the_last_time_is_found_at_the_end_of_a_long_log(run_folder):
    run_folder.log([(START, "x" * 200_000), (START + 5, "end")])
    assert read_run(run_folder.path).attempts[0].last_log_at == pytest.approx(START + 5)


def test_everything_missing_is_listed(run_folder):
    assert read_run(run_folder.path).missing == [
        "launch/attempts.jsonl",
        "metrics.1.jsonl",
        "rollouts/train/<step>.jsonl",
        "rollouts/validation/<step>.jsonl",
        "launch/command.sh",
        "launch/resolved.yaml",
        "launch/env.txt",
    ]


def test_nothing_is_missing_in_a_complete_run(healthy):
    assert read_run(healthy.path).missing == []


def test_strings_and_booleans_are_no_metrics(run_folder: Path):
    run_folder.metrics({1: {"critic/rewards/mean": 1, "a/flag": True, "a/text": "7"}})
    assert read_run(run_folder.path).metrics == {1: {"critic/rewards/mean": 1.0}}
    assert json.loads((run_folder.path / "metrics.1.jsonl").read_text())["data"]["a/flag"] is True
