"""Knights and knaves, logic puzzles of who lies, as verl parquet.

    python data_prep/kk_logic.py
    python data_prep/kk_logic.py --source data_prep/samples/kk_logic    # 96 real puzzles that come with the project

From the hub come the puzzles with three inhabitants. Others: download the folder and give one file a split.

Every script of this folder has the same options; docs/en/data.md explains them.
"""

import sys

if __package__ in (None, ""):  # run as a script: import from the project, and nothing from this folder
    sys.path[: 0 if sys.flags.safe_path else 1] = [f"{__file__.rpartition('/')[0] or '.'}/.."]

from data_prep.pipeline import command_line
from data_prep.pipeline.data_set import DataSet, Problem, Split, text


def to_problem(record: dict) -> Problem:
    """Read one puzzle; the ground truth is who is what, one inhabitant a line."""
    solution = text(record, "solution_text_format")
    truth = {"solution_text_format": solution, "statements": text(record, "statements")}
    return Problem(text(record, "quiz"), truth, {"inhabitants": solution.count("\n") + 1})


DATA_SET = DataSet(
    name="kk_logic",
    title="Knights and knaves, logic puzzles",
    homepage="https://huggingface.co/datasets/K-and-K/knights-and-knaves",
    licence="CC BY-NC-SA 4.0 on the hub; the sample is Logic-RL's, Apache-2.0",
    splits=tuple(
        Split(
            name,
            data_source="kk_logic",
            hugging_face="K-and-K/knights-and-knaves",
            files=("{}/people3_*.jsonl",),
        )
        for name in ("train", "test")
    ),
    to_problem=to_problem,
    templates=("think",),
    ability="logic",
    truth_fields=("solution_text_format", "statements"),
    extra={"inhabitants": int},
    keep=("long", "near-overlap"),  # the puzzles share most of their words
)

if __name__ == "__main__":
    command_line.main(DATA_SET, __doc__)
