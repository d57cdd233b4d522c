"""Where a split's files are: a file, a folder, the local copy in data/raw, the Hugging Face hub, or ModelScope."""

import re
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from data_prep.pipeline.data_set import HALF_A_PAIR, DataError, DataSet, Split
from data_prep.pipeline.records import SUFFIXES, suffix
from grpo_launchpad.hubs import HubError, from_hugging_face, from_modelscope

ROOT = Path(__file__).resolve().parents[2]
RAW = ROOT / "data" / "raw"
SAMPLES = ROOT / "data_prep" / "samples"
REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")
# How people and both hubs lay out a split that a data set says nothing else about; the first that matches is taken.
PLAIN = [f"{{}}{suffix}" for suffix in SUFFIXES]
USUAL = [
    "data/{}-*.parquet",
    "{}-*.parquet",
    "*/{}-*.parquet",
    "{}/data-*-of-*.arrow",  # as the library datasets saves it
    "{}/*.parquet",  # as the hub converts it
    "*/{}/*.parquet",
    "data/{}.*",
    *(f"*[_.-]{{}}{kind}" for kind in (".jsonl", ".json", ".csv", ".parquet", ".tsv")),
    "{}/*.jsonl",
    "{}/**/*.json",  # one file a problem
]
NO_DATA = ("dataset_info.json", "state.json", "dataset_dict.json")


class NoSuchSplitError(DataError):
    """A folder has no file of the split."""


@dataclass(frozen=True)
class Source:
    """The files of one split, in the order in which they are read.

    Attributes:
        name: the folder or repository, for the manifest.
        revision: the repository's commit, "" if it is not known or there is none.
        root: the folder that the files' names are told from.
    """

    name: str
    revision: str
    root: Path
    files: tuple[Path, ...]


def find(data_set: DataSet, split: Split, source: str | None) -> Source:
    """Return the files of a split under its own name, else under one of its other names, which is told."""
    try:
        return _find(data_set, split, source)
    except NoSuchSplitError:
        for name in data_set.other_splits.get(split.name, ()):
            try:
                found = _find(data_set, replace(split, name=name), source)
            except NoSuchSplitError:
                continue
            print(f"{split.name}: the {name} split of {source} is taken", file=sys.stderr)
            return found
        raise


def _find(data_set: DataSet, split: Split, source: str | None) -> Source:
    """Return the files of a split, downloading them if need be.

    Args:
        data_set: the data set.
        split: which part of it.
        source: a file, a folder, a repository on a hub, or None for the data set from wherever it can be had.

    Raises:
        DataError: if no place has it; the text names every place with its answer.
    """
    if source is not None and Path(source).is_file():
        return Source(source, "", Path(source).parent, (_known(Path(source)),))
    if source is not None and Path(source).is_dir():
        return Source(source, "", Path(source), _files_in(Path(source), split))
    if source is not None and not REPOSITORY.fullmatch(source):
        raise DataError(f"--source {source}: no such file or folder. {_what_to_give(data_set)}")
    local = RAW / data_set.name
    if source is None and local.is_dir():
        return Source(f"data/raw/{data_set.name}", "", local, _files_in(local, split))
    return _from_a_hub(data_set, split, source)


def _from_a_hub(data_set: DataSet, split: Split, source: str | None) -> Source:
    hubs: list[tuple[str, Callable, str]] = [
        ("Hugging Face hub", from_hugging_face, source or split.hugging_face),
        ("ModelScope", from_modelscope, source or split.modelscope),
    ]
    answers = [f"folder {source}: no such folder"] if source else [f"local copy {RAW / data_set.name}: no such folder"]
    for hub, download, repository in hubs:
        if not repository:
            answers.append(f"{hub}: does not have it")
            continue
        print(f"{hub}: {repository} ...", file=sys.stderr)
        try:
            folder = download(repository, kind="dataset", wanted=_layouts(split, published=source is None))
        except HubError as error:
            answers.append(f"{hub}, {repository}: {error}")
            continue
        revision = folder.name if re.fullmatch(r"[0-9a-f]{40}", folder.name) else ""
        return Source(repository, revision, folder, _files_in(folder, split))
    found_nowhere = f"{source or data_set.title} was found nowhere:\n" + "".join(f"  {answer}\n" for answer in answers)
    raise DataError(f"{found_nowhere}Download it on a machine with a network. {_what_to_give(data_set)}")


def _files_in(folder: Path, split: Split) -> tuple[Path, ...]:
    next(folder.iterdir(), None)  # raises if the folder may not be read; glob would find nothing
    plain = [name for layout in PLAIN if (folder / (name := layout.format(split.name))).exists()]
    if len(plain) > 1:
        what = f"{folder}: holds {' and '.join(plain)}, and one file is read"
        raise DataError(f"{what}. Move the others away, or name it: --source {folder / plain[0]} --split {split.name}.")
    for layout in _layouts(split):
        if files := sorted((file for file in folder.glob(layout) if file.name not in NO_DATA), key=_in_order):
            _check_complete(files)
            return tuple(map(_known, files))
    saved_alone = split.name == "train" and (folder / "state.json").is_file()  # by the library datasets
    if saved_alone and (files := sorted(folder.glob("data-*-of-*.arrow"))):
        _check_complete(files)
        return tuple(map(_known, files))
    kinds = ", ".join(SUFFIXES[1:])
    there = sorted(file.name for file in folder.iterdir())
    holds = f" It holds {', '.join(there[:5])}{', ...' if len(there) > 5 else ''}." if there else ""
    raise NoSuchSplitError(
        f"{folder}: no {split.name}.jsonl in it (nor {kinds}).{holds} Give the folder or the file that has it, or name "
        "the split that this one has with --split."
    )


def _in_order(file: Path) -> list:
    """Return what sorts 2.json before 10.json."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", str(file))]


def _check_complete(files: Sequence[Path]) -> None:
    """Check that of files numbered "-00000-of-00003" none is missing.

    Raises:
        DataError: if one is.
    """
    there: dict[tuple[Path, str, str], set[int]] = defaultdict(set)
    for file in files:
        if numbered := re.match(r"(.*)-([0-9]{5})-of-([0-9]{5})", file.name):
            prefix, number, count = numbered.groups()
            there[file.parent, prefix, count].add(int(number))
    for (folder, prefix, count), numbers in there.items():
        for number in sorted(set(range(int(count))) - numbers)[:1]:
            name = folder / f"{prefix}-{number:05}-of-{count}{files[0].suffix}"
            raise DataError(f"{name}: missing, of {count.lstrip('0')} files. Copy it as well.")


def _layouts(split: Split, published: bool = False) -> list[str]:
    """Return where a split's files may lie; of the data set as it was published, no more than is known."""
    usual = [] if published and split.files else USUAL
    return [layout.format(split.name) for layout in (*PLAIN, *split.files, *usual)]


def _known(file: Path) -> Path:
    if not file.is_file():
        raise DataError(f"{file}: not a file. Give a file or a folder of files.")
    if HALF_A_PAIR.search(str(file)):
        raise DataError(f"{ascii(str(file))}: its name is not UTF-8. Rename it.")
    if suffix(file) not in SUFFIXES:
        raise DataError(
            f"{file}: a {file.suffix or 'file without suffix'} is not read here. Give {', '.join(SUFFIXES)}."
        )
    return file


def _what_to_give(data_set: DataSet) -> str:
    """Return what --source takes, with the sample that comes with the project if there is one."""
    files = " and ".join(f"{split.name}.jsonl" for split in data_set.splits)
    give = f"Give --source a folder with {files} (or .parquet, .json, .csv), a file, or a hub's owner/name"
    if (SAMPLES / data_set.name).is_dir():
        give += f"; --source data_prep/samples/{data_set.name} comes with the project"
    return f"{give}."
