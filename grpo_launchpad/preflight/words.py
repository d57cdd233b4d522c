"""Words that verl, vLLM or Megatron-Core compare with closed lists, most of them after the models are loaded."""

from collections.abc import Callable
from difflib import get_close_matches

from omegaconf import DictConfig, ListConfig, OmegaConf

from grpo_launchpad.preflight.override import key_of
from grpo_launchpad.preflight.problem import Problem
from grpo_launchpad.preflight.source import Words, assigned, compared, members, registered, sought_in

ACTOR, REF, ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.ref", "actor_rollout_ref.rollout"
TRANSFORMER = f"{ACTOR}.megatron.override_transformer_config"
CORE_ALGORITHMS = "trainer/ppo/core_algos.py"
CORRECTION = "trainer/ppo/rollout_corr_helper.py"
DTYPES = ("HALF_LIST", "FLOAT_LIST", "BFLOAT_LIST")


def _dtypes() -> Words:
    return assigned("verl", "utils/torch_dtypes.py", *DTYPES)


def _kl_estimators() -> Words:
    """Those of core_algos.py; "full" is named there and not implemented. With a "+", the gradient is k2's."""
    plain = compared("verl", CORE_ALGORITHMS, "kl_penalty", inside="kl_penalty_forward") - {"full"}
    return plain | {f"{each}+" for each in plain}


# key -> the words that the code accepts, read where it compares them.
ALLOWED: dict[str, Callable[[], Words]] = {
    "algorithm.adv_estimator": lambda: members("verl", CORE_ALGORITHMS, "AdvantageEstimator"),
    f"{ACTOR}.loss_agg_mode": lambda: assigned("verl", "workers/config/actor.py", "valid_loss_agg_modes"),
    f"{ACTOR}.policy_loss.loss_mode": lambda: registered("verl", CORE_ALGORITHMS, "register_policy_loss"),
    f"{ACTOR}.kl_loss_type": _kl_estimators,
    "algorithm.kl_penalty": _kl_estimators,
    f"{ACTOR}.fsdp_config.model_dtype": _dtypes,
    f"{ACTOR}.fsdp_config.dtype": _dtypes,
    f"{REF}.fsdp_config.model_dtype": _dtypes,
    f"{ACTOR}.optim.lr_scheduler_type": lambda: compared(
        "verl", "workers/config/optimizer.py", "lr_scheduler_type", inside="FSDPOptimizerConfig"
    ),
    f"{ACTOR}.checkpoint.save_contents": lambda: sought_in("verl", "utils/checkpoint/*.py", "checkpoint_save_contents"),
    f"{ACTOR}.checkpoint.load_contents": lambda: sought_in("verl", "utils/checkpoint/*.py", "checkpoint_load_contents"),
    f"{ROLLOUT}.name": lambda: assigned("verl", "workers/rollout/base.py", "_ROLLOUT_REGISTRY"),
    f"{ROLLOUT}.quantization": lambda: assigned(
        "verl", "workers/rollout/vllm_rollout/vllm_async_server.py", "_SUPPORTED_QUANTIZATION"
    ),
    "algorithm.rollout_correction.rollout_is": lambda: assigned("verl", CORRECTION, "valid_is_levels"),
    "algorithm.rollout_correction.rollout_rs": lambda: assigned("verl", CORRECTION, "SUPPORTED_ROLLOUT_RS_OPTIONS"),
    "reward.reward_manager.name": lambda: (
        registered("verl", "experimental/reward_loop/**/*.py", "register")
        | registered("verl", "experimental/reward_loop/**/*.py", "register_manager")
    ),
    "trainer.resume_mode": lambda: compared("verl", "trainer/ppo/v1/trainer_base.py", "resume_mode"),
    "trainer.v1.trainer_mode": lambda: registered("verl", "trainer/ppo/v1/*.py", "register_trainer"),
    f"{TRANSFORMER}.recompute_granularity": lambda: compared(
        "megatron.core", "transformer/transformer_config.py", "recompute_granularity"
    ),
    f"{TRANSFORMER}.recompute_method": lambda: compared(
        "megatron.core", "transformer/transformer_config.py", "recompute_method"
    ),
}
# Where the words are those of one engine, or hold only in one case.
OF_FSDP = {f"{ACTOR}.optim.lr_scheduler_type"}


def check_words(config: DictConfig, overrides: list[str]) -> list[Problem]:
    """Check each word against the list that the installed code has for it; without that code nothing is known.

    Args:
        config: the composed configuration.
        overrides: the Hydra overrides; what none of them sets has verl's own value.
    """
    problems = []
    given = set(map(key_of, overrides))
    for key, words in ALLOWED.items():
        if not any(key == each or key.startswith(f"{each}.") for each in given):
            continue
        parent, _, name = key.rpartition(".")
        holder = OmegaConf.select(config, parent)
        if not isinstance(holder, DictConfig) or name not in holder or OmegaConf.is_interpolation(holder, name):
            continue  # what repeats another key is said of that one
        value = holder[name]
        if value is None or (key in OF_FSDP and config.actor_rollout_ref.actor.strategy == "megatron"):
            continue
        if key == "reward.reward_manager.name" and config.reward.reward_manager.source != "register":
            continue  # the user's own class
        allowed = words()
        for word in _words(key, value):
            if allowed and word not in allowed:
                near = get_close_matches(word.lower().replace("_", "-"), allowed, n=1) or get_close_matches(
                    word.lower(), allowed, n=1
                )
                choice = f"did you mean {near[0]}? One of" if near else "choose one of"
                fix = f"{choice} {', '.join(sorted(allowed))}"
                problems.append(Problem(key, f"{word!r} is none of the words that are known there", fix))
    return problems


def check_recomputing(config: DictConfig) -> list[Problem]:
    """Check that recomputing whole layers says how, and how many at a time.

    Source: Megatron-Core ``transformer/transformer_config.py:1155-1176``.
    """
    settings = OmegaConf.select(config, TRANSFORMER) or {}
    if config.actor_rollout_ref.actor.strategy != "megatron" or settings.get("recompute_granularity") != "full":
        return []
    knobs = {"recompute_method": "RECOMPUTE_METHOD=uniform", "recompute_num_layers": "RECOMPUTE_LAYERS=1"}
    return [
        Problem(f"{TRANSFORMER}.{name}", "recompute_granularity=full needs it, and it has no value", f"set {knob}")
        for name, knob in knobs.items()
        if settings.get(name) is None
    ]


def _words(key: str, value: object) -> list[str]:
    """Return the words of a value: of a list each, of chained rejection criteria each."""
    if isinstance(value, ListConfig):
        return [str(each) for each in value]
    if key.endswith(".rollout_rs"):
        return [each.strip() for each in str(value).split(",") if each.strip()]
    return [str(value)]
