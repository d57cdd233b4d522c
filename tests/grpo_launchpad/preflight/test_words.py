"""Words, ranges and added keys: held against the installed code, refused where it would refuse, and nowhere else."""

import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from grpo_launchpad.preflight.added import check_added_keys
from grpo_launchpad.preflight.compose import compose
from grpo_launchpad.preflight.ranges import RANGES, check_ranges
from grpo_launchpad.preflight.source import fields_of, folder_of
from grpo_launchpad.preflight.types import defaults_of
from grpo_launchpad.preflight.words import ALLOWED, check_words

ACTOR, ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
MEGATRON = ["model_engine=megatron"]


def with_value(key: str, value: str):
    return compose(overrides_for(key, value))


def overrides_for(key: str, value: str) -> list[str]:
    return [*(MEGATRON if ".megatron." in key else []), f"++{key}={value}"]


def words_wrong(key: str, value: str):
    return check_words(with_value(key, value), overrides_for(key, value))


@pytest.mark.parametrize("key", ALLOWED)
def test_the_installed_code_has_words_for_each_key(key):
    words = ALLOWED[key]()
    assert len(words) >= 2
    assert all(word.isascii() and " " not in word for word in words)


@pytest.mark.parametrize("key", ALLOWED)
def test_every_word_of_the_code_is_accepted_and_another_one_is_not(key):
    listed = key.endswith("_contents")
    for word in ALLOWED[key]():
        assert words_wrong(key, f"[{word}]" if listed else f"'{word}'") == []
    found = words_wrong(key, "[nonsense]" if listed else "nonsense")
    assert [problem.where for problem in found] == [key]


@pytest.mark.parametrize("engine", [[], MEGATRON])
def test_verls_own_configuration_has_nothing_wrong(engine):
    config = compose(engine)
    assert check_words(config, list(ALLOWED)) == check_ranges(config) == []


@pytest.mark.parametrize(
    ("key", "value", "meant"),
    [
        (f"{ACTOR}.loss_agg_mode", "token_mean", "token-mean"),
        (f"{ACTOR}.loss_agg_mode", "seq-mean-token-sums", "seq-mean-token-sum"),
        ("algorithm.adv_estimator", "GRPO", "grpo"),
        (f"{ACTOR}.policy_loss.loss_mode", "gsp", "gspo"),
        (f"{ACTOR}.fsdp_config.model_dtype", "bfloat-16", "bfloat16"),
        (f"{ACTOR}.checkpoint.save_contents", "[model,optimiser,extra]", "optimizer"),
        (f"{ROLLOUT}.name", "vllms", "vllm"),
        ("trainer.resume_mode", "disabled", "disable"),
    ],
)
def test_the_word_that_was_meant_is_named(key, value, meant):
    (problem,) = words_wrong(key, value)
    assert f"did you mean {meant}?" in problem.fix


def test_the_users_own_reward_manager_has_any_name():
    overrides = ["reward.reward_manager.source=importlib", "reward.reward_manager.name=MyManager"]
    assert check_words(compose(overrides), overrides) == []


def test_the_lists_are_those_that_verl_has_when_it_is_imported():
    """Reading the source finds what importing finds, in the real registries."""
    code = """
from verl.trainer.ppo import core_algos
from verl.workers.rollout.base import _ROLLOUT_REGISTRY
from grpo_launchpad.preflight.words import ALLOWED
actor, rollout = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
assert ALLOWED[f"{actor}.policy_loss.loss_mode"]() == set(core_algos.POLICY_LOSS_REGISTRY)
assert ALLOWED["algorithm.adv_estimator"]() == {each.value for each in core_algos.AdvantageEstimator}
assert ALLOWED[f"{rollout}.name"]() == {name for name, _ in _ROLLOUT_REGISTRY}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


OUTSIDE = {
    f"{ROLLOUT}.gpu_memory_utilization": ["60", "0", "1.01", "-0.5"],
    f"{ROLLOUT}.temperature": ["0", "-1", "2.5"],
    f"{ROLLOUT}.top_p": ["0", "1.1"],
    f"{ROLLOUT}.top_k": ["-2"],
    f"{ROLLOUT}.val_kwargs.temperature": ["-0.1", "3"],
    f"{ACTOR}.clip_ratio_c": ["1.0", "0.5"],
    f"{ACTOR}.clip_ratio_high": ["-0.2"],
    f"{ACTOR}.optim.lr": ["-1e-6", "inf", "nan"],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in OUTSIDE.items() for value in values])
def test_a_number_outside_its_range_is_refused(key, value):
    found = check_ranges(with_value(key, value))
    assert [problem.where for problem in found] == [key]


def test_percent_for_a_share_is_answered_with_the_share():
    (problem,) = check_ranges(with_value(f"{ROLLOUT}.gpu_memory_utilization", "60"))
    assert "0.6" in problem.fix


@pytest.mark.parametrize("key", RANGES)
def test_ends_that_belong_to_a_range_are_accepted(key):
    wanted = RANGES[key]
    for number in (wanted.high, wanted.low):
        if abs(number) != float("inf") and not (wanted.open_low and number == wanted.low):
            assert check_ranges(OmegaConf.create(nested(key, number))) == []


def nested(key: str, value: object) -> dict:
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def added(*overrides: str, engine: str = "fsdp"):
    chosen = MEGATRON if engine == "megatron" else []
    config = compose([*chosen, *overrides])
    return check_added_keys(config, list(overrides), set(defaults_of(engine)))


@pytest.mark.parametrize(
    ("override", "meant"),
    [
        ("+data.max_prompt_len=2048", "max_prompt_length"),
        (f"+{ROLLOUT}.enable_thinking=False", ""),
        (f"++{ROLLOUT}.gpu_memory_utilisation=0.5", "gpu_memory_utilization"),
        (f"+{ROLLOUT}.val_kwargs.temprature=1", "temperature"),
        (f"+{ACTOR}.optim.learning_rate_of_mine=1", ""),
        ("+trainer.val_before_training_starts=True", ""),
        ("+algorithm.norm_adv_by_stdev_in_grpo=False", "norm_adv_by_std_in_grpo"),
    ],
)
def test_an_added_key_that_nothing_reads_is_refused(override, meant):
    (problem,) = added(override)
    assert problem.where == override.lstrip("+").partition("=")[0]
    assert meant in problem.fix


@pytest.mark.parametrize(
    "override",
    [
        f"+{ROLLOUT}.limit_images=4",
        f"+{ROLLOUT}.enable_sleep_mode=False",
        "+data.apply_chat_template_kwargs.enable_thinking=False",
        "++reward.custom_reward_function.reward_kwargs.rewards=correctness",
        f"+{ROLLOUT}.engine_kwargs.vllm.mm_processor_cache_gb=0",
        "++ray_kwargs.ray_init.runtime_env.env_vars.MINE=1",
        "+actor_rollout_ref.model.override_config.attn_implementation=sdpa",
        "+algorithm.gdpo_reward_keys=[a,b]",
    ],
)
def test_an_added_key_that_is_read_is_accepted(override):
    assert added(override) == []


def test_megatrons_own_settings_may_be_added():
    key = f"+{ACTOR}.megatron.override_transformer_config.moe_router_dtype=fp32"
    assert added(key, engine="megatron") == []


def test_fields_are_those_of_the_dataclass_and_its_bases():
    fields = fields_of("verl.workers.config.FSDPActorConfig")
    assert {"ulysses_sequence_parallel_size", "ppo_mini_batch_size", "loss_agg_mode"} <= fields
    assert fields_of("verl.no.such.Class") == frozenset()
    assert folder_of("no_such_package") is None
