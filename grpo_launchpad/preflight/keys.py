"""Overrides that compose and do nothing in verl 0.9.1. Setting one means that the user believes in an effect."""

from collections.abc import Callable
from dataclasses import dataclass

from omegaconf import DictConfig, OmegaConf

from grpo_launchpad.doctor.versions import tested_verl
from grpo_launchpad.preflight.override import backend_of, key_of
from grpo_launchpad.preflight.problem import Problem

# key prefix -> what to set instead. Found by following each key through verl 0.9.1's source; docs say of some of them
# that they work. These have no effect in any launcher.
DEAD_KEYS = {
    "custom_reward_function": "reward.custom_reward_function",
    "reward_model.reward_manager": "reward.reward_manager.name",
    "reward_model.reward_kwargs": "reward.custom_reward_function.reward_kwargs",
    "sandbox_fusion": "reward.sandbox_fusion",
    "data.return_raw_input_ids": "nothing; no code of verl 0.9.1 reads it",
    "actor_rollout_ref.actor.use_torch_compile": "actor_rollout_ref.actor.fsdp_config.use_torch_compile",
    "actor_rollout_ref.ref.use_torch_compile": "actor_rollout_ref.ref.fsdp_config.use_torch_compile",
    "actor_rollout_ref.actor.grad_clip": "actor_rollout_ref.actor.optim.clip_grad",
    "actor_rollout_ref.actor.freeze_vision_tower": "actor_rollout_ref.model.exclude_modules with LoRA",
    "actor_rollout_ref.nccl_timeout": "nothing; no key of verl 0.9.1 sets it",
    "actor_rollout_ref.model.tiled_mlp": "nothing; the engines of verl 0.9.1 never apply it",
    "actor_rollout_ref.rollout.multi_stage_wake_up": "nothing; verl 0.9.1 does not read it",
    "actor_rollout_ref.rollout.over_sample_rate": "nothing; verl 0.9.1 does not read it",
}
# Only the trainer of before 0.9 (trainer.use_v1=False) reads these.
DEAD_IN_V1 = {
    "actor_rollout_ref.actor.use_prefix_grouper": "nothing; the V1 trainer has no prefix grouper",
    "actor_rollout_ref.rollout.val_kwargs.do_sample": "VAL_TEMPERATURE: 0 takes the likeliest token, more samples",
    "algorithm.use_pf_ppo": "nothing; the V1 trainer has no PF-PPO",
    "algorithm.pf_ppo": "nothing; the V1 trainer has no PF-PPO",
    "trainer.balance_batch": "nothing; the V1 trainer always balances",
    "trainer.esi_redundant_time": "SAVE_FREQ: the V1 trainer saves by steps only",
    "trainer.ray_wait_register_center_timeout": "nothing; the V1 trainer does not read it",
}
# The other backend reads these. A LoRA rank of the wrong family is worse than dead: all weights train, without a
# reference model, while the rollout engine waits for adapters.
DEAD_BY_BACKEND = {
    "fsdp": {
        "actor_rollout_ref.model.lora.rank": "LORA_RANK, here actor_rollout_ref.model.lora_rank",
        "actor_rollout_ref.model.lora.alpha": "LORA_ALPHA, here actor_rollout_ref.model.lora_alpha",
        "actor_rollout_ref.model.lora.target_modules": "LORA_TARGETS, here actor_rollout_ref.model.target_modules",
        "actor_rollout_ref.model.lora.exclude_modules": "actor_rollout_ref.model.exclude_modules",
        "actor_rollout_ref.model.lora.adapter_path": "actor_rollout_ref.model.lora_adapter_path",
    },
    "megatron": {
        "actor_rollout_ref.model.enable_gradient_checkpointing": "RECOMPUTE_GRANULARITY=full with RECOMPUTE_METHOD="
        "uniform and RECOMPUTE_LAYERS=1",
        "actor_rollout_ref.model.lora_rank": "LORA_RANK, here actor_rollout_ref.model.lora.rank",
        "actor_rollout_ref.model.lora_alpha": "LORA_ALPHA, here actor_rollout_ref.model.lora.alpha",
        "actor_rollout_ref.model.target_modules": "LORA_TARGETS, here actor_rollout_ref.model.lora.target_modules",
        "actor_rollout_ref.model.exclude_modules": "actor_rollout_ref.model.lora.exclude_modules",
        "actor_rollout_ref.model.lora_adapter_path": "actor_rollout_ref.model.lora.adapter_path",
        "actor_rollout_ref.actor.megatron.dist_checkpointing_prefix": "nothing; verl 0.9.1 does not read it",
        "actor_rollout_ref.actor.megatron.router_replay.record_file": "nothing; verl 0.9.1 does not read it",
        "actor_rollout_ref.actor.megatron.router_replay.replay_file": "nothing; verl 0.9.1 does not read it",
    },
}


@dataclass(frozen=True)
class WithoutEffect:
    """A key that verl 0.9.1 reads only in some launches.

    Attributes:
        key: it, or the part of the configuration that it is in.
        when: says whether a launch is one in which nothing reads it.
        why: in a reader's words.
        instead: what to set.
        unless: a value that changes nothing and may stand.
    """

    key: str
    when: Callable[[DictConfig], bool]
    why: str
    instead: str
    unless: tuple[object, ...] = ()


def _v1(config: DictConfig) -> bool:
    return bool(config.trainer.use_v1)


ACTOR, ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
# Sources, files of verl 0.9.1: core_algos.py:1321 and :1190, trainer/ppo/v1/agent_loop_tq.py:60-77,
# trainer/ppo/v1/trainer_base.py:127 and :205, utils/dataset/rl_dataset.py:118, and that main_ppo.py does not call
# experimental/reward_loop/reward_loop.py:39, which would carry reward_model over to reward.reward_model.
WITHOUT_EFFECT = (
    WithoutEffect(
        f"{ACTOR}.clip_ratio",
        lambda config: config.actor_rollout_ref.actor.clip_ratio_low is not None,
        "clip_ratio_low and clip_ratio_high win over it",
        "CLIP_RATIO_LOW and CLIP_RATIO_HIGH",
        unless=(0.2,),
    ),
    WithoutEffect(
        f"{ACTOR}.loss_scale_factor",
        lambda config: config.actor_rollout_ref.actor.loss_agg_mode != "seq-mean-token-sum-norm",
        "only loss_agg_mode=seq-mean-token-sum-norm reads it",
        "LOSS_AGG_MODE=seq-mean-token-sum-norm with it, or leave it out",
        unless=(None,),
    ),
    WithoutEffect(
        "critic",
        lambda config: config.algorithm.adv_estimator != "gae" and not config.critic.get("enable"),
        "without algorithm.adv_estimator=gae there is no critic",
        "nothing; leave it out",
    ),
    WithoutEffect(
        "algorithm.kl_ctrl",
        lambda config: not config.algorithm.use_kl_in_reward,
        "only algorithm.use_kl_in_reward=True reads it",
        "KL_LOSS_COEF for the KL in the loss",
    ),
    WithoutEffect(
        "algorithm.kl_penalty",
        lambda config: not config.algorithm.use_kl_in_reward,
        "only algorithm.use_kl_in_reward=True reads it",
        f"{ACTOR}.kl_loss_type for the KL in the loss",
        unless=("kl",),
    ),
    WithoutEffect(
        "algorithm.filter_groups.max_num_gen_batches",
        _v1,
        "the V1 trainer's replay buffer has no such limit",
        "nothing; leave it out",
        unless=(0, None),
    ),
    WithoutEffect(f"{ROLLOUT}.do_sample", _v1, "the V1 trainer always samples", "TEMPERATURE", unless=(True,)),
    WithoutEffect(
        f"{ROLLOUT}.repetition_penalty",
        _v1,
        "the V1 trainer samples with 1.0",
        "nothing; leave it out",
        unless=(1, 1.0),
    ),
    WithoutEffect(
        "data.truncation",
        _v1,
        "nothing is cut: rows with longer prompts are left out by data.filter_overlong_prompts",
        "MAX_PROMPT_LENGTH",
        unless=("error",),
    ),
    WithoutEffect(
        "data.reward_fn_key",
        _v1,
        "the reward loop reads the column data_source",
        "the column data_source of the data",
        unless=("data_source",),
    ),
    WithoutEffect("reward_model", _v1, "the trainer does not carry it over", "reward.reward_model, reward.num_workers"),
)


def check_keys_without_effect(config: DictConfig, overrides: list[str]) -> list[Problem]:
    """Return a problem for each key that is set and that nothing reads in this launch."""
    problems = []
    for key in dict.fromkeys(map(key_of, overrides)):
        if any(key == dead or key.startswith(f"{dead}.") for dead in dead_keys(overrides)):
            continue  # check_dead_keys says so
        for each in WITHOUT_EFFECT:
            mine = key == each.key or key.startswith(f"{each.key}.")
            if mine and each.when(config) and OmegaConf.select(config, key) not in each.unless:
                problems.append(Problem(key, f"nothing reads it in this launch: {each.why}", f"use {each.instead}"))
    return problems


def dead_keys(overrides: list[str]) -> dict[str, str]:
    """Return the key prefixes that have no effect in a launch, each with what to set instead."""
    v1 = not any(key_of(override) == "trainer.use_v1" and override.lower().endswith("=false") for override in overrides)
    return DEAD_KEYS | (DEAD_IN_V1 if v1 else {}) | DEAD_BY_BACKEND[backend_of(overrides)]


def check_dead_keys(overrides: list[str]) -> list[Problem]:
    """Return a problem for each override whose key verl 0.9.1 accepts and never reads."""
    problems = []
    dead = dead_keys(overrides)
    for override in overrides:
        key = key_of(override)
        for prefix, instead in dead.items():
            if key == prefix or key.startswith(f"{prefix}."):
                problems.append(Problem(key, f"{tested_verl()} accepts this key and never reads it", f"use {instead}"))
    return problems
