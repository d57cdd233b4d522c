"""Arithmetic of batches and lengths that verl checks late or not at all."""

from omegaconf import DictConfig, OmegaConf

from grpo_launchpad.preflight.problem import Problem

# Hydra composes any value into these; verl would stumble over a word or a zero after Ray is up.
POSITIVE_INTEGERS = (
    "data.train_batch_size",
    "data.max_prompt_length",
    "data.max_response_length",
    "actor_rollout_ref.actor.ppo_mini_batch_size",
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu",
    "actor_rollout_ref.rollout.n",
    "actor_rollout_ref.rollout.tensor_model_parallel_size",
    "trainer.nnodes",
    "trainer.n_gpus_per_node",
    "trainer.total_epochs",
)
INTEGERS_OR_NULL = ("trainer.total_training_steps", "trainer.save_freq", "trainer.test_freq")


def check_integers(config: DictConfig) -> list[Problem]:
    """Check that counts are whole numbers. The other checks of this module rely on it."""
    problems = []
    for key in POSITIVE_INTEGERS + INTEGERS_OR_NULL:
        value = OmegaConf.select(config, key)
        if value is None and key in INTEGERS_OR_NULL:
            continue
        positive = key in POSITIVE_INTEGERS
        if type(value) is not int or (positive and value < 1):
            wanted = "a whole number above 0" if positive else "a whole number"
            problems.append(Problem(key, f"{value!r} is not {wanted}", "correct the knob or the argument that sets it"))
    return problems


def check_batch(config: DictConfig) -> list[Problem]:
    """Check the group size, the batch divisions and the token budget of a GRPO run.

    Source: ``verl/trainer/ppo/v1/trainer_base.py``, ``verl/workers/engine_workers.py`` and
    ``verl/utils/seqlen_balancing.py`` in verl 0.9.1.
    """
    problems = []
    actor, rollout, data = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout, config.data
    if config.algorithm.adv_estimator == "grpo" and rollout.n < 2:
        problems.append(
            Problem(
                "actor_rollout_ref.rollout.n",
                f"a group of {rollout.n} sample has no advantage",
                "set ROLLOUT_N to 2 or more",
            )
        )
    batch, mini = data.train_batch_size, actor.ppo_mini_batch_size
    if batch % mini:
        divisors = [d for d in range(1, batch + 1) if batch % d == 0]
        nearest = min(divisors, key=lambda d: abs(d - mini))
        problems.append(
            Problem(
                "actor_rollout_ref.actor.ppo_mini_batch_size",
                f"{mini} does not divide the train batch of {batch} prompts; verl would pad with empty rows",
                f"set PPO_MINI_BATCH_SIZE={nearest}",
            )
        )
    length = data.max_prompt_length + data.max_response_length
    if actor.use_dynamic_bsz and actor.ppo_max_token_len_per_gpu < length:
        problems.append(
            Problem(
                "actor_rollout_ref.actor.ppo_max_token_len_per_gpu",
                f"{actor.ppo_max_token_len_per_gpu} tokens cannot hold one sample of {length} (prompt + response)",
                f"set PPO_MAX_TOKEN_LEN={2 * length}",
            )
        )
    if rollout.max_model_len is not None and rollout.max_model_len < length:
        problems.append(
            Problem(
                "actor_rollout_ref.rollout.max_model_len",
                f"{rollout.max_model_len} is shorter than prompt + response ({length})",
                f"set it to {length}",
            )
        )
    if config.algorithm.get("filter_groups", {}).get("enable") and config.trainer.v1.sampler.custom_sampler.path:
        problems.append(
            Problem(
                "algorithm.filter_groups.enable",
                "a custom sampler is set, and verl gives it no group filter",
                "add trainer.v1.sampler.custom_sampler.path=null",
            )
        )
    return problems
