"""DAPO-Math-17k, 17 thousand competition problems with whole-number answers, as verl parquet: a training split.

    python data_prep/dapo_math.py

The published file holds each problem about a hundred times, as DAPO's training wanted it; each is kept once here. Take
data_prep/aime.py for validation.

Every script of this folder has the same options; docs/en/data.md explains them.
"""

import sys

if __package__ in (None, ""):  # run as a script: import from the project, and nothing from this folder
    sys.path[: 0 if sys.flags.safe_path else 1] = [f"{__file__.rpartition('/')[0] or '.'}/.."]

from data_prep.pipeline import command_line
from data_prep.pipeline.data_set import DataError, DataSet, Problem, Split, column, number_or_text, text

# Around each problem in the published prompts. The template says what the answer shall look like instead.
BEFORE = (
    "Solve the following math problem step by step. The last line of your response should be of the form Answer: "
    "$Answer (without quotes) where $Answer is the answer to the problem.\n\n"
)
BEHIND = '\n\nRemember to put your answer on its own line after "Answer:".'


def to_problem(record: dict) -> Problem:
    """Read one record, as ByteDance published it or as open-r1 did, where the prompt is the bare problem."""
    _, prompt = column(record, "prompt")
    if isinstance(prompt, list):
        if len(prompt) != 1 or not isinstance(prompt[0], dict):
            raise DataError("column 'prompt': not one chat message.")
        prompt = text(prompt[0], "content")
    bare = text({"prompt": prompt}, "prompt").removeprefix(BEFORE).removesuffix(BEHIND)
    _, truth = column(record, "reward_model")
    if not isinstance(truth, dict):
        raise DataError("column 'reward_model': not a struct with ground_truth.")
    return Problem(text({"prompt": bare}, "prompt"), number_or_text(truth, "ground_truth"))


DATA_SET = DataSet(
    name="dapo_math",
    title="DAPO-Math-17k, competition mathematics with whole-number answers",
    homepage="https://huggingface.co/datasets/BytedTsinghua-SIA/DAPO-Math-17k",
    licence="Apache-2.0",
    splits=(
        Split(
            "train",
            data_source="math_dapo",
            hugging_face="BytedTsinghua-SIA/DAPO-Math-17k",
            modelscope="AI-ModelScope/DAPO-Math-17k",
            files=("data/dapo-math-17k.parquet",),
        ),
    ),
    to_problem=to_problem,
    templates=("boxed", "hash", "think", "reasoning"),
    boxed=True,
    drop={"duplicate": 1.0, "conflict": 1.0},
)

if __name__ == "__main__":
    command_line.main(DATA_SET, __doc__)
