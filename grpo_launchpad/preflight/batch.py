"""Arithmetic of batches and lengths that verl checks late or not at all."""

import math

from omegaconf import DictConfig, OmegaConf

from grpo_launchpad.architectures import Architecture
from grpo_launchpad.preflight.layout import (
    ACTOR,
    KEYS,
    REF,
    ROLLOUT,
    Layout,
    layout_of,
    needs_reference,
    published_context,
    reference_is_actor,
)
from grpo_launchpad.preflight.problem import Problem

# Hydra composes any value into these; verl would stumble over a word or a zero after Ray is up.
POSITIVE_INTEGERS = (
    "data.max_prompt_length",
    "data.max_response_length",
    f"{ACTOR}.ppo_max_token_len_per_gpu",
    f"{ROLLOUT}.max_num_seqs",
    f"{ROLLOUT}.max_num_batched_tokens",
    "trainer.total_epochs",
)
POSITIVE_INTEGERS_OR_NULL = (
    f"{ACTOR}.ppo_micro_batch_size_per_gpu",
    f"{ROLLOUT}.log_prob_micro_batch_size_per_gpu",
    f"{ROLLOUT}.log_prob_max_token_len_per_gpu",
    f"{ROLLOUT}.max_model_len",
    f"{REF}.log_prob_micro_batch_size_per_gpu",
    f"{REF}.log_prob_max_token_len_per_gpu",
)
INTEGERS_OR_NULL = ("trainer.total_training_steps", "trainer.save_freq", "trainer.test_freq")
INTEGERS = ("actor_rollout_ref.model.lora_rank", "actor_rollout_ref.model.lora.rank")

# Of a layout, what may be empty, and what may be negative.
UNSET_BY_DEFAULT = ("vpp", "etp", "first_stage", "last_stage")
NEGATIVE_FOR_ALL = ("fsdp_size", "ref_fsdp_size")

# Source: vLLM 0.28 config/lora.py; verl 0.9.1 workers/rollout/vllm_rollout/utils.py:83 rounds up to the next of these.
VLLM_LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)


def check_integers(config: DictConfig) -> list[Problem]:
    """Check that counts are whole numbers. The other checks of this package rely on it."""
    layout_keys = {name: key for name, keys in KEYS.items() for key in keys}
    positive = [*POSITIVE_INTEGERS, *POSITIVE_INTEGERS_OR_NULL]
    positive += [key for name, keys in KEYS.items() if name not in NEGATIVE_FOR_ALL for key in keys]
    any_sign = [*INTEGERS, *INTEGERS_OR_NULL, *(layout_keys[name] for name in NEGATIVE_FOR_ALL)]
    nullable = [*POSITIVE_INTEGERS_OR_NULL, *INTEGERS_OR_NULL, *(layout_keys[name] for name in UNSET_BY_DEFAULT)]
    problems = []
    for key in (*positive, *any_sign):
        value = OmegaConf.select(config, key, default=...)
        if value is ... or (value is None and key in nullable):  # the other engine's, or verl's own choice
            continue
        if type(value) is not int or (key in positive and value < 1):
            wanted = "a whole number above 0" if key in positive else "a whole number"
            problems.append(Problem(key, f"{value!r} is not {wanted}", f"give it {wanted}"))
    return problems


def check_batch(config: DictConfig, architecture: Architecture | None = None) -> list[Problem]:
    """Check the group size, the micro batches, the token budgets and the lengths of a GRPO run.

    Source: ``trainer/ppo/v1/trainer_base.py`` in verl 0.9.1, and what the functions below name.

    Args:
        config: the composed configuration, whose numbers are whole (``check_integers``).
        architecture: the model's, or None if it is not known on this machine.
    """
    problems = []
    actor, rollout = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout
    if config.algorithm.adv_estimator == "grpo" and rollout.n < 2:
        problems.append(
            Problem(f"{ROLLOUT}.n", f"a group of {rollout.n} sample has no advantage", "set ROLLOUT_N to 2 or more")
        )
    if config.algorithm.get("filter_groups", {}).get("enable") and config.trainer.v1.sampler.custom_sampler.path:
        what = "a custom sampler is set, and verl gives it no group filter"
        fix = "add trainer.v1.sampler.custom_sampler.path=null"
        problems.append(Problem("algorithm.filter_groups.enable", what, fix))
    layout = layout_of(config)
    micro_batches = _check_budgets if actor.use_dynamic_bsz else _check_micro_batches
    return [
        *problems,
        *_check_micro_batch_settings(config),
        *micro_batches(config, layout),
        *_check_rollout_lengths(config, layout, architecture),
        *_check_lora_rank(config, layout),
    ]


def _check_micro_batch_settings(config: DictConfig) -> list[Problem]:
    """Source: ``workers/engine_workers.py:616``."""
    wanted = config.actor_rollout_ref.actor.use_dynamic_bsz
    if config.actor_rollout_ref.rollout.log_prob_use_dynamic_bsz == wanted:
        return []
    key = f"{ROLLOUT}.log_prob_use_dynamic_bsz"
    return [Problem(key, f"it must be as {ACTOR}.use_dynamic_bsz is, {wanted}", f"add {key}={wanted}")]


def _check_budgets(config: DictConfig, layout: Layout) -> list[Problem]:
    """Check that each dynamic micro batch can hold the longest sample, which the GPUs of a sequence share.

    Source: ``utils/seqlen_balancing.py:384``, ``workers/engine/utils.py:102``.
    """
    data = config.data
    length = data.max_prompt_length + data.max_response_length
    actor_sharing, ref_sharing = (layout.cp, layout.cp) if layout.engine == "megatron" else (layout.sp, layout.ref_sp)
    actor, rollout = f"{ACTOR}.ppo_max_token_len_per_gpu", f"{ROLLOUT}.log_prob_max_token_len_per_gpu"
    budgets = {actor: ("PPO_MAX_TOKEN_LEN", actor_sharing), rollout: ("LOG_PROB_MAX_TOKEN_LEN", actor_sharing)}
    if layout.has_reference:
        budgets[f"{REF}.log_prob_max_token_len_per_gpu"] = ("LOG_PROB_MAX_TOKEN_LEN", ref_sharing)
    bypass = (config.algorithm.get("rollout_correction") or {}).get("bypass_mode")
    if bypass and not (needs_reference(config) and reference_is_actor(config)):
        del budgets[rollout]  # the policy's probabilities are those of the rollout engine
    problems = []
    too_small = set()
    for key, (knob, sharing) in budgets.items():
        if layout.dynamic_cp or layout.engine not in ("fsdp", "megatron"):
            break  # other engines share sequences in their own ways
        budget = OmegaConf.select(config, key)
        if budget is None:
            problems.append(Problem(key, "it has no value", f"set {knob}={2 * math.ceil(length / sharing)}"))
        elif budget * sharing < length and (budget, sharing) not in too_small:
            too_small.add((budget, sharing))  # those that follow the actor's are one problem with it
            devices = f" on {sharing} devices" if sharing > 1 else ""
            what = f"{budget} tokens{devices} cannot hold one sample of {length} (prompt + response)"
            problems.append(Problem(key, what, f"set {knob}={2 * math.ceil(length / sharing)}"))
    return problems


def _check_micro_batches(config: DictConfig, layout: Layout) -> list[Problem]:
    """Check the micro batches of fixed size: each must divide what a data parallel group gets.

    Source: ``utils/config.py:105``, ``workers/config/actor.py:197``, ``workers/engine_workers.py:636``,
    ``workers/engine/utils.py:126`` and, for what log-probabilities get, ``trainer/ppo/v1/trainer_base.py:1589``.
    """
    if layout.engine not in ("fsdp", "megatron"):
        return []
    groups = layout.data_parallel
    samples, update = layout.train_batch * layout.group, layout.mini_batch * layout.group
    padded = math.ceil(samples / math.lcm(groups, update)) * math.lcm(groups, update)
    parts = {f"{ACTOR}.ppo_micro_batch_size_per_gpu": update, f"{ROLLOUT}.log_prob_micro_batch_size_per_gpu": padded}
    if layout.has_reference:
        parts[f"{REF}.log_prob_micro_batch_size_per_gpu"] = padded
    problems = []
    for key, whole in parts.items():
        size = OmegaConf.select(config, key)
        share = whole // groups
        if size is None:
            problems.append(Problem(key, "it has no value, and use_dynamic_bsz is False", f"add {key}=1"))
        elif whole % groups == 0 and share % size:
            fix = f"add {key}={_nearest_divisor(share, size)}"
            problems.append(Problem(key, f"{size} does not divide the {share} samples of a data parallel group", fix))
    micro = config.actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu
    least = layout.world if layout.engine == "fsdp" else groups * (micro or 1)
    if samples % least:
        what = f"{layout.train_batch} prompts x {layout.group} samples = {samples} is no multiple of {least}"
        problems.append(Problem("data.train_batch_size", what, f"make TRAIN_BATCH_SIZE x ROLLOUT_N one of {least}"))
    return problems


def _check_rollout_lengths(config: DictConfig, layout: Layout, architecture: Architecture | None) -> list[Problem]:
    """Check what the rollout engine can hold.

    Source: ``workers/rollout/vllm_rollout/vllm_async_server.py:1107``, vLLM 0.28 ``config/scheduler.py:263``.
    """
    rollout, data = config.actor_rollout_ref.rollout, config.data
    length = data.max_prompt_length + data.max_response_length
    problems = []
    if rollout.max_model_len is not None and rollout.max_model_len < length:
        what = f"{rollout.max_model_len} is shorter than prompt + response ({length})"
        problems.append(Problem(f"{ROLLOUT}.max_model_len", what, f"set it to {length}"))
    if layout.rollout_engine != "vllm":
        return problems
    context = published_context(config, architecture)
    if context is not None and length > context:
        fix = f"set MAX_RESPONSE_LENGTH={context - data.max_prompt_length}"
        if context <= data.max_prompt_length:
            fix = f"lower MAX_PROMPT_LENGTH and MAX_RESPONSE_LENGTH to {context} together"
        what = f"prompt + response is {length} tokens, the model's context {context}"
        problems.append(Problem("data.max_response_length", what, fix))
    elif context is not None and (rollout.max_model_len or 0) > context:
        what = f"{rollout.max_model_len} is more than the model's context of {context} tokens"
        problems.append(Problem(f"{ROLLOUT}.max_model_len", what, f"set it to {length}"))
    tokens, samples = rollout.max_num_batched_tokens, rollout.max_num_seqs
    if tokens < samples:
        what = f"{samples} samples at a time need as many tokens at a time, and those are limited to {tokens}"
        fix = f"set MAX_NUM_SEQS={tokens}, or MAX_NUM_BATCHED_TOKENS={samples} or more"
        problems.append(Problem(f"{ROLLOUT}.max_num_seqs", what, fix))
    return problems


def _check_lora_rank(config: DictConfig, layout: Layout) -> list[Problem]:
    """Check that vLLM can hold the adapter; it has room for ranks up to the next of its sizes.

    Source: ``utils/config.py:206``.
    """
    model = config.actor_rollout_ref.model
    key, rank = ("lora.rank", model.lora.rank) if model.lora.rank > 0 else ("lora_rank", model.lora_rank)
    largest = VLLM_LORA_RANKS[-1]
    if layout.rollout_engine != "vllm" or model.lora.merge or rank <= largest:
        return []
    what = f"vLLM holds adapters of rank {largest} at most, not {rank}"
    return [Problem(f"actor_rollout_ref.model.{key}", what, f"set LORA_RANK={largest}")]


def _nearest_divisor(number: int, wanted: int) -> int:
    divisors = [divisor for divisor in range(1, number + 1) if number % divisor == 0]
    return min(divisors, key=lambda divisor: abs(divisor - wanted))
