"""Settings that need each other, and what a launch needs of the machine beside devices."""

import pytest

from grpo_launchpad.preflight.compose import compose
from grpo_launchpad.preflight.machine import check_engine
from grpo_launchpad.preflight.reward import check_algorithm
from grpo_launchpad.preflight.trackers import check_trackers
from grpo_launchpad.preflight.words import TRANSFORMER, check_recomputing

OURS = ["reward.custom_reward_function.path=pkg://reward_score"]
DAPO = ["reward.reward_manager.name=dapo", "+reward.reward_kwargs.overlong_buffer_cfg.enable=True"]
LENGTH, LIMIT = "reward.reward_kwargs.overlong_buffer_cfg.len", "reward.reward_kwargs.max_resp_len"


def where(problems) -> list[str]:
    return [problem.where for problem in problems]


@pytest.mark.parametrize(
    ("overrides", "found"),
    [
        ([f"+{LENGTH}=4096", f"+{LIMIT}=1024"], [LENGTH]),
        ([f"+{LENGTH}=0", f"+{LIMIT}=1024"], [LENGTH]),
        ([f"+{LENGTH}=512"], [LIMIT]),
        ([f"+{LENGTH}=512", f"+{LIMIT}=1024"], []),
    ],
)
def test_the_overlong_buffer_lies_within_the_response(overrides, found):
    assert where(check_algorithm(compose([*DAPO, *overrides]))) == found


@pytest.mark.parametrize(("metric", "good"), [("accuracy", False), ("acc", True), ("score", True), ("format", True)])
def test_groups_are_filtered_by_what_the_reward_returns(metric, good):
    rewards = "++reward.custom_reward_function.reward_kwargs.rewards='correctness:1.0,format:0.2'"
    filtered = ["algorithm.filter_groups.enable=True", f"algorithm.filter_groups.metric={metric}"]
    expected = [] if good else ["algorithm.filter_groups.metric"]
    assert where(check_algorithm(compose([*OURS, rewards, *filtered]))) == expected


def test_recomputing_whole_layers_says_how_and_how_many():
    full = ["model_engine=megatron", f"++{TRANSFORMER}.recompute_granularity=full"]
    both = [f"++{TRANSFORMER}.recompute_method=uniform", f"++{TRANSFORMER}.recompute_num_layers=1"]
    # verl's own tree may have the keys without a value
    assert where(check_recomputing(compose(full))) == [
        f"{TRANSFORMER}.recompute_method",
        f"{TRANSFORMER}.recompute_num_layers",
    ]
    assert check_recomputing(compose([*full, *both])) == []


def test_a_rollout_engine_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert check_engine(compose(["actor_rollout_ref.rollout.name=vllm"])) == []
    (problem,) = check_engine(compose(["actor_rollout_ref.rollout.name=trtllm"]))
    assert "tensorrt_llm is not installed" in problem.what


def test_a_tracker_that_is_to_go_online_has_a_key(monkeypatch, tmp_path):
    config = compose(["trainer.logger=[console,wandb]"])
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("WANDB_MODE", "online")
    assert where(check_trackers(config)) == ["WANDB_MODE"]
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert check_trackers(config) == []
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    assert check_trackers(config) == []
    monkeypatch.delenv("WANDB_API_KEY")
    (tmp_path / ".netrc").write_text("machine api.wandb.ai login user password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    assert check_trackers(config) == []
