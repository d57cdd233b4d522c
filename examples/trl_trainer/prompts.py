"""The prompts to train on: what data_prep/ made, as TRL wants it."""

import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
from datasets import Dataset
from transformers import PreTrainedTokenizerBase
from trl.data_utils import is_conversational

ROOT = Path(__file__).resolve().parents[2]


def data_folder(task: str, chosen: str | None) -> Path:
    """Return the folder of a task's data; if none is chosen and data/<task> is missing, its script makes that.

    Raises:
        FileNotFoundError: if a chosen folder does not hold train.parquet and test.parquet.
        subprocess.CalledProcessError: if the data cannot be made.
    """
    folder = Path(chosen) if chosen else ROOT / "data" / task
    script = f"data_prep/{task}.py"
    missing = [name for name in ("train.parquet", "test.parquet") if not (folder / name).is_file()]
    if missing and chosen:
        raise FileNotFoundError(f"--data {chosen}: no {missing[0]} there; python {script} --out {chosen} makes it")
    if missing:
        subprocess.run([sys.executable, ROOT / script, "--out", folder], check=True, stdout=subprocess.DEVNULL)
    return folder


def read_rows(folder: Path, split: str) -> list[dict]:
    """Return the rows of a split in verl's layout: prompt, reward_model, extra_info and so on."""
    return pyarrow.parquet.read_table(folder / f"{split}.parquet").to_pylist()


def without_long_prompts(prompts: Dataset, tokenizer: PreTrainedTokenizerBase, longest: int) -> Dataset:
    """Return the rows whose ``prompt``, as the model will see it, has at most ``longest`` tokens; prints the count.

    Raises:
        ValueError: if none is left.
    """

    def fits(row: dict) -> bool:
        prompt = row["prompt"]
        if is_conversational(row):
            ids = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=True)["input_ids"]
        else:
            ids = tokenizer(prompt)["input_ids"]
        return len(ids) <= longest

    kept = prompts.select([index for index, row in enumerate(prompts) if fits(row)])
    print(f"{len(kept)} prompts; {len(prompts) - len(kept)} of more than {longest} tokens were left out", flush=True)
    if not kept:
        raise ValueError(f"--max_prompt_length {longest}: all {len(prompts)} prompts are longer")
    return kept
