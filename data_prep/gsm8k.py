"""GSM8K, grade-school word problems with whole-number answers, as verl parquet.

    python data_prep/gsm8k.py
    python data_prep/gsm8k.py --source data_prep/samples/gsm8k      # 200 real rows that come with the project

Every script of this folder has the same options; docs/en/data.md explains them.
"""

import sys

if __package__ in (None, ""):  # run as a script: import from the project, and nothing from this folder
    sys.path[: 0 if sys.flags.safe_path else 1] = [f"{__file__.rpartition('/')[0] or '.'}/.."]

import re

from data_prep.pipeline import command_line
from data_prep.pipeline.data_set import DataSet, Fault, Problem, Split, text

FINAL_ANSWER = re.compile(r"####\s*(-?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?)\s*\Z")


def to_problem(record: dict) -> Problem:
    """Read one record; the ground truth is the number after ####, without commas."""
    question, answer = text(record, "question"), text(record, "answer")
    final = FINAL_ANSWER.search(answer)
    if final is None:
        what = f"column 'answer': does not end in '#### <number>' but in {answer[-40:]!r}."
        raise Fault("gold", f"{what} Write the final answer as its last line, for example '#### 72'.")
    return Problem(question, final.group(1).replace(",", ""), {"question": question, "answer": answer})


DATA_SET = DataSet(
    name="gsm8k",
    title="GSM8K, grade-school word problems",
    homepage="https://github.com/openai/grade-school-math",
    licence="MIT",
    splits=tuple(
        Split(
            name,
            data_source="openai/gsm8k",
            hugging_face="openai/gsm8k",
            modelscope="AI-ModelScope/gsm8k",  # parquet; modelscope/gsm8k needs a script from the hub to be run
            files=("main/{}-*.parquet",),
        )
        for name in ("train", "test")
    ),
    to_problem=to_problem,
    templates=("hash", "boxed", "think", "reasoning"),
    extra={"question": str, "answer": str},
)

if __name__ == "__main__":
    command_line.main(DATA_SET, __doc__)
