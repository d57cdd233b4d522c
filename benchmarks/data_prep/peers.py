"""The project's data preparation next to verl's own scripts, on the same rows.

The two do not do the same work: verl's scripts turn each row around and write it; this project's also look for faults,
duplicates and overlap of the splits, and write a report.
"""

import json
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import NamedTuple

import pyarrow.parquet as pq

from benchmarks.data_prep.child import MIB, Usage, measure
from benchmarks.reward_score.tables import markdown

SPLITS = ("train", "test")
OURS = "grpo-launchpad"
COLD, WARM = "verl, cold cache", "verl, warm cache"  # the cache of the library datasets
IMPORTS = "verl, imports alone"  # most of the time that its scripts take for a small data set
SCRIPTS = Path("examples/data_preprocess")

# verl loads GSM8K with datasets.load_dataset(folder, "main"); a local folder has such a configuration if it says so.
GSM8K_CARD = """---
configs:
- config_name: main
  data_files:
  - {split: train, path: train.jsonl}
  - {split: test, path: test.jsonl}
---
"""


class Set(NamedTuple):
    """A data set: the folder that holds it, both tools' scripts, and the columns that the hub's copy has."""

    name: str
    ours: str
    verls: str
    columns: tuple[str, ...]
    card: str | None = None


SETS = (
    Set("gsm8k", "gsm8k.py", "gsm8k.py", ("question", "answer"), GSM8K_CARD),
    Set("math", "math.py", "math_dataset.py", ("problem", "level", "type", "solution")),
)


def missing(checkout: Path, data: Path) -> str | None:
    """Return what an argument lacks, or None."""
    for one in SETS:
        if not (checkout / SCRIPTS / one.verls).is_file():
            return f"--verl-checkout {checkout}: no {SCRIPTS / one.verls} there"
        for split in SPLITS:
            if not (data / one.name / f"{split}.jsonl").is_file():
                return f"--data {data}: no {one.name}/{split}.jsonl there"
    return None


def write_source(one: Set, data: Path, out: Path) -> None:
    """Write a set as a folder that verl's script can load.

    The library datasets wants the same columns in all splits, so only those of the hub's copy are kept.
    """
    out.mkdir()
    for split in SPLITS:
        with (data / one.name / f"{split}.jsonl").open() as lines, (out / f"{split}.jsonl").open("w") as kept:
            for line in lines:
                record = json.loads(line)
                kept.write(json.dumps({column: record[column] for column in one.columns}) + "\n")
    if one.card:
        (out / "README.md").write_text(one.card)


class Run(NamedTuple):
    """One run of a tool: what it took, and how many rows it wrote."""

    usage: Usage
    rows: int


Results = dict[str, dict[str, list[Run]]]  # for each set and tool, its runs


def run_tool(tool: str, one: Set, source: Path, checkout: Path, warm_cache: Path) -> Run:
    """Run a tool once, into an empty folder."""
    with tempfile.TemporaryDirectory(prefix="data_prep-") as temporary:
        out, cold_cache = Path(temporary, "out"), Path(temporary, "cache")
        variables = {
            "HF_HUB_OFFLINE": 1,
            "HF_DATASETS_CACHE": warm_cache if tool == WARM else cold_cache,
            "VERL_USE_EXTERNAL_PLUGINS": "none",  # this project is one, which verl would import
        }
        if tool == OURS:
            command = [f"data_prep/{one.ours}", "--source", source, "--out", out, "--force"]
        elif tool == IMPORTS:
            command = ["-c", "import datasets, verl.utils.hdfs_io"]
        else:
            command = [checkout / SCRIPTS / one.verls, "--local_dataset_path", source, "--local_save_dir", out]
        usage = measure(command, variables=variables)
        return Run(usage, sum(pq.read_metadata(file).num_rows for file in out.glob("*.parquet")))


def run(checkout: Path, data: Path, runs: int) -> Results:
    """Run the tools by turns, once to warm up and then ``runs`` times."""
    results: Results = {}
    for one in SETS:
        results[one.name] = {tool: [] for tool in (OURS, COLD, WARM, IMPORTS)}
        with tempfile.TemporaryDirectory(prefix="data_prep-") as temporary:
            source, warm_cache = Path(temporary, "source"), Path(temporary, "cache")
            write_source(one, data, source)
            for number in range(runs + 1):
                for tool, done in results[one.name].items():
                    latest = run_tool(tool, one, source, checkout, warm_cache)
                    print(f"{one.name}, {tool}, run {number}: {latest.usage.seconds:.2f} s", file=sys.stderr)
                    if number > 0:
                        done.append(latest)
    return results


def table(results: Results) -> str:
    """Return one row per set and tool as Markdown; CPU seconds are a median, too, ``x ours`` is the medians' ratio."""
    columns = ["set", "tool", "rows", "median s", "min s", "CPU s", "peak RSS MiB", "x ours"]
    cells = []
    for name, tools in results.items():
        ours = median(run.usage.seconds for run in tools[OURS])
        for tool, runs in tools.items():
            seconds = [run.usage.seconds for run in runs]
            times = median(seconds), min(seconds), median(run.usage.cpu_seconds for run in runs)
            peak = max(run.usage.largest for run in runs) / MIB
            measured = [*(f"{time:.2f}" for time in times), f"{peak:,.0f}", f"{median(seconds) / ours:.1f}"]
            cells.append([name, tool, f"{runs[-1].rows:,}", *measured])
    return markdown(columns, cells)
