"""The settings of a training run, each also an option of the command line."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from tasks import TASKS
from transformers import HfArgumentParser

Aggregation = Literal["token-mean", "seq-mean-token-mean", "seq-mean-token-sum", "seq-mean-token-sum-norm"]


def setting(default, text: str):
    return field(default=default, metadata={"help": text})


@dataclass
class GRPOArguments:
    """Prompts and micro batches are those of one process."""

    task: Literal["arithmetic", "gsm8k"] = setting("arithmetic", "what to learn; tasks.py says what belongs to it")
    model: str | None = setting(None, "the policy to begin with: a folder or a hub's name; default: the task's")
    data: str | None = setting(None, "folder with train.parquet and test.parquet; default: the task's")
    output_dir: str = setting("./output", "for checkpoint_<step> and metrics.jsonl; what is there is resumed")
    lr: float = setting(0.000001, "learning rate of AdamW, constant")
    weight_decay: float = setting(0.0, "of AdamW")
    save_steps: int = setting(100, "steps between checkpoints; the last step is saved, too")
    save_total_limit: int = setting(5, "newest checkpoints to keep; one is 12 bytes a parameter")
    eval_steps: int = setting(100, "steps between measurements of the held-out accuracy; the last is measured, too")
    eval_rows: int = setting(256, "test problems to measure it on")
    epoch: int = setting(3, "passes over the training problems")
    max_steps: int = setting(-1, "end after so many steps; -1 leaves it to epoch")
    num_generations: int = setting(4, "responses of a group")
    max_prompt_length: int = setting(256, "tokens of a prompt; of a longer one the end")
    max_generate_length: int = setting(256, "tokens of a response at most")
    temperature: float = setting(1.0, "of sampling")
    beta: float = setting(0.0, "weight of the KL divergence from the reference; 0 loads no reference model")
    clip_eps: float = setting(0.2, "the ratio is clipped to [1 - clip_eps, 1 + clip_eps]")
    clip_eps_high: float | None = setting(None, "the range above 1, if it is another one (DAPO)")
    num_iterations: int = setting(1, "updates on each rollout: the paper's mu")
    loss_aggregation: Aggregation = setting("token-mean", "how tokens are averaged: see token_weights in grpo.py")
    scale_by_std: bool = setting(True, "divide advantages by their group's standard deviation")
    advantage_clip: float | None = setting(10.0, "largest advantage; inf: no limit")
    max_grad_norm: float = setting(1.0, "a longer gradient is scaled down to this norm")
    logits_clip: float | None = setting(None, "largest logit in training; default: none")
    gradient_accumulation_steps: int = setting(2, "micro batches of an update")
    batch_size: int = setting(1, "prompts of a micro batch")
    seed: int = setting(0, "of the order of the problems, and of sampling")
    log_dir: str = setting("./runs", "for TensorBoard")
    wandb_project: str | None = setting(None, "log to Weights & Biases, too, as part of this project")

    def __post_init__(self) -> None:
        """
        Raises:
            ValueError: for a value that nothing can be done with; the message names the option.
        """
        for name in ABOVE_ZERO:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"--{name} {value}: must be above 0")
        if self.num_generations < 2:
            raise ValueError(f"--num_generations {self.num_generations}: a group of one has nothing to compare with")
        if self.beta < 0:
            raise ValueError(f"--beta {self.beta}: must not be below 0")


ABOVE_ZERO = (
    *("lr", "temperature", "clip_eps", "clip_eps_high", "advantage_clip", "logits_clip", "max_grad_norm"),
    *("num_iterations", "batch_size", "gradient_accumulation_steps", "max_prompt_length", "max_generate_length"),
    *("save_steps", "save_total_limit", "eval_steps", "eval_rows", "epoch"),
)


def parse_arguments(
    description: str,
    argv: list[str] | None = None,
    own_options: Callable[[argparse.ArgumentParser], object] = lambda parser: None,
    saved_settings: Callable[[argparse.Namespace], Mapping] = lambda given: {},
) -> tuple[GRPOArguments, argparse.Namespace]:
    """Read the command line; where it is silent, saved settings count, then the task's. Exits with usage if wrong.

    Args:
        description: for --help.
        argv: None for the process' own.
        own_options: adds those of the script to the parser.
        saved_settings: returns those of an earlier run, which are left out if the command line has another task.

    Returns:
        The settings, and the script's own options.
    """

    def make_parser(**options) -> HfArgumentParser:
        parser = HfArgumentParser(GRPOArguments, allow_abbrev=False, **options)
        own_options(parser)
        return parser

    first_look = make_parser(add_help=False)
    first_look.set_defaults(task=None)
    given = first_look.parse_known_args(argv)[0]
    saved = saved_settings(given)
    task = given.task or saved.get("task", "arithmetic")
    parser = make_parser(description=description)
    parser.set_defaults(**{"task": task} | TASKS[task].settings | (saved if saved.get("task") == task else {}))
    try:
        arguments, *own = parser.parse_args_into_dataclasses(argv)
    except ValueError as error:
        parser.error(str(error))
    return arguments, own[0] if own else argparse.Namespace()
