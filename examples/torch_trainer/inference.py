"""Ask a trained model: a question, or some questions of the task.

    python examples/torch_trainer/inference.py "17+25="                    the newest checkpoint of ./output
    python examples/torch_trainer/inference.py "17+25=" --checkpoint 20    that of step 20; 0: before training

The answer is the model's most likely one.
"""

import argparse
import sys
from dataclasses import fields

import torch
from arguments import GRPOArguments, parse_arguments
from checkpoint import checkpoints, find_checkpoint, load_model, saved_settings
from grpo import GRPOTrainer
from tasks import TASKS, SetupError

from grpo_launchpad import models


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--checkpoint", type=int, metavar="STEP", help="default: the newest; 0: before training")


def add_question(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("question", nargs="?", help="default: some questions of the task")
    add_checkpoint(parser)


def settings_of_checkpoint(given: argparse.Namespace) -> dict:
    """Return what the checkpoint that is asked for was trained with: its task, lengths and so on."""
    found = checkpoints(given.output_dir)
    folder = found.get(given.checkpoint) or next(reversed(found.values()), None)
    names = {field.name for field in fields(GRPOArguments)} - {"output_dir"}
    return {name: value for name, value in saved_settings(folder).items() if name in names} if folder else {}


def load_trainer(args: GRPOArguments, checkpoint: int | None) -> GRPOTrainer:
    """Return a trainer that only samples, with the model of a checkpoint, 0 being the one before training.

    Raises:
        SetupError: if there is no such checkpoint.
    """
    task = TASKS[args.task]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    folder = (
        models.resolve(args.model or task.model) if checkpoint == 0 else find_checkpoint(args.output_dir, checkpoint)
    )
    print(f"{args.task}: {folder}", file=sys.stderr)
    model, tokenizer = load_model(folder, device)
    return GRPOTrainer(model, None, tokenizer, task.rewards, args)


def main() -> None:
    args, own = parse_arguments(
        __doc__.splitlines()[0], own_options=add_question, saved_settings=settings_of_checkpoint
    )
    try:
        trainer = load_trainer(args, own.checkpoint)
    except (SetupError, models.ModelNotFoundError) as error:
        sys.exit(f"inference.py: {error}")
    task = TASKS[args.task]
    for question in [own.question] if own.question else task.questions:
        input_ids, _, mask = trainer.generate([{"prompt": task.chat(question)}], group=1, greedy=True)
        answer = trainer.tokenizer.decode(input_ids[0, -mask.shape[1] :], skip_special_tokens=True)
        print(f"{question}\n{answer}\n")


if __name__ == "__main__":
    main()
