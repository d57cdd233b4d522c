"""What verl does with a launcher's arguments before it loads a model."""

import sys
import traceback
import types
from dataclasses import dataclass, fields

import yaml
from omegaconf import DictConfig, open_dict

from grpo_launchpad.preflight.compose import ComposeError, compose


@dataclass(frozen=True)
class Examination:
    """The configuration, if the arguments compose, and why verl refuses it, if it does."""

    config: DictConfig | None
    refusal: str = ""


def read_yaml_in_c() -> None:
    """Let OmegaConf read verl's tree, which Hydra does for each configuration anew, in two thirds of the time."""
    yaml.SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def examine(arguments: list[str]) -> Examination:
    """Compose arguments with verl's own tree and see whether verl accepts the result."""
    try:
        config = compose(arguments)
    except ComposeError as error:
        return Examination(None, str(error))
    try:
        accept(config)
    except Exception:
        return Examination(config, traceback.format_exc())
    return Examination(config)


def accept(config: DictConfig) -> None:
    """Do what main_ppo and then the workers do.

    Raises:
        Exception: whatever verl raises if it does not accept the configuration.
    """
    _keep_vllm_unimported()
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import omega_conf_to_dataclass, validate_config
    from verl.workers.config import HFModelConfig

    validate_config(config, need_reference_policy(config), need_critic(config))
    worker = config.copy().actor_rollout_ref
    with open_dict(worker.ref):  # as verl/workers/engine_workers.py
        worker.ref.ppo_mini_batch_size = worker.actor.ppo_mini_batch_size
        worker.ref.ppo_micro_batch_size = worker.ref.pop("log_prob_micro_batch_size")
        worker.ref.ppo_micro_batch_size_per_gpu = worker.ref.pop("log_prob_micro_batch_size_per_gpu")
        worker.ref.use_dynamic_bsz = worker.ref.pop("log_prob_use_dynamic_bsz")
        worker.ref.ppo_max_token_len_per_gpu = worker.ref.pop("log_prob_max_token_len_per_gpu")
    for part in (worker.actor, worker.ref, worker.rollout, config.algorithm):
        omega_conf_to_dataclass(part)
    # The model's dataclass reads the model's files; here its fields must do.
    unknown = set(worker.model) - {"_target_"} - {field.name for field in fields(HFModelConfig)}
    assert not unknown, unknown


def _keep_vllm_unimported() -> None:
    """Give validate_config the list of LoRA ranks that it looks up in vLLM, whose import takes many seconds."""
    ranks = types.ModuleType("verl.workers.rollout.vllm_rollout.utils")
    ranks.get_vllm_max_lora_rank = (1, 8, 16, 32, 64, 128, 256, 320, 512).index
    sys.modules.setdefault(ranks.__name__, ranks)
