"""Overrides that compose and do nothing in verl 0.9.1. Setting one means that the user believes in an effect."""

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
                problems.append(Problem(key, "verl 0.9.1 accepts this key and never reads it", f"use {instead}"))
    return problems
