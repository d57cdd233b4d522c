"""TRL on the arithmetic task, for the comparison; called by ``benchmarks.trainers``.

python -m benchmarks.trainers.trl_arithmetic FOLDER STEPS MODEL PROMPTS GROUP RATE EVALUATE_EVERY
"""

import json
import sys
from pathlib import Path

import torch
from datasets import Dataset
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from data_prep.arithmetic import problems
from reward_score import compute_scores
from reward_score.trl_reward import reward_functions

RESPONSE_TOKENS = 8


def rows(pairs: list[tuple[int, int]]) -> list[dict]:
    return [{"prompt": [{"role": "user", "content": f"{a}+{b}="}], "ground_truth": str(a + b)} for a, b in pairs]


class Log(TrainerCallback):
    """Writes a line a step, with the greedy accuracy on the test problems where it is due."""

    def __init__(self, path: Path, test_rows: list[dict], every: int):
        self.path, self.test_rows, self.every = path, test_rows, every
        self.trainer: GRPOTrainer | None = None

    def on_train_begin(self, args, state, control, **models):
        self.write(0, accuracy=self.accuracy())

    def on_step_end(self, args, state, control, **models):
        due = state.global_step % self.every == 0 or state.global_step == state.max_steps
        self.write(state.global_step, **({"accuracy": self.accuracy()} if due else {}))

    def write(self, step: int, **values: float) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step} | values) + "\n")

    @torch.no_grad()
    def accuracy(self) -> float:
        model, tokenizer = self.trainer.model, self.trainer.processing_class
        encoded = tokenizer.apply_chat_template(
            [row["prompt"] for row in self.test_rows],
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
            padding=True,
        )
        model.eval()
        ids = model.generate(**encoded, do_sample=False, max_new_tokens=RESPONSE_TOKENS)
        model.train()
        texts = tokenizer.batch_decode(ids[:, encoded.input_ids.shape[1] :], skip_special_tokens=True)
        scores = compute_scores("arithmetic", texts, [row["ground_truth"] for row in self.test_rows])
        return sum(score["acc"] for score in scores) / len(scores)


def main(folder: str, steps: str, model: str, prompts: str, group: str, rate: str, every: str) -> None:
    train, test = problems()
    functions, weights = reward_functions(data_source="arithmetic")
    arguments = GRPOConfig(
        output_dir=folder,
        use_cpu=True,
        bf16=False,
        report_to="none",
        disable_tqdm=True,
        save_strategy="no",
        max_steps=int(steps),
        per_device_train_batch_size=int(prompts) * int(group),
        num_generations=int(group),
        max_completion_length=RESPONSE_TOKENS,
        learning_rate=float(rate),
        lr_scheduler_type="constant",
        beta=0.0,
        gradient_checkpointing=False,  # as in the others
        loss_type="dapo",  # the mean over all tokens, as in the others
        reward_weights=weights,
    )
    log = Log(Path(folder) / "metrics.jsonl", rows(test), int(every))
    log.trainer = GRPOTrainer(model, functions, arguments, Dataset.from_list(rows(train)), callbacks=[log])
    log.trainer.processing_class.padding_side = "left"
    log.trainer.train()


if __name__ == "__main__":
    main(*sys.argv[1:])
