"""Checkpoints: output_dir/checkpoint_<step>, a model that Hugging Face loads, and what training needs to go on."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError
from tasks import SetupError

from grpo_launchpad.whole_folder import write_whole_folder

STATE = "trainer_state.pt"
SETTINGS = "settings.json"
# Settings that may differ when a run goes on: they do not change what a step does.
FREE = (
    *("output_dir", "log_dir", "wandb_project", "save_steps", "save_total_limit"),
    *("eval_steps", "eval_rows", "epoch", "max_steps"),
)


def checkpoints(output_dir: str | Path) -> dict[int, Path]:
    """Return the checkpoints of a run by step, in order."""
    found = {}
    for folder in Path(output_dir).glob("checkpoint_*"):
        step = folder.name.removeprefix("checkpoint_")
        if step.isdecimal() and (folder / STATE).is_file():
            found[int(step)] = folder
    return dict(sorted(found.items()))


def find_checkpoint(output_dir: str | Path, step: int | None) -> Path:
    """Return the checkpoint of a step, or the newest one.

    Raises:
        SetupError: if there is none; the message lists those there are.
    """
    found = checkpoints(output_dir)
    if step is None and found:
        return list(found.values())[-1]
    if step in found:
        return found[step]
    there = ", ".join(map(str, found)) or "none"
    which = "" if step is None else f" {step}"
    raise SetupError(f"{output_dir}: no checkpoint{which}; there are: {there}; train.py makes them")


def saved_settings(folder: Path) -> dict:
    """Return what a checkpoint was trained with, the number of processes included."""
    return json.loads((folder / SETTINGS).read_text())


def save_checkpoint(trainer) -> Path:
    """Save the policy, its tokenizer and the optimizer; the folder is complete or absent. Then delete the oldest.

    Raises:
        SetupError: if the disk is full, say.
    """
    output_dir = Path(trainer.args.output_dir)
    for left_over in output_dir.glob(".checkpoint_*"):  # of a process that was killed
        shutil.rmtree(left_over)

    def write(folder: Path) -> None:
        trainer.model.save_pretrained(folder)
        trainer.tokenizer.save_pretrained(folder)
        torch.save({"optimizer": trainer.optimizer.state_dict(), "skipped": trainer.skipped_updates}, folder / STATE)
        settings = asdict(trainer.args) | {"processes": trainer.processes}
        (folder / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n")

    try:
        saved = write_whole_folder(output_dir / f"checkpoint_{trainer.step}", write)
    except (OSError, RuntimeError, SafetensorError) as error:  # PyTorch and safetensors have their own
        raise SetupError(f"{output_dir}: checkpoint_{trainer.step} could not be saved: {error}") from error
    for old in list(checkpoints(output_dir).values())[: -trainer.args.save_total_limit]:
        shutil.rmtree(old)
    return saved


def load_state(trainer, folder: Path) -> None:
    """Let a trainer whose model came from this folder go on where it was saved.

    Raises:
        SetupError: if it has other settings, which would be another run.
    """
    before = saved_settings(folder)
    now = asdict(trainer.args) | {"processes": trainer.processes}
    other = [f"{name} {before.get(name)} -> {now[name]}" for name in now if before.get(name) != now[name]]
    other = [each for each in other if each.split()[0] not in FREE]
    if other:
        raise SetupError(f"{folder} was trained with other settings ({'; '.join(other)}); give another --output_dir")
    state = torch.load(folder / STATE, map_location="cpu", weights_only=True)
    trainer.optimizer.load_state_dict(state["optimizer"])
    trainer.skipped_updates = state["skipped"]
    trainer.step = int(folder.name.removeprefix("checkpoint_"))


def load_model(folder: str | Path, device: torch.device):
    """Return a policy in fp32 and its tokenizer, padding on the left. FlashAttention-2 if a GPU has it, else SDPA."""
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import is_flash_attn_2_available
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    attention = "flash_attention_2" if device.type == "cuda" and is_flash_attn_2_available() else "sdpa"
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention)
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left", truncation_side="left")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model.to(device), tokenizer
