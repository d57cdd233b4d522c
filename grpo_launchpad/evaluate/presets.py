"""How published numbers were sampled, by name."""

from dataclasses import dataclass

from grpo_launchpad.inference.engine import Sampling


@dataclass(frozen=True)
class Preset:
    """One way to sample.

    Attributes:
        samples: answers a problem.
        sampling: how they are drawn.
        max_tokens: that an answer may have, None if the preset leaves it to the model or the run.
        source: where the values stand.
    """

    samples: int
    sampling: Sampling
    max_tokens: int | None
    source: str


PRESETS = {
    "greedy": Preset(
        1,
        Sampling(0.0),
        None,
        "the likeliest token each time; Dr.GRPO (understand-r1-zero, evaluate_model.py), verl's own validation",
    ),
    "dapo": Preset(
        32,
        Sampling(1.0, top_p=0.7),
        20480,
        "DAPO's AIME 2024 avg@32: val_kwargs in verl-recipe dapo/run_dapo_qwen2.5_32b.sh",
    ),
    "deepscaler": Preset(
        16,
        Sampling(0.6, top_p=0.95),
        32768,
        "DeepScaleR-1.5B-Preview's pass@1 over 16 samples: rllm scripts/eval (--n 16 --max-length 32768)",
    ),
    "justrl": Preset(
        32,
        Sampling(0.7, top_p=0.9),
        15360,
        "JustRL-1.5B's @32 (MATH-500, Minerva and OlympiadBench: --samples 4): val_kwargs in its train/run_training.sh",
    ),
}
DEFAULT = "greedy"
# Where neither the command, the preset nor a run says it.
MAX_TOKENS = 4096
