r"""A data set of your own, as verl parquet, without code: say which columns hold the question and the answer.

    python data_prep/custom.py --source problems.csv --name algebra --data-source math --holdout 99
    python data_prep/custom.py --source folder_with_train_and_test --name algebra --data-source math
    python data_prep/custom.py --source test.jsonl --split test --name sum --data-source openai/gsm8k --answer-in hash

Files are JSON Lines, JSON, CSV, TSV, Arrow or parquet, the text ones also as .gz; a hub's owner/name works as well.
From a source without a test split, --holdout takes as many problems for test.parquet. Rows for verl that were made
elsewhere keep their prompts, and get the data source that you name.
"""

import sys

if __package__ in (None, ""):  # run as a script: import from the project, and nothing from this folder
    sys.path[: 0 if sys.flags.safe_path else 1] = [f"{__file__.rpartition('/')[0] or '.'}/.."]

import argparse
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa

from data_prep.pipeline import command_line
from data_prep.pipeline.cells import (
    PARTS,
    as_messages,
    cell_of,
    choices_of,
    has_choices,
    letter_of,
    question_of,
    untaken,
    with_choices,
)
from data_prep.pipeline.data_set import DataError, DataSet, Fault, Problem, Split, no_column, number_or_text, text
from data_prep.pipeline.golds import MATHEMATICS, bare_answer, boxed_answer, gold_fault
from data_prep.pipeline.images import MARK
from data_prep.pipeline.templates import TEMPLATES
from reward_score import SCORERS
from reward_score.data_sources import nearest
from reward_score.multiple_choice import right_letter

# Tasks that can be prepared from columns -> the template that their scorer expects. The ground truths of the others
# need a module of their own.
TEMPLATE_OF = {
    "gsm8k": "hash",
    "math": "boxed",
    "geometry3k": "think",
    "multiple_choice": "think",
    "search_qa": "think",
    "countdown": "think",
    "arithmetic": None,
    "smoltldr": None,
}
# Tasks whose scorer wants the answer in a box, even between tags.
BOXED_TASKS = ("math", "geometry3k")
# Tasks whose ground truth has parts -> their types.
TRUTH_FIELDS = {
    "search_qa": {"target": pa.list_(pa.string())},
    "countdown": {"target": pa.int64(), "numbers": pa.list_(pa.int64())},
}
DATA_SOURCES = [source for source, task in SCORERS.items() if task in TEMPLATE_OF]
NUMBER = re.compile(r"-?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?")
AFTER_HASH = re.compile(r"####[ \t]*(\S.*?)\s*\Z")
COUNTDOWN = (
    "Using the numbers {numbers}, create an equation that equals {target}. You can use basic arithmetic operations "
    "(+, -, *, /), and each number can only be used once."
)
NO_TEMPLATE = "none"


@dataclass(frozen=True)
class Columns:
    """Where a record holds what: the user's options."""

    data_source: str
    question: tuple[str, ...] = ("question",)
    answer: str = "answer"
    answer_in: str = "whole"
    images: str | None = None
    choices: tuple[str, ...] = ()
    template_is_given: bool = False

    @property
    def task(self) -> str:
        return SCORERS[self.data_source]


def whole(cell: str, question: str) -> str | None:
    """Return the cell as it is."""
    return cell


def in_box(cell: str, question: str) -> str | None:
    r"""Return what the last \boxed{} in the cell holds, or several side by side; None if there is none."""
    return boxed_answer(cell, question)


def after_hash(cell: str, question: str = "") -> str | None:
    """Return what follows the last #### at the cell's end, None if there is none."""
    found = AFTER_HASH.search(cell, max(cell.rfind("####"), 0))
    if found is None:
        return None
    return found.group(1).replace(",", "") if NUMBER.fullmatch(found.group(1)) else found.group(1)


ANSWER_IN: dict[str, Callable[[str, str], str | None]] = {
    "whole": whole,
    "box": in_box,
    "hash": after_hash,
    "index": whole,
    "number": whole,
}
CHOOSE = "Name the column with the list of choices, or a column each: --choices-column"
FIRST_CHOICE = {"index": 0, "number": 1}


def cell_in(record: dict, name: str, option: str) -> object:
    """Return a cell of the column that the user named with an option.

    Raises:
        DataError: if there is no such column.
    """
    try:
        return cell_of(record, name)
    except KeyError:
        raise no_column(record, [name], f"Say which it is with --{option}-column.") from None


def question_in(record: dict, columns: Columns) -> tuple[str, str, bool]:
    """Return (question, system message, whether it is the whole prompt)."""
    names, whole_prompt = columns.question, False
    if isinstance(record.get("reward_model"), dict) and "prompt" in record:  # a row for verl, by whomever
        names = ("prompt",) if names == ("question",) and "question" not in record else names
        whole_prompt = names == ("prompt",) and not columns.template_is_given
    texts, systems = [], []
    for name in names:
        cell = cell_in(record, name, "question")
        if isinstance(cell, list) and len(cell) == 1 and isinstance(cell[0], str):
            cell = cell[0]
        if messages := as_messages(cell):
            question, system = question_of(messages, name)
            systems.append(system)
            texts.append(question)
        elif isinstance(cell, list | dict):
            what = f"column '{name}': {type(cell).__name__} instead of a text or messages with role and content."
            raise Fault("prompt", f"{what} Write the question as text.")
        elif len(names) == 1:
            texts.append(text({name: cell}, name))
        elif cell is not None and str(cell).strip():
            texts.append(number_or_text({name: cell}, name))
    if not texts:
        raise Fault("empty", f"columns {', '.join(map(repr, names))}: all empty. Fill them in.")
    return "\n".join(texts), "\n\n".join(filter(None, systems)), whole_prompt


def truth_in(record: dict, columns: Columns, question: str, choices: dict[str, str]) -> str | dict[str, object]:
    """Return the ground truth of a record."""
    name = columns.answer
    row_model = record.get("reward_model")
    if name == "answer" and name not in record and isinstance(row_model, dict):
        name = "reward_model"
    cell = cell_in(record, name, "answer")
    if isinstance(cell, dict) and "ground_truth" in cell:
        cell = cell["ground_truth"]
    if columns.task == "search_qa":
        cell = cell["target"] if isinstance(cell, dict) and "target" in cell else cell
        answers = [number_or_text({name: each}, name) for each in (cell if isinstance(cell, list) else [cell])]
        if not answers:
            raise Fault("gold", f"column '{name}': no answer in the list. Write one.")
        return {"target": answers}
    cell = number_or_text({name: cell}, name)
    truth = ANSWER_IN[columns.answer_in](cell, question)
    if truth is None or not truth.strip():
        what = f"column '{name}': no answer found in ...{cell[-40:]!r}"
        raise Fault("gold", f"{what} with --answer-in {columns.answer_in}. Correct it, or take another --answer-in.")
    if choices:
        return letter_of(truth.strip(), choices, FIRST_CHOICE.get(columns.answer_in))
    return bare_answer(truth) if columns.task in ("gsm8k", *MATHEMATICS) else truth


def countdown_in(record: dict, columns: Columns) -> Problem:
    """Read a Countdown puzzle: numbers and the target that they must make."""
    (name,) = columns.question
    numbers, target = cell_in(record, name, "question"), cell_in(record, columns.answer, "answer")
    try:
        numbers = [int(number) for number in numbers]
        target = int(target)
    except (TypeError, ValueError):
        what = f"columns '{name}' and '{columns.answer}': not a list of numbers and a number. Correct them."
        raise Fault("gold", what) from None
    return Problem(COUNTDOWN.format(numbers=numbers, target=target), {"target": target, "numbers": numbers})


def to_problem(record: dict, columns: Columns) -> Problem:
    """Read one record from the columns that the user named."""
    if columns.task == "countdown":
        return countdown_in(record, columns)
    if columns.images is not None and columns.images not in record:
        raise no_column(record, [columns.images], "Say which it is with --image-column.")
    asked, system, whole_prompt = question_in(record, columns)
    choices = {}
    if columns.choices:
        cells = [cell_in(record, name, "choices") for name in columns.choices]
        choices = choices_of(cells, columns.choices)
    truth = truth_in(record, columns, asked, choices)
    doubts = doubts_of(record, columns, asked, truth) if not whole_prompt else {}
    asked = with_choices(asked, choices) if choices else asked
    found: tuple = ()
    if columns.images is not None:
        images = record[columns.images]
        found = tuple(images) if isinstance(images, list) else (images,)
        asked = asked if MARK in asked else MARK * len(found) + asked
    return Problem(asked, truth, images=found, system=system, whole_prompt=whole_prompt, doubts=doubts)


def doubts_of(record: dict, columns: Columns, question: str, truth: str | dict) -> dict[str, str]:
    """Return what speaks against a row: a part of the question, or its choices, in a column that is not taken."""
    doubts = {}
    is_letter = isinstance(truth, str) and re.fullmatch(r"\(?[A-J]\)?\.?", truth.strip()) is not None
    is_choice = not columns.choices and (columns.task == "multiple_choice" or is_letter)
    letter = ""
    if is_choice and isinstance(truth, str):
        with suppress(ValueError):
            letter, _ = right_letter(truth)
    without = is_choice and not has_choices(question, letter or "B")
    if columns.task not in ("search_qa", "smoltldr", "arithmetic"):
        taken = [*columns.question, columns.answer, columns.images or ""]
        name = untaken(record, taken, question, without)
        if name is not None and (without and name.strip().casefold() not in PARTS):
            doubts["unused"] = (
                f"column '{name}' is not taken, and seems to hold choices. {CHOOSE} {shlex.quote(name)} ..."
            )
        elif name is not None:
            join = " ".join([shlex.quote(name), *map(shlex.quote, columns.question)])
            doubts["unused"] = (
                f"column '{name}' is not taken, and seems to be a part of the question. Join them: "
                f"--question-column {join}; or, if it is none: --keep unused."
            )
    if without and columns.task == "multiple_choice" and columns.images is None:
        last = letter if letter > "D" else "D"
        doubts["gold"] = f"no choice A to {last} stands in the question. {CHOOSE} A B C D."
    return doubts


def advise(records: Iterable[dict], columns: Columns) -> str:
    """Say which other --answer-in finds answers that a response can equal, in at least half of these records."""
    found: Counter[str] = Counter()
    count = 0
    for record in records:
        count += 1
        for answer_in in ("box", "hash"):
            with suppress(Fault, DataError):
                question, _, _ = question_in(record, columns)
                truth = truth_in(record, replace(columns, answer_in=answer_in), question, {})
                found[answer_in] += isinstance(truth, str) and gold_fault(truth, lambda answer: True) is None
    tries = [answer_in for answer_in in found if answer_in != columns.answer_in and found[answer_in] * 2 >= count]
    return "".join(f"  --answer-in {each} finds an answer in {found[each]:,} of {count:,} rows\n" for each in tries)


BLANK = DataSet(
    name="custom",
    title="a data set of your own",
    homepage="made by you",
    licence="yours to know",
    splits=(Split("train", data_source=""), Split("test", data_source="")),
    to_problem=lambda record: Problem("", ""),
    reads_prepared=True,
    other_splits={"test": ("validation", "valid", "val", "dev", "eval")},
)


def data_set_of(args: argparse.Namespace) -> DataSet:
    """Return the data set that the arguments describe."""
    columns = Columns(
        data_source=args.data_source,
        question=tuple(args.question_column),
        answer=args.answer_column,
        answer_in=args.answer_in,
        images=args.image_column,
        choices=tuple(args.choices_column or ()),
        template_is_given=args.template is not None,
    )
    return replace(
        BLANK,
        name=args.name,
        title=f"{BLANK.title}, scored as {args.data_source}",
        splits=tuple(replace(split, data_source=args.data_source) for split in BLANK.splits),
        to_problem=partial(to_problem, columns=columns),
        advise=partial(advise, columns=columns),
        truth_fields=TRUTH_FIELDS.get(columns.task, ()),
        boxed=SCORERS[args.data_source] in BOXED_TASKS,
        image_column=args.image_column,
    )


def data_source(name: str) -> str:
    """Parse a data source that has a scorer, for argparse."""
    if name not in DATA_SOURCES:
        there_are = f"there are {', '.join(DATA_SOURCES)}"
        if name in SCORERS:
            what = f"the answers of {name!r} have parts, and need a module of their own"
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
    parser.add_argument(
        "--question-column",
        nargs="+",
        action="extend",
        metavar="COLUMN",
        help="one, or several that are joined, a line each (default: question)",
    )
    parser.add_argument("--answer-column", default="answer", metavar="COLUMN", help="(default: answer)")
    parser.add_argument(
        "--answer-in",
        choices=ANSWER_IN,
        default="whole",
        help=r"where in its cell the answer is: the whole, the last \boxed{}, after ####, or the number of the right "
        "choice, from 0 (index) or from 1 (number) (default: whole)",
    )
    parser.add_argument(
        "--choices-column",
        nargs="+",
        action="extend",
        metavar="COLUMN",
        help="the choices of a multiple choice: one column with a list, or a column each",
    )
    parser.add_argument("--image-column", metavar="COLUMN", help="one image a row, or a list of them: paths, or bytes")
    parser.add_argument(
        "--template", choices=[*TEMPLATES, NO_TEMPLATE], help="the form of the answer (default: the scorer's)"
    )
    parser.add_argument(
        "--holdout", type=command_line.positive, metavar="N", help="of a source without a test split, problems for it"
    )
    argv = sys.argv[1:] if argv is None else argv
    args = parser.parse_args(argv)
    if args.source is None:
        parser.error("--source is missing: a file, a folder with train and test files, or a hub's owner/name")
    args.question_column = args.question_column or ["question"]
    if args.question_column == [args.answer_column]:
        parser.error(f"--question-column and --answer-column both name {args.answer_column!r}")
    if args.answer_in in FIRST_CHOICE and not args.choices_column:
        parser.error(f"--answer-in {args.answer_in} is the number of a choice: name their --choices-column")
    data_set = data_set_of(args)
    args.template = args.template or TEMPLATE_OF[SCORERS[args.data_source]]
    args.template = None if args.template == NO_TEMPLATE else args.template
    command_line.run(parser, argv, args, data_set, holdout=args.holdout or 0)


if __name__ == "__main__":
    main()
