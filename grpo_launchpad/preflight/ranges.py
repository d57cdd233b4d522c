"""Numbers outside the range in which the code that reads them works: refused there late, or used in silence."""

import math
from dataclasses import dataclass

from omegaconf import DictConfig, OmegaConf

from grpo_launchpad.preflight.problem import Problem

ACTOR, ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"


@dataclass(frozen=True)
class Range:
    """An interval of numbers.

    Attributes:
        low, high: its ends.
        open_low: whether the lower end itself is outside; the higher end belongs to it.
        source: who refuses what is outside, or what comes of it.
    """

    low: float
    high: float = math.inf
    open_low: bool = False
    source: str = ""

    def has(self, number: float) -> bool:
        above = number > self.low if self.open_low else number >= self.low
        return above and number <= self.high

    def __str__(self) -> str:
        if self.high == math.inf:
            return f"above {self.low:g}" if self.open_low else f"{self.low:g} or more"
        return f"above {self.low:g}, at most {self.high:g}" if self.open_low else f"{self.low:g} to {self.high:g}"


_SHARE = Range(0, 1, open_low=True, source="vLLM's top_p")
_NOT_NEGATIVE = Range(0)

# Sources: vLLM 0.28 config/cache.py:69 and sampling_params.py:551-577; verl 0.9.1 core_algos.py:1331,
# workers/engine/fsdp/transformer_impl.py:92, which divides logits by the temperature.
RANGES = {
    f"{ROLLOUT}.gpu_memory_utilization": Range(0, 1, open_low=True, source="a share of the GPU, not percent"),
    f"{ROLLOUT}.temperature": Range(0, 2, open_low=True, source="the trainer divides logits by it"),
    f"{ROLLOUT}.top_p": _SHARE,
    f"{ROLLOUT}.top_k": Range(-1),
    f"{ROLLOUT}.val_kwargs.temperature": Range(0, 2),
    f"{ROLLOUT}.val_kwargs.top_p": _SHARE,
    f"{ROLLOUT}.val_kwargs.top_k": Range(-1),
    f"{ROLLOUT}.val_kwargs.n": Range(1),
    f"{ACTOR}.clip_ratio_low": _NOT_NEGATIVE,
    f"{ACTOR}.clip_ratio_high": _NOT_NEGATIVE,
    f"{ACTOR}.clip_ratio_c": Range(1, open_low=True, source="dual clip"),
    f"{ACTOR}.kl_loss_coef": _NOT_NEGATIVE,
    f"{ACTOR}.optim.lr": _NOT_NEGATIVE,
    f"{ACTOR}.optim.weight_decay": _NOT_NEGATIVE,
    f"{ACTOR}.optim.clip_grad": _NOT_NEGATIVE,
    f"{ACTOR}.optim.lr_warmup_steps_ratio": Range(0, 1),
    f"{ACTOR}.ppo_epochs": Range(1),
    f"{ROLLOUT}.n": Range(1),
    "actor_rollout_ref.model.lora_rank": _NOT_NEGATIVE,
    "actor_rollout_ref.model.lora.rank": _NOT_NEGATIVE,
    "actor_rollout_ref.model.lora_alpha": Range(0, open_low=True),
    "actor_rollout_ref.model.lora.alpha": Range(0, open_low=True),
}


def check_ranges(config: DictConfig) -> list[Problem]:
    """Check numbers against the ranges in which they make sense.

    Args:
        config: the composed configuration; a value that is no number is the subject of ``check_types``.
    """
    problems = []
    for key, wanted in RANGES.items():
        value = OmegaConf.select(config, key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if not math.isfinite(value) or not wanted.has(value):
            because = f" ({wanted.source})" if wanted.source else ""
            fix = f"give it a number {wanted}"
            if key.endswith("gpu_memory_utilization") and 1 < value <= 100:
                fix += f", such as {value / 100:g}"
            problems.append(Problem(key, f"{value:g} is outside its range, {wanted}{because}", fix))
    return problems
