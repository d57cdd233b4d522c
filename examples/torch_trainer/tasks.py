"""What there is to learn: a model, data and rewards that belong together, and the settings that suit them."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet
import reward_func

ROOT = Path(__file__).resolve().parents[2]

THINK_AND_ANSWER = """Answer in this form:
<think>
your thoughts
</think>
<answer>
the final answer, a number
</answer>"""


class SetupError(Exception):
    """What the user can put right; the message says how."""


@dataclass(frozen=True)
class Task:
    """What belongs together.

    Attributes:
        model: a folder, a hub's name, or one of those that grpo_launchpad.models makes.
        data: folder of parquet files, made by the script of this name in data_prep/.
        rewards: added up. A response is correct if the first of them is above zero.
        system_prompt: put before the bare question; None takes the prompt as the data has it.
        questions: what inference.py asks if nobody asks.
        settings: defaults of ``GRPOArguments`` that are others for this task.
    """

    model: str
    data: str
    rewards: Sequence
    questions: Sequence[str]
    system_prompt: str | None = None
    settings: dict = field(default_factory=dict)

    def chat(self, question: str) -> list[dict]:
        """Return a question as chat messages."""
        user = {"role": "user", "content": question}
        return [user] if self.system_prompt is None else [{"role": "system", "content": self.system_prompt}, user]


TASKS = {
    "arithmetic": Task(
        model="tiny-arithmetic",
        data="arithmetic",
        rewards=[reward_func.task_score],
        questions=("17+25=", "58+88=", "40+7="),
        # A model of 0.5 million parameters stands a hundred times the learning rate of one of 0.5 billion.
        settings={
            "lr": 1e-4,
            "num_generations": 8,
            "batch_size": 32,
            "gradient_accumulation_steps": 1,
            "max_prompt_length": 16,
            "max_generate_length": 8,
            "max_steps": 20,
            "save_steps": 5,
            "eval_steps": 5,
        },
    ),
    "gsm8k": Task(
        model="Qwen/Qwen2.5-0.5B-Instruct",
        data="gsm8k",
        rewards=[
            reward_func.correctness_reward,
            reward_func.digit_reward,
            reward_func.hard_format_reward,
            reward_func.mark_reward,
        ],
        questions=(
            "Tom has 10 apples. He eats 3 of them. How many are left?",
            "Joy can read 8 pages of a book in 20 minutes. How many hours will it take her to read 120 pages?",
            "A train drives 60 miles an hour for two and a half hours. How many miles is that?",
        ),
        system_prompt=THINK_AND_ANSWER,
    ),
}


def data_folder(task: Task, chosen: str | None) -> Path:
    """Return the folder of the data; the task's own is made if it is not there.

    Raises:
        SetupError: if a chosen folder does not hold train.parquet and test.parquet, or the data cannot be made.
    """
    folder = Path(chosen) if chosen else ROOT / "data" / task.data
    missing = [split for split in ("train", "test") if not (folder / f"{split}.parquet").is_file()]
    if missing and chosen:
        raise SetupError(f"--data {chosen}: no {missing[0]}.parquet there; data_prep/ has the scripts")
    if missing:
        script = ROOT / "data_prep" / f"{task.data}.py"
        if subprocess.run([sys.executable, script, "--out", folder], stdout=subprocess.DEVNULL).returncode != 0:
            raise SetupError(
                f"the data could not be made; see above. A local copy: {script} --source FOLDER --out {folder}"
            )
    return folder


def load_rows(task: Task, folder: Path, split: str) -> list[dict]:
    """Return the problems of a split: prompt (chat messages), answer, data_source."""
    rows = []
    for row in pyarrow.parquet.read_table(folder / f"{split}.parquet").to_pylist():
        prompt = row["prompt"]
        if task.system_prompt is not None:
            prompt = task.chat(row["extra_info"].get("question") or prompt[-1]["content"])
        answer = row["reward_model"]["ground_truth"]
        rows.append({"prompt": prompt, "answer": answer, "data_source": row["data_source"]})
    return rows
