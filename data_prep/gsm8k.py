"""GSM8K, grade-school word problems with whole-number answers, as verl parquet.

    python data_prep/gsm8k.py
    python data_prep/gsm8k.py --source data_prep/samples/gsm8k      # 200 real rows that come with the project

Without ``--source`` the data comes from data/raw/gsm8k if that folder exists, else from the Hugging Face hub, else
from ModelScope. Data set: https://github.com/openai/grade-school-math (MIT).
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

if __package__ in (None, ""):  # run as a script: make the project's packages importable
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pyarrow as pa
import pyarrow.parquet as pq

from data_prep.verl_parquet import make_row, write_split
from grpo_launchpad.hubs import HubError, from_hugging_face, from_modelscope

DATA_SOURCE = "openai/gsm8k"
INSTRUCTION = 'Let\'s think step by step and output the final answer after "####".'
SPLITS = ("train", "test")
COLUMNS = ("question", "answer")

HUGGING_FACE_ID = "openai/gsm8k"
MODELSCOPE_ID = "AI-ModelScope/gsm8k"  # the parquet copy; modelscope/gsm8k needs a script from the hub to be run
LOCAL_COPY = Path(__file__).resolve().parents[1] / "data" / "raw" / "gsm8k"
SAMPLE = "data_prep/samples/gsm8k"

# Where a split may lie below the source folder, first match wins; main/ is how both hubs lay GSM8K out.
SPLIT_FILES = ("{}.jsonl", "{}.parquet", "main/{}-*.parquet", "data/{}-*.parquet", "{}-*.parquet")
HUB_FILES = [pattern.format(split) for split in SPLITS for pattern in SPLIT_FILES]

FINAL_ANSWER = re.compile(r"####\s*(-?[0-9][0-9,]*(?:\.[0-9]+)?)\s*\Z")


class DataError(Exception):
    """The data cannot be used: the text says which file, row and column, and what to do."""


def find_source(source: str | None) -> Path:
    """Return the folder that holds the two splits, downloading it if need be.

    Args:
        source: a folder, a data set's name on a hub, or None for GSM8K from wherever it can be had.

    Raises:
        DataError: if no place has it; the text names every place with its answer.
    """
    if source is not None and Path(source).is_dir():
        return Path(source)
    if source is not None and not re.fullmatch(r"[\w.-]+/[\w.-]+", source):
        raise DataError(
            f"--source {source}: no such folder. Give a folder with train.jsonl and test.jsonl (or .parquet), "
            f"or a hub's data set as owner/name; {SAMPLE} comes with the project."
        )
    if source is None and LOCAL_COPY.is_dir():
        return LOCAL_COPY

    hubs: list[tuple[str, Callable, str]] = [
        ("Hugging Face hub", from_hugging_face, source or HUGGING_FACE_ID),
        ("ModelScope", from_modelscope, source or MODELSCOPE_ID),
    ]
    local = f"folder {source}" if source else f"local copy {LOCAL_COPY}"
    answers = [f"{local}: no such folder"]
    for hub, download, repo_id in hubs:
        print(f"{hub}: {repo_id} ...", file=sys.stderr)
        try:
            return download(repo_id, kind="dataset", wanted=HUB_FILES)
        except HubError as error:
            answers.append(f"{hub}, {repo_id}: {error}")
    raise DataError(
        f"{source or 'GSM8K'} was found nowhere:\n"
        + "".join(f"  {answer}\n" for answer in answers)
        + "Download it on a machine with a network and pass its folder (train.jsonl and test.jsonl, or .parquet):\n"
        "  python data_prep/gsm8k.py --source FOLDER\n"
        "or use the 200 rows that come with the project:\n"
        f"  python data_prep/gsm8k.py --source {SAMPLE}"
    )


def read_split(folder: Path, split: str) -> Iterator[tuple[str, dict]]:
    """Yield (place, record) for each row of a split, the place as "<file>, row <n>", counted from 1.

    Raises:
        DataError: if the split has no file, or a file or one of its lines cannot be read.
    """
    for pattern in SPLIT_FILES:
        files = sorted(folder.glob(pattern.format(split)))
        if files:
            break
    else:
        raise DataError(f"{folder}: no {split}.jsonl or {split}.parquet in it. Give the folder that has both splits.")
    for file in files:
        yield from (_read_jsonl if file.suffix == ".jsonl" else _read_parquet)(file)


def _read_jsonl(file: Path) -> Iterator[tuple[str, dict]]:
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                place = f"{file}, row {number}"
                if not line.strip():
                    continue
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise DataError(
                        f"{place}: not valid JSON ({error}). Is the file truncated? Copy it again, or remove the row."
                    ) from error
                if not isinstance(record, dict):
                    raise DataError(
                        f"{place}: {type(record).__name__} instead of an object; "
                        'write {"question": "...", "answer": "..."}.'
                    )
                yield place, record
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}).") from error


def _read_parquet(file: Path) -> Iterator[tuple[str, dict]]:
    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file}: not readable as parquet ({error}). Copy it again.") from error
    for number, record in enumerate(table.to_pylist(), start=1):
        yield f"{file}, row {number}", record


def to_row(index: int, split: str, place: str, record: dict) -> dict:
    """Turn one record into a row in verl's schema; the ground truth is the number after ####, without commas.

    Raises:
        DataError: if a column is missing or not text, or the answer does not end in "#### <number>".
    """
    for column in COLUMNS:
        if column not in record:
            raise DataError(
                f"{place}: no column '{column}', only {', '.join(map(repr, record)) or 'none'}. "
                f"Rename or add the column; GSM8K has {' and '.join(COLUMNS)}."
            )
        value = record[column]
        if not isinstance(value, str):
            raise DataError(f"{place}, column '{column}': {type(value).__name__} instead of text. Make it a string.")
        if not value.strip():
            raise DataError(f"{place}, column '{column}': empty. Fill it in, or remove the row.")
        if re.search(r"[\ud800-\udfff]", value):
            raise DataError(f"{place}, column '{column}': half of a surrogate pair. Save the file as valid UTF-8.")
    final = FINAL_ANSWER.search(record["answer"])
    if final is None:
        raise DataError(
            f"{place}, column 'answer': does not end in '#### <number>' but in {record['answer'][-40:]!r}. "
            "Write the final answer as its last line, for example '#### 72'."
        )
    return make_row(
        data_source=DATA_SOURCE,
        messages=[{"role": "user", "content": f"{record['question']} {INSTRUCTION}"}],
        ability="math",
        ground_truth=final.group(1).replace(",", ""),
        extra_info={"split": split, "index": index, "question": record["question"], "answer": record["answer"]},
    )


def parse_split(folder: Path, split: str, limit: int | None) -> list[dict]:
    """Return a split's rows in verl's schema, the first ``limit`` of them.

    Raises:
        DataError: at the first row that cannot be used, or if there is none.
    """
    records = islice(read_split(folder, split), limit)
    rows = [to_row(index, split, place, record) for index, (place, record) in enumerate(records)]
    if not rows:
        raise DataError(f"{folder}: the {split} split has no rows. Copy it again.")
    return rows


def positive(text: str) -> int:
    """Parse a whole number above zero, for argparse."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above zero")
    return int(text)


def main() -> None:
    parser = argparse.ArgumentParser(prog="data_prep/gsm8k.py", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--source",
        help=f"folder with train.jsonl and test.jsonl (or .parquet), like {SAMPLE}, or a hub's owner/name",
    )
    parser.add_argument("--out", type=Path, default=Path("data/gsm8k"), help="folder for {train,test}.parquet")
    parser.add_argument("--limit", type=positive, help="keep only the first N rows of each split")
    args = parser.parse_args()
    try:
        folder = find_source(args.source)
        print(f"source: {folder}", file=sys.stderr)
        # Both splits are parsed before either is written, so that bad data leaves no half of a data set behind.
        parsed = {split: parse_split(folder, split, args.limit) for split in SPLITS}
    except DataError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    try:
        for split, rows in parsed.items():
            write_split(args.out, split, rows)
    except OSError as error:
        parser.exit(1, f"{parser.prog}: cannot write to {args.out}: {error}. Choose another folder with --out.\n")


if __name__ == "__main__":
    main()
