"""MATH-500, the 500 problems of MATH's test split that Let's Verify Step by Step evaluates on, as verl parquet.

    python data_prep/math500.py
    python data_prep/math500.py --source data_prep/samples/math500      # 50 real rows that come with the project

Every script of this folder has the same options; docs/en/data.md explains them.
"""

import sys

if __package__ in (None, ""):  # run as a script: import from the project, and nothing from this folder
    sys.path[: 0 if sys.flags.safe_path else 1] = [f"{__file__.rpartition('/')[0] or '.'}/.."]

from data_prep.pipeline import command_line
from data_prep.pipeline.data_set import DataSet, Problem, Split, number_or_text, text


def to_problem(record: dict) -> Problem:
    """Read one record; the ground truth is its answer."""
    extra = {"subject": text(record, "subject"), "level": number_or_text(record, "level")}
    return Problem(text(record, "problem"), text(record, "answer"), extra)


DATA_SET = DataSet(
    name="math500",
    title="MATH-500, 500 problems of MATH's test split",
    homepage="https://github.com/openai/prm800k",
    licence="MIT",
    splits=(
        Split(
            "test",
            data_source="HuggingFaceH4/MATH-500",
            hugging_face="HuggingFaceH4/MATH-500",
            modelscope="AI-ModelScope/MATH-500",
        ),
    ),
    to_problem=to_problem,
    templates=("boxed", "hash", "think", "reasoning"),
    boxed=True,
    extra={"subject": str, "level": str},
)

if __name__ == "__main__":
    command_line.main(DATA_SET, __doc__)
