"""Measure a checkpoint's accuracy on held-out problems: the share that its most likely answer solves.

python examples/torch_trainer/evaluate.py                     the newest checkpoint of ./output
python examples/torch_trainer/evaluate.py --checkpoint 20     that of step 20; 0 is the model before training
"""

import sys

import torch
from tasks import TASKS, SetupError, data_folder, load_rows

from grpo_launchpad import models

SAMPLES_AT_ONCE = 64


def accuracy(trainer, rows: list[dict]) -> float:
    """Return the share of problems that the policy solves with its most likely answer; the processes share them.

    Args:
        trainer: a ``GRPOTrainer``. The first of its rewards says whether an answer is right: then it is above zero.
        rows: problems, of ``tasks.load_rows``.
    """
    right = []
    for start in range(trainer.rank * SAMPLES_AT_ONCE, len(rows), trainer.processes * SAMPLES_AT_ONCE):
        batch = rows[start : start + SAMPLES_AT_ONCE]
        input_ids, _, mask = trainer.generate(batch, group=1, greedy=True)
        texts = trainer.tokenizer.batch_decode(input_ids[:, -mask.shape[1] :], skip_special_tokens=True)
        columns = {name: [row[name] for row in batch] for name in batch[0] if name != "prompt"}
        scores = trainer.rewards[0](prompts=[row["prompt"] for row in batch], completions=texts, **columns)
        right += [float(score > 0) for score in scores]
    return trainer.mean(torch.tensor(right, device=trainer.device))


def main() -> None:
    from arguments import parse_arguments
    from inference import add_checkpoint, load_trainer, settings_of_checkpoint

    description = __doc__.splitlines()[0]
    args, own = parse_arguments(description, own_options=add_checkpoint, saved_settings=settings_of_checkpoint)
    task = TASKS[args.task]
    try:
        trainer = load_trainer(args, own.checkpoint)
        rows = load_rows(task, data_folder(task, args.data), "test")[: args.eval_rows]
    except (SetupError, models.ModelNotFoundError) as error:
        sys.exit(f"evaluate.py: {error}")
    print(f"accuracy {accuracy(trainer, rows):.1%} on {len(rows)} test problems")


if __name__ == "__main__":
    main()
