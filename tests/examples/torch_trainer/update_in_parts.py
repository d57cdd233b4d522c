"""Update the tiny model on one rollout that the processes share: torchrun update_in_parts.py MODEL ROLLOUT RESULT"""

import os
import sys
from dataclasses import fields
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "examples" / "torch_trainer"))

from arguments import GRPOArguments
from checkpoint import load_model
from grpo import GRPOTrainer, Rollout, token_weights
from train import processes


def main(model_folder: str, rollout_file: str, result: str) -> None:
    with processes() as device:
        model, tokenizer = load_model(model_folder, device)
        args = GRPOArguments(lr=1e-3, batch_size=1, num_generations=4)
        trainer = GRPOTrainer(model, None, tokenizer, [], args)
        saved = torch.load(rollout_file, weights_only=True, map_location=device)
        rows = slice(trainer.rank, None, trainer.processes)
        share = {name: None if value is None else value[rows] for name, value in saved.items()}
        share["weights"] = token_weights(share["mask"], "token-mean", 8, trainer.total)
        rollout = Rollout(**{field.name: share[field.name] for field in fields(Rollout)})
        metrics = trainer.update(rollout)
        if trainer.rank == 0:
            torch.save({"metrics": metrics, "weights": model.state_dict()}, result)


if __name__ == "__main__":
    main(*sys.argv[1:])
    # Python's own end may meet a thread of PyTorch's that still asks for it, which aborts the process.
    sys.stderr.flush()
    os._exit(0)
