"""GRPO on GSM8K with TRL: a widespread tutorial's notebook, made for TRL 0.14, on TRL 1.16.

    python examples/trl_trainer/gsm8k.py
    python examples/trl_trainer/gsm8k.py --model_name_or_path FOLDER --max_steps 100 --report_to wandb

The policy answers in the form <reasoning> ... </reasoning> <answer> ... </answer>; four rewards look at the form, one
at the answer. README.md says what became of each of the tutorial's arguments.
"""

from collections.abc import Sequence
from pathlib import Path

from datasets import Dataset
from options import exit_with_message, parse
from prompts import read_rows
from trainer import checkpoint_to_resume, make_trainer
from transformers.utils import is_torch_bf16_gpu_available

from data_prep.pipeline.templates import TEMPLATES
from reward_score.tutorial import (
    correctness_reward_func,
    int_reward_func,
    soft_format_reward_func,
    strict_format_reward_func,
    xmlcount_reward_func,
)

REWARDS = [
    xmlcount_reward_func,
    soft_format_reward_func,
    strict_format_reward_func,
    int_reward_func,
    correctness_reward_func,
]

TUTORIAL = {
    "model_name_or_path": "Qwen/Qwen2.5-0.5B-Instruct",
    "output_dir": "runs/trl_gsm8k",
    "learning_rate": 5e-6,
    "adam_beta1": 0.9,
    "adam_beta2": 0.99,
    "weight_decay": 0.1,
    "warmup_steps": 0.1,  # below 1: a share of all steps
    "lr_scheduler_type": "cosine",
    "max_grad_norm": 0.1,
    "num_train_epochs": 1,
    "per_device_train_batch_size": 16,  # completions: the group of one prompt
    "gradient_accumulation_steps": 4,
    "num_generations": 16,
    "max_prompt_length": 256,
    "max_completion_length": 200,
    "bf16": is_torch_bf16_gpu_available(),
    "logging_steps": 1,
    "log_on_each_node": False,
    "save_steps": 100,
}
# What TRL 0.14 did unasked, where TRL 1.16 does something else.
TRL_0_14 = {
    "beta": 0.04,
    "loss_type": "grpo",
    "use_bias_correction_kl": False,
    "temperature": 0.9,
    "top_k": 50,
    "gradient_checkpointing": False,
}
OURS = {
    "report_to": "tensorboard",
    "save_total_limit": 2,  # 6 GB each
}
SETTINGS = TUTORIAL | TRL_0_14 | OURS


# For models that do not follow the system prompt by themselves; the tutorial has one such pair, commented out.
EXAMPLES = (
    {"role": "user", "content": "A box holds 6 eggs. How many eggs are in 4 boxes?"},
    {
        "role": "assistant",
        "content": "<reasoning>\nOne box holds 6 eggs, so 4 boxes hold 4 * 6 = 24 eggs.\n</reasoning>\n"
        "<answer>\n24\n</answer>\n",
    },
    {"role": "user", "content": "Sara has 15 apples and eats 2 of them. How many are left?"},
    {
        "role": "assistant",
        "content": "<reasoning>\nShe had 15 apples and ate 2, so 15 - 2 = 13 are left.\n</reasoning>\n"
        "<answer>\n13\n</answer>\n",
    },
)


def chat(question: str, examples: Sequence[dict] = ()) -> list[dict]:
    """Return a question as the messages that the policy is trained on: system prompt, examples, question."""
    system = {"role": "system", "content": TEMPLATES["reasoning"].system}
    return [system, *examples, {"role": "user", "content": question}]


def read_problems(folder: Path, split: str, examples: Sequence[dict] = ()) -> Dataset:
    """Return the problems of a split: ``prompt`` (messages) and ``answer``, a number without commas as text."""
    rows = read_rows(folder, split)
    problems = [(row["extra_info"]["question"], row["reward_model"]["ground_truth"]) for row in rows]
    return Dataset.from_list([{"prompt": chat(question, examples), "answer": answer} for question, answer in problems])


def main() -> None:
    options, args, model_args = parse(__doc__.splitlines()[0], SETTINGS)
    with exit_with_message():
        trainer = make_trainer("gsm8k", read_problems, REWARDS, options, args, model_args)
    trainer.train(resume_from_checkpoint=checkpoint_to_resume(args))
    trainer.save_model()


if __name__ == "__main__":
    main()
