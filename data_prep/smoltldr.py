"""smoltldr, forum posts to be told in one line, as verl parquet: a task without right answers.

    python data_prep/smoltldr.py
    python data_prep/smoltldr.py --source data_prep/samples/smoltldr    # 48 posts written for this project

Every script of this folder has the same options; docs/en/data.md explains them.
"""

import sys

if __package__ in (None, ""):  # run as a script: import from the project, and nothing from this folder
    sys.path[: 0 if sys.flags.safe_path else 1] = [f"{__file__.rpartition('/')[0] or '.'}/.."]

from data_prep.pipeline import command_line
from data_prep.pipeline.data_set import DataSet, Problem, Split, text


def to_problem(record: dict) -> Problem:
    """Read one record; what its author wrote as the summary is kept, and no scorer looks at it."""
    return Problem(text(record, "prompt"), text(record, "completion").strip())


DATA_SET = DataSet(
    name="smoltldr",
    title="smoltldr, forum posts to be told in one line",
    homepage="https://huggingface.co/datasets/mlabonne/smoltldr",
    licence="not stated by its publisher",
    splits=tuple(
        Split(
            name,
            data_source="mlabonne/smoltldr",
            hugging_face="mlabonne/smoltldr",
            files=("data/{}-*.parquet",),
        )
        for name in ("train", "test")
    ),
    to_problem=to_problem,
    ability="summarization",
)

if __name__ == "__main__":
    command_line.main(DATA_SET, __doc__)
