"""Stands for a trainer: moves the tiny model's weights and saves checkpoints with verl's own manager.

    python train.py FOLDER

FOLDER/<world size>/<case>/checkpoints/global_step_2 as verl writes it, and logits.pt beside it: what the trainer
computes, in bf16 as in training, for the tokens of QUESTIONS. Cases: "full", "adapter"; of two ranks also "hybrid"
sharding.
"""

import multiprocessing
import os
import sys
from pathlib import Path

import torch
import torch.distributed
from peft import LoraConfig, get_peft_model
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from transformers import AutoModelForCausalLM, AutoTokenizer
from verl.utils.checkpoint.fsdp_checkpoint_manager import FSDPCheckpointManager

from grpo_launchpad.models import TINY_FOLDER

STEP = 2
QUESTIONS = [[257, 21, 21, 10, 23, 21, 28, 258, 257], [257, 20, 21, 10, 16, 22, 28, 258, 257]]


def train(case: str, folder: Path, world_size: int) -> None:
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(TINY_FOLDER, dtype=torch.float32)
    if case == "adapter":
        targets = ["q_proj", "v_proj", "down_proj"]
        model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=16, target_modules=targets))
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.02 * torch.randn_like(parameter)
    shape, names = ((world_size, 1), ("ddp", "fsdp")) if case == "hybrid" else ((world_size,), ("fsdp",))
    mesh = init_device_mesh("cpu", shape, mesh_dim_names=names)
    fully_shard(model, mesh=mesh, mp_policy=MixedPrecisionPolicy(torch.bfloat16, torch.float32))
    with torch.no_grad():
        logits = model(torch.tensor(QUESTIONS)).logits
    optimizer = torch.optim.AdamW([parameter for parameter in model.parameters() if parameter.requires_grad])
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
    for _ in range(STEP):
        optimizer.step()
        schedule.step()
    manager = FSDPCheckpointManager(
        model,
        optimizer,
        schedule,
        AutoTokenizer.from_pretrained(TINY_FOLDER),
        {"save_contents": ["model", "extra"], "load_contents": ["model"]},
    )
    checkpoints = folder / case / "checkpoints"
    manager.save_checkpoint(str(checkpoints / f"global_step_{STEP}" / "actor"), global_step=STEP)
    if torch.distributed.get_rank() == 0:
        (checkpoints / "latest_checkpointed_iteration.txt").write_text(str(STEP))
        torch.save(logits, folder / case / "logits.pt")


def work(folder: Path, rank: int, world_size: int) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(world_size))
    torch.set_num_threads(1)
    store = torch.distributed.FileStore(str(folder / "store"), world_size)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=world_size)
    for case in ("full", "adapter", *(["hybrid"] if world_size > 1 else [])):
        train(case, folder, world_size)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    forked = multiprocessing.get_context("fork")  # what is imported takes ten times as long as the work
    ranks = []
    for world_size in (1, 2):
        folder = Path(sys.argv[1]) / str(world_size)
        folder.mkdir()
        ranks += [forked.Process(target=work, args=(folder, rank, world_size)) for rank in range(world_size)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join()
    sys.exit(max(abs(process.exitcode) for process in ranks))
