"""From the command line to a GRPOTrainer."""

from collections.abc import Callable
from pathlib import Path

from datasets import Dataset
from options import TaskOptions
from prompts import data_folder, without_long_prompts
from transformers import AutoTokenizer
from transformers.trainer_utils import get_last_checkpoint
from trl import GRPOConfig, GRPOTrainer, ModelConfig, get_peft_config, get_quantization_config

from grpo_launchpad import models


def make_trainer(
    task: str,
    read_prompts: Callable[[Path, str], Dataset],
    reward_funcs: list[Callable],
    options: TaskOptions,
    args: GRPOConfig,
    model_args: ModelConfig,
) -> GRPOTrainer:
    """Return a trainer of one of the tasks.

    Args:
        task: its script in data_prep/.
        read_prompts: called with the data's folder and "train"; returns a column ``prompt`` and those that the rewards
            take.
        reward_funcs: called with prompts, completions and those columns; ``--reward_weights`` are theirs, in order.

    Raises:
        FileNotFoundError, subprocess.CalledProcessError: see ``data_folder``.
        ModelNotFoundError: if no place has the model.
        ValueError, NotImplementedError: for options that TRL refuses together.
    """
    with args.main_process_first(desc="data and model"):
        rows = read_prompts(data_folder(task, options.data), "train")
        model = models.resolve(model_args.model_name_or_path)
    tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left", truncation_side="left")
    loading = {"dtype": model_args.dtype, "attn_implementation": model_args.attn_implementation}
    args.model_init_kwargs = loading | (args.model_init_kwargs or {})
    return GRPOTrainer(
        model=str(model),
        processing_class=tokenizer,
        reward_funcs=reward_funcs,
        args=args,
        train_dataset=without_long_prompts(rows, tokenizer, options.max_prompt_length),
        peft_config=get_peft_config(model_args),
        quantization_config=get_quantization_config(model_args),
    )


def checkpoint_to_resume(args: GRPOConfig) -> str | None:
    """Return the checkpoint that is asked for, or the newest that an earlier run left in the output folder."""
    if args.resume_from_checkpoint or not Path(args.output_dir).is_dir():
        return args.resume_from_checkpoint
    newest = get_last_checkpoint(args.output_dir)
    if newest:
        print(f"resuming from {newest}; for a new run give another --output_dir (OUTPUT_DIR)", flush=True)
    return newest
