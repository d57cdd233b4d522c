"""Train a language model with GRPO, in one process or several.

    torchrun --standalone --nproc_per_node=2 examples/torch_trainer/train.py
    torchrun --standalone --nproc_per_node=2 examples/torch_trainer/train.py --task gsm8k --beta 0.04

Without options, the tiny model learns to add, on any machine. A run whose output_dir has checkpoints goes on from the
newest.
"""

import contextlib
import ctypes
import os
import signal
import sys
import time
from datetime import timedelta

import torch
import torch.distributed as dist
from arguments import GRPOArguments, parse_arguments
from checkpoint import checkpoints, load_model, load_state, save_checkpoint
from evaluate import accuracy
from grpo import GRPOTrainer
from run_log import RunLog
from tasks import TASKS, SetupError, data_folder, load_rows

from grpo_launchpad import models

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


@contextlib.contextmanager
def processes():
    """Join the processes that torchrun started, if it did; yields this process' device.

    Raises:
        SetupError: if there are fewer GPUs than processes, but not none.
    """
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        if device.index >= torch.cuda.device_count():
            raise SetupError(f"there are {torch.cuda.device_count()} GPUs; give --nproc_per_node as many at most")
        torch.cuda.set_device(device)
    if "RANK" in os.environ:
        if sys.platform == "linux":  # or this process would outlive a torchrun that is killed
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        # The others wait while the first downloads the model.
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timedelta(hours=2))
    try:
        yield device
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def first_process_first(make):
    """Return what ``make`` returns, called in the first process before the others: it may build or download."""
    if not dist.is_initialized():
        return make()
    if dist.get_rank() == 0:
        make()
    dist.barrier()
    return make()


def rows_of_step(rows: list[dict], step: int, prompts: int, trainer: GRPOTrainer) -> list[dict]:
    """Return this process' share of a step's problems; each pass has an order of its own, drawn from the seed."""
    steps_of_a_pass = len(rows) // prompts
    current_pass, position = divmod(step - 1, steps_of_a_pass)
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(trainer.args.seed + current_pass))
    chosen = order[position * prompts : (position + 1) * prompts].tolist()
    return [rows[index] for index in chosen[trainer.rank :: trainer.processes]]


def train(args: GRPOArguments, device: torch.device) -> None:
    task = TASKS[args.task]
    data = first_process_first(lambda: data_folder(task, args.data))
    rows, test_rows = load_rows(task, data, "train"), load_rows(task, data, "test")[: args.eval_rows]
    saved = list(checkpoints(args.output_dir).values())
    start = first_process_first(lambda: models.resolve(args.model or task.model))
    model, tokenizer = load_model(saved[-1] if saved else start, device)
    reference = load_model(start, device)[0].eval().requires_grad_(False) if args.beta else None
    trainer = GRPOTrainer(model, reference, tokenizer, task.rewards, args)
    if saved:
        load_state(trainer, saved[-1])

    prompts = args.batch_size * args.gradient_accumulation_steps * trainer.processes
    if len(rows) < prompts:
        raise SetupError(f"{data}: {len(rows)} problems, and a step takes {prompts}; lower --batch_size")
    last_step = args.epoch * (len(rows) // prompts)
    if args.max_steps > 0:
        last_step = min(last_step, args.max_steps)

    log = RunLog(args, trainer.step) if trainer.rank == 0 else lambda step, metrics: None
    if trainer.rank == 0:
        print(f"{args.task}: {start.name}, {last_step} steps of {prompts} prompts x {args.num_generations} responses")
        print(f"resuming from {saved[-1]}" if saved else f"checkpoints go to {args.output_dir}", flush=True)
    if trainer.step == 0:
        log(0, {"accuracy": accuracy(trainer, test_rows)})
    while trainer.step < last_step:
        started = time.monotonic()
        metrics = trainer.train_step(rows_of_step(rows, trainer.step + 1, prompts, trainer))
        metrics["seconds"] = time.monotonic() - started
        is_last = trainer.step == last_step
        if is_last or trainer.step % args.eval_steps == 0:
            metrics["accuracy"] = accuracy(trainer, test_rows)
        log(trainer.step, metrics)
        if trainer.rank == 0 and (is_last or trainer.step % args.save_steps == 0):
            save_checkpoint(trainer)
    if trainer.rank == 0:
        log.close()


def main() -> None:
    args, _ = parse_arguments(__doc__.splitlines()[0])
    try:
        with processes() as device:
            train(args, device)
    except (SetupError, models.ModelNotFoundError) as error:
        sys.exit(f"train.py: {error}")


if __name__ == "__main__":
    main()
