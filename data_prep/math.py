r"""MATH, competition problems with a boxed answer, as verl parquet.

    python data_prep/math.py
    python data_prep/math.py --source data_prep/samples/math        # 192 real rows that come with the project

Of the published 7,500 problems to train on, two have an empty box, two have two answers of which either will do, one
occurs twice, and one is a test problem as well: these six are left out, and two such of the 5,000 test problems.

Every script of this folder has the same options; docs/en/data.md explains them.
"""

import sys

if __package__ in (None, ""):  # run as a script: import from the project, and nothing from this folder
    sys.path[: 0 if sys.flags.safe_path else 1] = [f"{__file__.rpartition('/')[0] or '.'}/.."]

from data_prep.pipeline import command_line
from data_prep.pipeline.data_set import DataSet, Fault, Problem, Split, text
from data_prep.pipeline.golds import boxed_answer


def to_problem(record: dict) -> Problem:
    """Read one record; the ground truth is what the last box of the solution holds, or several side by side."""
    question, solution = text(record, "problem"), text(record, "solution")
    answer = boxed_answer(solution, question)
    if answer is None or not answer.strip():
        what = "no box" if answer is None else "an empty box"
        raise Fault("gold", rf"column 'solution': {what} in it. Write the final answer as \boxed{{...}}.")
    return Problem(question, answer, {name: text(record, name) for name in EXTRA})


EXTRA = {"level": str, "type": str}
DATA_SET = DataSet(
    name="math",
    title="MATH, competition mathematics",
    homepage="https://github.com/hendrycks/math",
    licence="MIT",
    splits=tuple(
        Split(
            name,
            data_source="DigitalLearningGmbH/MATH-lighteval",
            hugging_face="DigitalLearningGmbH/MATH-lighteval",
            modelscope="swift/MATH-lighteval",
            files=("data/{}-*.parquet",),
        )
        for name in ("train", "test")
    ),
    to_problem=to_problem,
    templates=("boxed", "hash", "think", "reasoning"),
    boxed=True,
    extra=EXTRA,
    drop={"gold": 0.005, "conflict": 0.005, "duplicate": 0.005, "overlap": 0.005},
    keep=("long", "near-overlap"),  # the same kind of problem with other numbers is in both published splits
)

if __name__ == "__main__":
    command_line.main(DATA_SET, __doc__)
