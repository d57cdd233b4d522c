r"""A data set of your own, as verl parquet, without code: say which columns hold the question and the answer.

    python data_prep/custom.py --source problems.csv --name algebra --data-source math --holdout 99
    python data_prep/custom.py --source folder_with_train_and_test --name algebra --data-source math
    python data_prep/custom.py --source test.jsonl --split test --name sum --data-source openai/gsm8k --answer-in hash

Files are JSON Lines, JSON, CSV or parquet; a hub's owner/name works as well. From one file, --holdout takes as many
problems for test.parquet.
"""

import sys

if __package__ in (None, ""):  # run as a script: import from the project, and nothing from this folder
    sys.path[: 0 if sys.flags.safe_path else 1] = [f"{__file__.rpartition('/')[0] or '.'}/.."]

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from data_prep.pipeline import command_line
from data_prep.pipeline.data_set import DataSet, Fault, Problem, Split, no_column, number_or_text, text
from data_prep.pipeline.images import MARK
from data_prep.pipeline.templates import TEMPLATES
from reward_score import SCORERS
from reward_score.data_sources import nearest
from reward_score.extraction import last_boxed

# Tasks whose ground truth is one text -> the template that their scorer expects. Those whose ground truths have parts
# need a module of their own.
TEMPLATE_OF = {
    "gsm8k": "hash",
    "math": "boxed",
    "geometry3k": "think",
    "multiple_choice": "think",
    "arithmetic": None,
    "smoltldr": None,
}
# Tasks whose scorer wants the answer in a box, even between tags.
BOXED_TASKS = ("math", "geometry3k")
DATA_SOURCES = [source for source, task in SCORERS.items() if task in TEMPLATE_OF]
NUMBER = re.compile(r"-?[0-9][0-9,]*(?:\.[0-9]+)?")
AFTER_HASH = re.compile(r"####[ \t]*(\S.*?)\s*\Z")


def whole(cell: str) -> str | None:
    """Return the cell as it is."""
    return cell


def in_box(cell: str) -> str | None:
    r"""Return what the last \boxed{} in the cell holds, None if there is none."""
    return last_boxed(cell)


def after_hash(cell: str) -> str | None:
    """Return what follows the last #### at the cell's end, None if there is none."""
    found = AFTER_HASH.search(cell, max(cell.rfind("####"), 0))
    if found is None:
        return None
    return found.group(1).replace(",", "") if NUMBER.fullmatch(found.group(1)) else found.group(1)


ANSWER_IN: dict[str, Callable[[str], str | None]] = {"whole": whole, "box": in_box, "hash": after_hash}


def to_problem(record: dict, question: str, answer: str, answer_in: str, images: str | None) -> Problem:
    """Read one record from the columns that the user named."""
    for option, name in (("question", question), ("answer", answer), ("image", images)):
        if name is not None and name not in record:
            raise no_column(record, [name], f"Say which it is with --{option}-column.")
    asked, cell = text(record, question), number_or_text(record, answer)
    truth = ANSWER_IN[answer_in](cell)
    if truth is None or not truth.strip():
        what = f"column '{answer}': no answer found in ...{cell[-40:]!r}"
        raise Fault("gold", f"{what} with --answer-in {answer_in}. Correct it, or take another --answer-in.")
    if images is None:
        return Problem(asked, truth)
    found = record[images]
    found = tuple(found) if isinstance(found, list) else (found,)
    return Problem(asked if MARK in asked else MARK * len(found) + asked, truth, images=found)


BLANK = DataSet(
    name="custom",
    title="a data set of your own",
    homepage="made by you",
    licence="yours to know",
    splits=(Split("train", data_source=""), Split("test", data_source="")),
    to_problem=lambda record: Problem("", ""),
)


def data_set_of(args: argparse.Namespace) -> DataSet:
    """Return the data set that the arguments describe."""
    return replace(
        BLANK,
        name=args.name,
        title=f"{BLANK.title}, scored as {args.data_source}",
        splits=tuple(replace(split, data_source=args.data_source) for split in BLANK.splits),
        to_problem=partial(
            to_problem,
            question=args.question_column,
            answer=args.answer_column,
            answer_in=args.answer_in,
            images=args.image_column,
        ),
        boxed=SCORERS[args.data_source] in BOXED_TASKS,
        image_column=args.image_column,
    )


def data_source(name: str) -> str:
    """Parse a data source that has a scorer, for argparse."""
    if name not in DATA_SOURCES:
        there_are = f"there are {', '.join(DATA_SOURCES)}"
        if name in SCORERS:
            what = f"the answers of {name!r} have parts, and are not in one column"
            raise argparse.ArgumentTypeError(f"{what}; {there_are}")
        raise argparse.ArgumentTypeError(f"no scorer for {name!r}{nearest(name, DATA_SOURCES)}; {there_are}")
    return name


def task_name(name: str) -> str:
    """Parse a name that can be a folder and a launcher's task, for argparse."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]*", name):
        raise argparse.ArgumentTypeError(f"{name!r}: use small letters, digits, and _ . - within")
    return name


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_line.shared_options(BLANK, __doc__)
    parser.add_argument("--name", required=True, type=task_name, help="of the folder below data/")
    parser.add_argument(
        "--data-source", required=True, type=data_source, help="which scorer judges, such as math or openai/gsm8k"
    )
    parser.add_argument("--question-column", default="question", metavar="COLUMN", help="(default: question)")
    parser.add_argument("--answer-column", default="answer", metavar="COLUMN", help="(default: answer)")
    parser.add_argument(
        "--answer-in",
        choices=ANSWER_IN,
        default="whole",
        help=r"where in its cell the answer is: the whole, the last \boxed{}, or after #### (default: whole)",
    )
    parser.add_argument("--image-column", metavar="COLUMN", help="one image a row, or a list of them: paths, or bytes")
    parser.add_argument("--template", choices=TEMPLATES, help="the form of the answer (default: the scorer's)")
    parser.add_argument(
        "--holdout", type=command_line.positive, metavar="N", help="of one file, problems for the test split"
    )
    argv = sys.argv[1:] if argv is None else argv
    args = parser.parse_args(argv)
    if args.source is None:
        parser.error("--source is missing: a file, a folder with train and test files, or a hub's owner/name")
    if args.question_column == args.answer_column:
        parser.error(f"--question-column and --answer-column both name {args.answer_column!r}")
    args.template = args.template or TEMPLATE_OF[SCORERS[args.data_source]]
    command_line.run(parser, argv, args, data_set_of(args), holdout=args.holdout or 0)


if __name__ == "__main__":
    main()
