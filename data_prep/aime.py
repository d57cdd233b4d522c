"""AIME 2024 and 2025, 30 problems each with whole-number answers, as verl parquet: aime24.parquet, aime25.parquet.

    python data_prep/aime.py
    python data_prep/aime.py --source data_prep/samples/aime        # all 60, which come with the project
    python data_prep/aime.py --split aime25

Every script of this folder has the same options; docs/en/data.md explains them.
"""

import sys

if __package__ in (None, ""):  # run as a script: import from the project, and nothing from this folder
    sys.path[: 0 if sys.flags.safe_path else 1] = [f"{__file__.rpartition('/')[0] or '.'}/.."]

from data_prep.pipeline import command_line
from data_prep.pipeline.data_set import DataSet, Fault, Problem, Split, column, number_or_text, text


def to_problem(record: dict) -> Problem:
    """Read one record; the ground truth is a whole number from 0 to 999, written without leading zeros."""
    question = text(record, "problem", "question", "Problem")
    name, _ = column(record, "answer", "expected_answer", "Answer")
    answer = number_or_text(record, name)
    if not (answer.isascii() and answer.isdigit() and int(answer) <= 999):
        raise Fault("gold", f"column '{name}': {answer[:40]!r} is no whole number from 0 to 999. Correct it.")
    return Problem(question, str(int(answer)))


DATA_SET = DataSet(
    name="aime",
    title="AIME 2024 and 2025, American Invitational Mathematics Examination",
    homepage="https://artofproblemsolving.com/wiki/index.php/AIME_Problems_and_Solutions",
    licence="problems by the Mathematical Association of America",
    splits=(
        Split(
            "aime24",
            data_source="aime24",
            hugging_face="HuggingFaceH4/aime_2024",
            modelscope="HuggingFaceH4/aime_2024",
            files=("data/train-*.parquet",),
        ),
        Split(
            "aime25",
            data_source="aime25",
            hugging_face="math-ai/aime25",
            modelscope="evalscope/aime25",
            files=("test.jsonl", "data/test-*.parquet"),
        ),
    ),
    to_problem=to_problem,
    templates=("boxed", "hash", "think", "reasoning"),
    boxed=True,
)

if __name__ == "__main__":
    command_line.main(DATA_SET, __doc__)
