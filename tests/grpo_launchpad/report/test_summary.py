import json

import pytest

from grpo_launchpad.report.run_folder import read_run
from grpo_launchpad.report.summary import components, extra_values, summarize
from tests.run_folders import START, training, validation

KEYS = [
    "name",
    "model",
    "task",
    "backend",
    "world_size",
    "status",
    "attempts",
    "steps",
    "accuracy_before",
    "accuracy_after",
    "accuracy_by_data_source",
    "reward_first",
    "reward_last",
    "startup_seconds",
    "step_seconds_median",
    "tokens_per_second_median",
    "rollout_probs_diff_mean",
    "rollout_probs_diff_max_of_means",
    "rollout_divergence_max",
    "wall_seconds",
    "generated_at",
]


def summary_of(run_folder):
    return summarize(read_run(run_folder.path))


def test_a_complete_run(healthy):
    summary = summary_of(healthy)
    assert list(summary) == KEYS
    del summary["generated_at"]
    assert summary == {
        "name": "run_tiny_cpu_arithmetic",
        "model": "tiny-arithmetic",
        "task": "arithmetic",
        "backend": "cpu",
        "world_size": 1,
        "status": "completed",
        "attempts": 1,
        "steps": 3,
        "accuracy_before": 0.25,
        "accuracy_after": 0.75,
        "accuracy_by_data_source": None,
        "reward_first": 0.3,
        "reward_last": 0.6,
        "startup_seconds": 20.5,
        "step_seconds_median": 3.0,  # 2 and 4; the warm-up of 9 does not count
        "tokens_per_second_median": 375.0,  # 1000 / 2 and 1000 / 4
        "rollout_probs_diff_mean": pytest.approx(0.002),
        "rollout_probs_diff_max_of_means": 0.002,
        "rollout_divergence_max": 0.0003,
        "wall_seconds": 60.0,
    }


def test_an_empty_run_measures_nothing(run_folder):
    summary = summary_of(run_folder)
    assert (summary["steps"], summary["attempts"]) == (0, 0)
    measured = KEYS[KEYS.index("accuracy_before") : KEYS.index("generated_at")]
    assert [summary[key] for key in ["status", *measured]] == [None] * (len(measured) + 1)


@pytest.mark.parametrize(
    ("exit_code", "status"),
    [(0, "completed"), (1, "failed"), (2, "failed"), (130, "interrupted"), (137, "interrupted"), (143, "interrupted")],
)
def test_status_from_the_exit_code(run_folder, exit_code, status):
    run_folder.attempt(ended_at=START + 1, exit_code=exit_code)
    assert summary_of(run_folder)["status"] == status


def test_the_last_attempt_decides_the_status(run_folder):
    run_folder.attempt(1, ended_at=START + 1, exit_code=0)
    run_folder.attempt(2)
    assert summary_of(run_folder)["status"] == "interrupted"


def test_a_killed_attempt_lasts_until_its_last_log_line(run_folder):
    run_folder.attempt(1)
    run_folder.log([(START, "a"), (START + 30, "b")], attempt=1)
    run_folder.attempt(2, started_at=START + 100, ended_at=START + 112, exit_code=0)
    assert summary_of(run_folder)["wall_seconds"] == pytest.approx(42)


def test_startup_is_that_of_the_first_attempt(run_folder):
    for number, start in ((1, START), (2, START + 100)):
        run_folder.attempt(number, started_at=start)
        run_folder.log([(start + 5 * number, "Training Progress:")], attempt=number)
    assert summary_of(run_folder)["startup_seconds"] == pytest.approx(5)


def test_a_startup_against_the_clock_is_not_measured(run_folder):
    run_folder.attempt(started_at=START)
    run_folder.log([(START - 3600, "Training Progress:")])
    assert summary_of(run_folder)["startup_seconds"] is None


def test_every_attempt_has_a_warm_up_step(run_folder):
    run_folder.metrics({1: training(seconds=50), 2: training(seconds=2), 3: training(seconds=2)}, attempt=1)
    run_folder.metrics({3: training(seconds=70), 4: training(seconds=4)}, attempt=2)
    assert summary_of(run_folder)["step_seconds_median"] == 3


def test_a_single_step_is_its_own_median(run_folder):
    run_folder.metrics({1: training(seconds=5)})
    assert summary_of(run_folder)["step_seconds_median"] == 5


def test_several_data_sources_are_averaged_and_listed(run_folder):
    run_folder.metrics(
        {
            0: validation(0.2, "openai/gsm8k") | validation(0.0, "math"),
            1: training() | validation(0.6, "openai/gsm8k") | validation(0.2, "math"),
        }
    )
    summary = summary_of(run_folder)
    assert (summary["accuracy_before"], summary["accuracy_after"]) == (pytest.approx(0.1), pytest.approx(0.4))
    assert summary["accuracy_by_data_source"] == {
        "math": {"before": 0.0, "after": 0.2},
        "openai/gsm8k": {"before": 0.2, "after": 0.6},
    }


@pytest.mark.parametrize(
    ("records", "before", "after"),
    [
        ({0: validation(0.4), 1: training()}, 0.4, None),
        ({1: training() | validation(0.4)}, None, 0.4),
        ({1: training() | validation(0.4), 2: training() | validation(0.5)}, 0.4, 0.5),
        ({0: validation(None), 1: training() | validation(0.4)}, None, 0.4),
    ],
)
def test_one_accuracy_is_no_comparison(run_folder, records, before, after):
    run_folder.metrics(records)
    summary = summary_of(run_folder)
    assert (summary["accuracy_before"], summary["accuracy_after"]) == (before, after)


def test_nan_never_reaches_the_summary(run_folder):
    run_folder.metrics({1: {name: None for name in training()}, 2: training(reward=0.7), 3: training(reward=None)})
    summary = summary_of(run_folder)
    json.dumps(summary, allow_nan=False)
    assert (summary["reward_first"], summary["reward_last"], summary["steps"]) == (0.7, 0.7, 3)


def extra(name, value, data_source="arithmetic"):
    return {f"val-aux/{data_source}/{name}/mean@1": value}


def test_components_are_what_the_reward_returned_beside_score_and_verdict(run_folder):
    first = validation(0.2) | extra("format", 0.5) | extra("length", -3.0) | extra("scorer_error", 0.25)
    first |= extra("score", 0.2) | extra("acc_success_only", 0.2) | {"val-aux/num_turns/mean": 2.0}
    run_folder.metrics({0: first, 5: training() | extra("format", 0.75) | extra("format", None, "openai/gsm8k")})
    run = read_run(run_folder.path)
    assert components(run) == {"format": {0: 0.5, 5: 0.75}, "length": {0: -3.0}}
    assert extra_values(run)["scorer_error"] == {0: 0.25}


def test_components_are_averaged_over_data_sources(run_folder):
    run_folder.metrics({0: extra("format", 0.5, "openai/gsm8k") | extra("format", 1.0, "a/b/c")})
    assert components(read_run(run_folder.path)) == {"format": {0: 0.75}}


def test_components_of_training_steps_are_kept_apart(run_folder):
    run_folder.metrics({1: training(**{"gdpo/format/mean": 0.5, "gdpo/format/std": 0.1}) | extra("format", 1.0)})
    assert components(read_run(run_folder.path)) == {"format (training)": {1: 0.5}, "format": {1: 1.0}}
