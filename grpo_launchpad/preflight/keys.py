"""Overrides that compose and do nothing in verl 0.9.1. Setting one means that the user believes in an effect."""

from grpo_launchpad.preflight.problem import Problem

# key prefix -> what to set instead. Found by following each key through verl 0.9.1's source.
DEAD_KEYS = {
    "custom_reward_function": "reward.custom_reward_function",
    "reward_model.reward_manager": "reward.reward_manager.name",
    "reward_model.reward_kwargs": "reward.custom_reward_function.reward_kwargs",
    "sandbox_fusion": "reward.sandbox_fusion",
    "actor_rollout_ref.actor.use_torch_compile": "actor_rollout_ref.actor.fsdp_config.use_torch_compile",
    "actor_rollout_ref.ref.use_torch_compile": "actor_rollout_ref.ref.fsdp_config.use_torch_compile",
    "actor_rollout_ref.actor.grad_clip": "actor_rollout_ref.actor.optim.clip_grad",
    "actor_rollout_ref.actor.freeze_vision_tower": "actor_rollout_ref.model.exclude_modules with LoRA",
    "actor_rollout_ref.nccl_timeout": "nothing; no key of verl 0.9.1 sets it",
    "actor_rollout_ref.rollout.multi_stage_wake_up": "nothing; verl 0.9.1 does not read it",
}


def check_dead_keys(overrides: list[str]) -> list[Problem]:
    """Return a problem for each override whose key verl 0.9.1 accepts and never reads."""
    problems = []
    for override in overrides:
        key = override.split("=", 1)[0].lstrip("+~")
        for dead, instead in DEAD_KEYS.items():
            if key == dead or key.startswith(f"{dead}."):
                problems.append(Problem(key, "verl 0.9.1 accepts this key and never reads it", f"use {instead}"))
    return problems
