"""Geometry3K, geometry problems with a diagram, as verl parquet with the images inside.

    python data_prep/geo3k.py
    python data_prep/geo3k.py --source data_prep/samples/geo3k      # 10 real rows that come with the project

Every script of this folder has the same options; docs/en/data.md explains them.
"""

import sys

if __package__ in (None, ""):  # run as a script: import from the project, and nothing from this folder
    sys.path[: 0 if sys.flags.safe_path else 1] = [f"{__file__.rpartition('/')[0] or '.'}/.."]

from data_prep.pipeline import command_line
from data_prep.pipeline.data_set import DataError, DataSet, Problem, Split, column, text
from data_prep.pipeline.images import MARK


def to_problem(record: dict) -> Problem:
    """Read one record; a problem that does not say where its images belong has them before the text."""
    question, answer = text(record, "problem"), text(record, "answer")
    name, images = column(record, "images")
    if not isinstance(images, list):
        raise DataError(f"column '{name}': {type(images).__name__} instead of a list of images.")
    if MARK not in question:
        question = MARK * len(images) + question
    return Problem(question, answer, {"question": question, "answer": answer}, tuple(images))


DATA_SET = DataSet(
    name="geo3k",
    title="Geometry3K, geometry problems with diagrams",
    homepage="https://github.com/lupantech/InterGPS",
    licence="MIT",
    splits=tuple(
        Split(
            name,
            data_source="hiyouga/geometry3k",
            hugging_face="hiyouga/geometry3k",
            modelscope="hiyouga/geometry3k",
            files=("data/{}-*.parquet",),
        )
        for name in ("train", "test")
    ),
    to_problem=to_problem,
    templates=("think", "boxed"),
    boxed=True,
    extra={"question": str, "answer": str},
    image_column="images",
)

if __name__ == "__main__":
    command_line.main(DATA_SET, __doc__)
