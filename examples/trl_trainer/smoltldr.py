"""GRPO on smoltldr with TRL and LoRA: a tutorial's first run, made with TRL of March 2025, on TRL 1.16.

    python examples/trl_trainer/smoltldr.py
    python examples/trl_trainer/smoltldr.py --use_peft False --sync_ref_model True       all weights, moving reference

The policy goes on with a forum post; the reward is how near its text is to 50 characters. The trained model, with the
adapter merged into it, goes to <output_dir>/model, and from there answers to a held-out post.
"""

from pathlib import Path

import torch
from datasets import Dataset
from options import exit_with_message, parse
from peft import PeftModel
from prompts import data_folder, read_rows
from trainer import checkpoint_to_resume, make_trainer
from transformers import GenerationConfig, pipeline
from transformers.utils import is_bitsandbytes_available, is_torch_bf16_gpu_available
from trl import GRPOConfig, GRPOTrainer, ModelConfig

from reward_score.tutorial import reward_len

TUTORIAL = {
    "model_name_or_path": "HuggingFaceTB/SmolLM-135M-Instruct",
    "output_dir": "runs/trl_smoltldr",
    "use_peft": True,
    "lora_r": 16,
    "lora_alpha": 32,
    "lora_dropout": 0.0,
    "lora_target_modules": ["all-linear"],
    "learning_rate": 2e-5,
    "num_train_epochs": 1,
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 2,
    "num_generations": 4,
    "max_prompt_length": 512,
    "max_completion_length": 96,
    "optim": "adamw_8bit" if torch.cuda.is_available() and is_bitsandbytes_available() else "adamw_torch",
    "bf16": is_torch_bf16_gpu_available(),
    "logging_steps": 1,
}
# What TRL did unasked in March 2025 (0.16), where TRL 1.16 does something else.
TRL_0_16 = {
    "beta": 0.04,
    "loss_type": "bnpo",
    "use_bias_correction_kl": False,
    "temperature": 0.9,
    "top_k": 50,
    "gradient_checkpointing": False,
}
OURS = {"report_to": "tensorboard"}
SETTINGS = TUTORIAL | TRL_0_16 | OURS

SAMPLING = GenerationConfig(do_sample=True, temperature=0.5, min_p=0.1, max_new_tokens=256)


def read_posts(folder: Path, split: str) -> Dataset:
    """Return the posts of a split: ``prompt``, plain text, so that ``reward_len`` gets text and counts characters."""
    return Dataset.from_list([{"prompt": row["prompt"][-1]["content"]} for row in read_rows(folder, split)])


def check(args: GRPOConfig, model_args: ModelConfig) -> None:
    """Look, before anything is loaded, for options that do not go together.

    Raises:
        ValueError: naming them and what to do.
    """
    if args.sync_ref_model and model_args.use_peft:
        raise ValueError(
            "--sync_ref_model moves a reference model, and LoRA has none: there the reference is the model without "
            "its adapter. Train all weights with --use_peft False, or leave --sync_ref_model out."
        )
    if args.push_to_hub and not args.hub_model_id:
        raise ValueError("--push_to_hub: where to? Give --hub_model_id OWNER/NAME")


def save_whole_model(trainer: GRPOTrainer, folder: Path, repository: str | None = None) -> None:
    """Save the policy and its tokenizer; an adapter is merged into the model, which trains no more after that.

    Args:
        folder: what ``from_pretrained`` and ``pipeline`` load.
        repository: of the Hugging Face hub, to push both to; private if ``--hub_private_repo`` says so.
    """
    model = trainer.accelerator.unwrap_model(trainer.model)
    if isinstance(model, PeftModel):
        model = model.merge_and_unload()
    for part in (model, trainer.processing_class):
        part.save_pretrained(folder)
        if repository:
            part.push_to_hub(repository, private=trainer.args.hub_private_repo, token=trainer.args.hub_token)


def answer(folder: Path, post: str) -> str:
    """Return what the model in a folder answers to a post, asked and sampled as the tutorial does."""
    generator = pipeline("text-generation", model=str(folder))
    messages = [{"role": "user", "content": post}]
    return generator(messages, return_full_text=False, generation_config=SAMPLING)[0]["generated_text"]


def main() -> None:
    options, args, model_args = parse(__doc__.splitlines()[0], SETTINGS)
    with exit_with_message():
        check(args, model_args)
        # The trainer would push the adapter, at every save.
        repository, args.push_to_hub = args.hub_model_id if args.push_to_hub else None, False
        trainer = make_trainer("smoltldr", read_posts, [reward_len], options, args, model_args)
    if model_args.use_peft:
        trainer.model.print_trainable_parameters()
    trainer.train(resume_from_checkpoint=checkpoint_to_resume(args))
    if trainer.is_world_process_zero():
        folder = Path(args.output_dir) / "model"
        save_whole_model(trainer, folder, repository)
        post = read_posts(data_folder("smoltldr", options.data), "test")[0]["prompt"]
        print(f"the trained model is in {folder}; to the post\n\n{post}\n\nit answers\n\n{answer(folder, post)}")


if __name__ == "__main__":
    main()
