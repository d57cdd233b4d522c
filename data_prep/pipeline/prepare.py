"""Prepare a data set: find it, check it, and put finished files in place, or leave everything as it was."""

import contextlib
import fcntl
import os
import random
import shutil
import tempfile
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, islice, takewhile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_prep.pipeline import card, manifest
from data_prep.pipeline.answer_types import answer_type
from data_prep.pipeline.data_set import HALF_A_PAIR, REASONS, DataError, DataSet, Fault, Split
from data_prep.pipeline.engines import ENGINES
from data_prep.pipeline.findings import Findings, Policy
from data_prep.pipeline.overlap import HeldOut, repeated
from data_prep.pipeline.prompt_lengths import load_tokenizer, prompt_lengths
from data_prep.pipeline.records import Piece, pieces, place, read, reading
from data_prep.pipeline.shard import Form, Selection, Shard, Task, make_shard, problem_of, records
from data_prep.pipeline.sources import RAW, NoSuchSplitError, Source, find
from data_prep.pipeline.verl_parquet import ShardWriter

SHARD_ROWS = 500_000
# Files are put together if there are as many, and have fewer rows each.
MANY_PIECES, SMALL_PIECE = 10, 1000
# How many records are looked at for advice about their answers.
ADVISED_BY = 1000
PARTIAL = ".partial-"
UNFINISHED = "unfinished.json"


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    Attributes:
        data_set: which data set.
        out: the folder for its files.
        source: a file, folder or repository; None for wherever the data set can be had.
        splits: names of the parts to prepare.
        limit: how many records of each split at most; None for all.
        holdout: how many records of a single file become the held-out split.
        seed: chooses the held-out records, and makes a generated data set.
        form: what the prompts look like.
        policy: which faults leave a row out.
        engine: a name in ``ENGINES``.
        force: prepare again what is up to date.
        command: the command as the user gave it, for the manifest.
        options: what else decides the result, by name, for the manifest.
    """

    data_set: DataSet
    out: Path
    source: str | None
    splits: tuple[str, ...]
    limit: int | None
    holdout: int
    seed: int
    form: Form
    policy: Policy
    engine: str
    force: bool
    command: str
    options: dict[str, object]


@dataclass(frozen=True)
class Part:
    """A split with its files and what is read of them."""

    split: Split
    source: Source
    pieces: tuple[Piece, ...]
    selection: Selection | None


def prepare(request: Request) -> str:
    """Prepare the requested splits and return the data card, or one line if they are up to date.

    Raises:
        DataError: if something cannot be read or used; nothing is written then.
        OSError: if the output cannot be written.
    """
    if HALF_A_PAIR.search(str(request.out)):
        raise DataError(f"--out {ascii(str(request.out))}: its name is not UTF-8. Take another --out.")
    with reading(RAW if request.source is None else Path(request.source)):
        parts = _parts(request)
    wanted = [part for part in parts if part.split.name in request.splits]
    _refuse_own_source(request.out, parts)
    _refuse_foreign_files(request)
    sources = {part.split.name: manifest.describe_source(part.source) for part in parts}
    fingerprints = {name: _fingerprint(request, name, sources) for name in request.splits}
    if not request.force and _is_finished(request, parts, fingerprints):
        return f"{request.out}: up to date; --force prepares it again"

    if request.form.tokenizer:
        load_tokenizer(request.form.tokenizer)  # before the work, in case there is none
    held_out = _held_out(request, parts) if "train" in request.splits else None
    with _workplace(request.out) as work:
        done = {}
        # Held-out splits first: they are small, and what is wrong with them is known soon.
        for part in sorted(wanted, key=lambda part: not part.split.held_out):
            tasks = _tasks(request, part, None if part.split.held_out else held_out, work)
            done[part.split.name] = tasks, _make(request, part, tasks)
        _refuse_bad_rows(request, done)
        done = {name: (list(filter(_has_rows, tasks)), shard) for name, (tasks, shard) in done.items()}
        described = {
            name: {"command": request.command, "fingerprint": fingerprints[name], "source": sources[name]}
            | manifest.describe_split(tasks, shard, request.form)
            for name, (tasks, shard) in done.items()
        }
        content = manifest.content(request.data_set, request.out, described)
        text = card.write(content, work)
        manifest.write(content, work / manifest.NAME)
        manifest.write(content | {"splits": {}}, work / UNFINISHED)
        _publish(request.out, work, {name: [task.shard for task in tasks] for name, (tasks, _) in done.items()})
    return text


def _fingerprint(request: Request, split: str, sources: dict[str, dict]) -> str:
    """Return what a split is known by; the training split was compared with the others."""
    read = {name: source for name, source in sources.items() if split in (name, "train")}
    options = request.options
    if request.form.tokenizer:
        options = options | {"tokenizer_files": manifest.describe_tokenizer(request.form.tokenizer)}
    return manifest.fingerprint(request.data_set, read, options)


def _is_finished(request: Request, parts: Sequence[Part], fingerprints: dict[str, str]) -> bool:
    files = [file for part in parts for file in part.source.files]
    if request.data_set.image_column and any(file.suffix != ".parquet" for file in files):
        return False  # images in files of their own may have changed
    has_card = all((request.out / name).exists() for name in (card.NAME, card.PICTURE))
    return has_card and manifest.is_up_to_date(request.out, fingerprints)


def _refuse_own_source(out: Path, parts: Sequence[Part]) -> None:
    """Check that no source file can be replaced by an output file.

    Raises:
        DataError: if the output folder holds a source file.
    """
    for file in (file for part in parts for file in part.source.files):
        if out.resolve() in (file.parent.resolve(), file.resolve().parent):
            raise DataError(f"--out {out}: holds the source {file.name}, which could be replaced. Take another --out.")


def _refuse_foreign_files(request: Request) -> None:
    """Check that no file would be replaced that the user has from elsewhere.

    Raises:
        DataError: if the output folder has one and no manifest, unless the user forces it.
    """
    out = request.out
    if request.force or manifest.is_ours(out):
        return
    own = [out / name for name in (manifest.NAME, card.NAME, card.PICTURE) if (out / name).exists()]
    if found := [file for name in request.splits for file in _files_of(out, name)] + own:
        names = ", ".join(file.name for file in found)
        raise DataError(
            f"--out {out}: holds {names}, and no manifest.json that says that data_prep wrote it. "
            "Take another --out, or replace it with --force."
        )


def _files_of(out: Path, split: str) -> list[Path]:
    """Return the files in the output folder that are a split's by their names."""
    return [*out.glob(f"{split}.parquet"), *sorted(out.glob(f"{split}-?????-of-?????.parquet"))]


def _parts(request: Request) -> list[Part]:
    """Find the files of the requested splits, and of the held-out ones that the training split is compared with."""
    data_set, source = request.data_set, request.source
    if source is not None and Path(source).is_file():
        return _parts_of_one_file(request)
    if request.holdout:
        return _parts_of_one_split(request)
    parts = []
    for split in data_set.splits:
        if split.name not in request.splits and "train" not in request.splits:
            continue
        if data_set.generate is not None:
            parts.append(Part(split, Source("generated", "", Path(), ()), (), None))
            continue
        try:
            found = find(data_set, split, source)
        except NoSuchSplitError:
            if split.name in request.splits:
                raise
            continue
        parts.append(Part(split, found, tuple(p for file in found.files for p in pieces(file, SHARD_ROWS)), None))
    return parts


def _parts_of_one_file(request: Request) -> list[Part]:
    splits = [split for split in request.data_set.splits if request.holdout or split.name in request.splits]
    if not request.holdout and len(splits) > 1:
        names = " or ".join(f"--split {split.name}" for split in splits)
        raise DataError(
            f"--source {request.source}: one file cannot be {len(splits)} splits. Say which it is: {names}. "
            "Or hold some of its rows out: --holdout N, with data_prep/custom.py."
        )
    found = find(request.data_set, splits[0], request.source)
    if not request.holdout:
        return [Part(splits[0], found, tuple(pieces(found.files[0], SHARD_ROWS)), None)]
    return _holding_out(request, splits, found)


def _parts_of_one_split(request: Request) -> list[Part]:
    """Hold rows out of the training files of a folder or repository that has no others."""
    train, *others = sorted(request.data_set.splits, key=lambda split: split.held_out)
    for split in others:
        with contextlib.suppress(NoSuchSplitError):
            there = find(request.data_set, split, request.source)
            names = ", ".join(str(file.relative_to(there.root)) for file in there.files[:3])
            what = f"--holdout {request.holdout}: --source {request.source} is no file, and has a {split.name} split"
            raise DataError(f"{what} already ({names}). Give a file, or leave --holdout out.")
    return _holding_out(request, request.data_set.splits, find(request.data_set, train, request.source))


def _holding_out(request: Request, splits: Sequence[Split], found: Source) -> list[Part]:
    of_file = tuple(piece for file in found.files for piece in pieces(file, SHARD_ROWS))
    firsts = accumulate((piece.rows for piece in of_file), initial=0)
    numbers = (
        number - piece.first + first for piece, first in zip(of_file, firsts, strict=False) for number, _ in read(piece)
    )
    chosen, rows = _sample(numbers, request.holdout, request.seed)
    if request.holdout >= rows:
        has = f"{request.source} has {rows:,} row{'s' if rows != 1 else ''}, and one must be left to train on"
        raise DataError(f"--holdout {request.holdout}: {has}. Hold out fewer, or give a file with more.")
    return [Part(split, found, of_file, Selection(chosen, inside=split.held_out)) for split in splits]


def _sample(numbers: Iterable[int], count: int, seed: int) -> tuple[frozenset[int], int]:
    """Choose from any length of numbers, each with the same probability, and count them all (Vitter's Algorithm R)."""
    chosen: list[int] = []
    generator = random.Random(seed)
    seen = 0
    for seen, number in enumerate(numbers, start=1):
        if seen <= count:
            chosen.append(number)
        elif (replaced := generator.randrange(seen)) < count:
            chosen[replaced] = number
    return frozenset(chosen), seen


def _tasks(request: Request, part: Part, held_out: HeldOut | None, work: Path) -> list[Task]:
    """Return one task for each piece; with a limit, one for all, since it has to count."""
    held_out_of_file = part.selection is not None and part.selection.inside
    together = request.limit is not None or not part.pieces or held_out_of_file
    groups = [part.pieces] if together else _groups(part.pieces)
    first_rows = accumulate((sum(piece.rows for piece in group) for group in groups), initial=0)
    return [
        Task(
            data_set=request.data_set,
            split=part.split,
            pieces=group,
            first_row=first,
            take=request.limit,
            selection=part.selection,
            seed=request.seed,
            form=request.form,
            policy=request.policy,
            held_out=held_out,
            shard=work / f"{part.split.name}-{number:05}",
        )
        for number, (group, first) in enumerate(zip(groups, first_rows, strict=False))
    ]


def _groups(whole: Sequence[Piece]) -> list[tuple[Piece, ...]]:
    """Return the pieces of each task: one, but of many small files as many as are not too many rows."""
    if len(whole) < MANY_PIECES or sum(piece.rows for piece in whole) > len(whole) * SMALL_PIECE:
        return [(piece,) for piece in whole]
    groups: list[list[Piece]] = [[]]
    for piece in whole:
        if groups[-1] and sum(each.rows for each in groups[-1]) + piece.rows > SHARD_ROWS:
            groups.append([])
        groups[-1].append(piece)
    return [tuple(group) for group in groups]


def _held_out(request: Request, parts: Sequence[Part]) -> HeldOut | None:
    """Collect the problems that must not be trained on; None if there are no held-out splits."""
    tasks = [task for part in parts if part.split.held_out for task in _tasks(request, part, None, request.out)]
    problems = HeldOut(problem for task in tasks for problem in _problems(replace(task, take=None)))
    return problems if problems.names else None


def _problems(task: Task) -> Iterator[tuple[str, str, tuple[bytes, ...]]]:
    """Yield (name, question, images) of each problem; rows with faults are dealt with where the split is prepared."""
    for index, where, folder, record in records(task):
        with contextlib.suppress(Fault):
            problem, images = problem_of(task, where, record, folder)
            yield f"{task.split.name} row {index + 1}", problem.question, images


def _make(request: Request, part: Part, tasks: Sequence[Task]) -> Shard:
    """Make the shards of a split, without repeated prompts if these are to be left out, and join what was found."""
    whole = Shard()
    rows = []
    for shard in _with_progress(ENGINES[request.engine](make_shard, tasks), len(tasks), part.split.name):
        whole.rows_in += shard.rows_in
        whole.rows += shard.rows
        whole.findings.join(shard.findings)
        whole.lengths += shard.lengths
        whole.types += shard.types
        whole.example = whole.example or shard.example
        whole.columns = whole.columns or shard.columns
        rows.append(shard.rows)
    if not whole.rows_in:
        files = ", ".join(map(str, part.source.files))
        raise DataError(f"{files}: the {part.split.name} split has no rows. Give a file that has some.")
    _find_duplicates(tasks, rows, whole)
    return whole


def _with_progress(results: Iterator[Shard], total: int, name: str) -> Iterator[Shard]:
    """Show a progress bar on a terminal, for a split of several shards."""
    if total == 1:
        return results
    from rich.console import Console
    from rich.progress import track

    return track(results, total=total, description=name, console=Console(stderr=True))


def _find_duplicates(tasks: Sequence[Task], rows: Sequence[int], whole: Shard) -> None:
    """Note the rows whose prompt an earlier row has, and leave them out if that is the policy."""
    again, first = repeated([task.digests for task in tasks])
    if not len(again):
        return
    ends = list(accumulate(rows))
    policy = tasks[0].policy
    noted = Findings()
    truths = np.concatenate([np.fromfile(task.truths, "<i8") for task in tasks])
    leaving = []
    for position, original in zip(again.tolist(), first.tolist(), strict=True):
        reason = "duplicate" if truths[position] == truths[original] else "conflict"
        if reason in policy.drop:
            leaving.append(position)
        if noted.is_full(reason):
            noted.rows[reason] += 1
            continue
        index, original_index = (_index_of(tasks, ends, each) for each in (position, original))
        other = " and another ground truth" if reason == "conflict" else ""
        what = f"the same prompt as row {original_index + 1} of the split{other}"
        noted.add(reason, index, f"{_place_of(tasks, index)}: {what}")
    whole.findings.join(noted)
    again = np.array(leaving, np.int64)
    if leaving and not {"duplicate", "conflict"} & set(noted.forbidden(policy, whole.rows_in)):
        for number, task in enumerate(tasks):
            begin = ends[number] - rows[number]
            mine = again[(again >= begin) & (again < ends[number])] - begin
            if len(mine):
                _leave_out(task, mine, whole)


def _index_of(tasks: Sequence[Task], ends: Sequence[int], position: int) -> int:
    """Return the number within the source's split of the row at a position within the shards."""
    number = bisect_right(ends, position)
    offset = position - (ends[number - 1] if number else 0)
    return int(np.fromfile(tasks[number].indices, "<i8", 1, offset=8 * offset)[0])


def _place_of(tasks: Sequence[Task], index: int) -> str:
    first = 0
    for piece in (piece for task in tasks for piece in task.pieces):
        if index < first + piece.rows:
            return place(piece.file, index - first + piece.first)
        first += piece.rows
    return f"problem {index + 1}"


def _leave_out(task: Task, positions: np.ndarray, whole: Shard) -> None:
    """Write a shard again without the rows at these positions, and take them out of the counts."""
    smaller = task.shard.with_suffix(".smaller")
    begin = 0
    file = pq.ParquetFile(task.shard)
    with ShardWriter(smaller, file.schema_arrow) as writer:
        for batch in file.iter_batches(1000):
            leaving = np.isin(np.arange(begin, begin + batch.num_rows), positions)
            begin += batch.num_rows
            writer.write_table(pa.Table.from_batches([batch.filter(pa.array(~leaving))]))
            gone = batch.filter(pa.array(leaving)).to_pylist()
            whole.lengths -= Counter(prompt_lengths([row["prompt"] for row in gone], task.form.tokenizer))
            whole.types -= Counter(answer_type(row["reward_model"]["ground_truth"], row["data_source"]) for row in gone)
    whole.rows -= len(positions)
    smaller.replace(task.shard)


def _refuse_bad_rows(request: Request, done: dict[str, tuple[list[Task], Shard]]) -> None:
    """Check that nothing was found that the policy does not allow.

    Raises:
        DataError: with all that was found, and the option that leaves these rows out.
    """
    told, reasons = [], []
    for name, (tasks, shard) in done.items():
        forbidden = shard.findings.forbidden(request.policy, shard.rows_in)
        reasons += [reason for reason in forbidden if reason not in reasons]
        if forbidden:
            told.append(f"the {name} split has rows that cannot be used, nothing was written\n")
            told.append(shard.findings.listing(forbidden) + "\n")
            if {"conflict", "duplicate"} & set(forbidden) and len(shard.columns) > 2 and request.data_set.advise:
                names = ", ".join(map(repr, shard.columns[:20]))
                told.append(
                    f"  Does a part of the question stand in another column? There are {names}; "
                    "several are joined by --question-column FIRST SECOND.\n"
                )
            if "gold" in forbidden and request.data_set.advise:
                told.append(request.data_set.advise(record for *_, record in islice(records(tasks[0]), ADVISED_BY)))
        elif not shard.rows:
            told.append(f"the {name} split has no row left of {shard.rows_in:,}\n{shard.findings.listing(REASONS)}\n")
    if told:
        fix = f"or leave them out: --drop {','.join(reasons)}" if reasons else "or leave out less"
        raise DataError("".join(told) + f"Correct these rows, {fix}")


@contextlib.contextmanager
def _workplace(out: Path) -> Iterator[Path]:
    """Give a folder beside the final files, which is removed again; a second run on the same output is refused.

    Raises:
        DataError: if another run works on it.
        OSError: if the folder cannot be made.
    """
    new = list(takewhile(lambda folder: not folder.exists(), (out, *out.parents)))
    out.mkdir(parents=True, exist_ok=True)
    handle = os.open(out, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(f"{out}: another run is preparing it. Wait for it, or choose another --out.") from None
        except OSError:
            pass  # some network file systems cannot lock a folder
        else:
            for leftover in out.glob(f"{PARTIAL}*"):  # of a run that was killed
                shutil.rmtree(leftover, ignore_errors=True)
        work = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=out))
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)
    finally:
        os.close(handle)
        with contextlib.suppress(OSError):  # not empty: all went well
            for folder in new:
                folder.rmdir()


def _has_rows(task: Task) -> bool:
    """Say whether a shard may be a file: the library that verl reads with refuses a split that ends in an empty one."""
    return pq.read_metadata(task.shard).num_rows > 0


def _publish(out: Path, work: Path, shards: dict[str, list[Path]]) -> None:
    """Rename finished files into place. Until the manifest comes, which is last, one without splits says that the
    folder is not finished."""
    os.replace(work / UNFINISHED, out / manifest.NAME)
    for split, files in shards.items():
        names = manifest.file_names(split, len(files))
        for file, name in zip(files, names, strict=True):
            os.replace(file, out / name)
        for old in _files_of(out, split):
            if old.name not in names:
                old.unlink(missing_ok=True)
    for name in (card.PICTURE, card.NAME, manifest.NAME):
        os.replace(work / name, out / name)
