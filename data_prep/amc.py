"""AMC 12 of 2022 and 2023, 83 problems whose answers were made whole numbers, as verl parquet.

    python data_prep/amc.py
    python data_prep/amc.py --source data_prep/samples/amc      # all 83, which come with the project

Every script of this folder has the same options; docs/en/data.md explains them.
"""

import sys

if __package__ in (None, ""):  # run as a script: import from the project, and nothing from this folder
    sys.path[: 0 if sys.flags.safe_path else 1] = [f"{__file__.rpartition('/')[0] or '.'}/.."]

from data_prep.pipeline import command_line
from data_prep.pipeline.data_set import DataSet, Problem, Split, number_or_text, text


def to_problem(record: dict) -> Problem:
    """Read one record; the ground truth is its number, without the ".0" that the published file adds."""
    return Problem(text(record, "problem", "question"), number_or_text(record, "answer"))


DATA_SET = DataSet(
    name="amc",
    title="AMC 12 of 2022 and 2023, American Mathematics Competitions",
    homepage="https://huggingface.co/datasets/AI-MO/aimo-validation-amc",
    licence="Apache-2.0; problems by the Mathematical Association of America",
    splits=(
        Split(
            "test",
            data_source="amc23",
            hugging_face="AI-MO/aimo-validation-amc",
            files=("data/train-*.parquet",),
        ),
    ),
    to_problem=to_problem,
    templates=("boxed", "hash", "think", "reasoning"),
    boxed=True,
)

if __name__ == "__main__":
    command_line.main(DATA_SET, __doc__)
