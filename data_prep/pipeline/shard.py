"""One parquet file out of one piece of a source: the unit of work that every engine runs."""

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

from data_prep.pipeline.answer_types import answer_type
from data_prep.pipeline.data_set import DataError, DataSet, Fault, Problem, Split
from data_prep.pipeline.findings import Findings, Policy
from data_prep.pipeline.golds import MATHEMATICS, choice_fault, gold_fault
from data_prep.pipeline.images import check_marks, image_bytes
from data_prep.pipeline.overlap import HeldOut, digest
from data_prep.pipeline.prompt_lengths import prompt_lengths
from data_prep.pipeline.records import Piece, place, read
from data_prep.pipeline.templates import PLAIN, TEMPLATES, Template
from data_prep.pipeline.texts import chat_markers, wrong_encoding
from data_prep.pipeline.verl_parquet import ShardWriter, is_prepared, make_row, schema_of

BATCH = 1000
BATCH_BYTES = 32 << 20


@dataclass(frozen=True)
class Form:
    """What the prompts of a run look like.

    Attributes:
        template: a name in ``TEMPLATES``, or None for a data set whose question is the whole prompt.
        system_prompt: instead of the template's own.
        tokenizer: measures prompts, through its chat template.
        max_prompt_tokens: what counts as too long.
    """

    template: str | None = None
    system_prompt: str | None = None
    tokenizer: str | None = None
    max_prompt_tokens: int | None = None

    @property
    def words(self) -> Template:
        return TEMPLATES[self.template] if self.template else PLAIN


@dataclass(frozen=True)
class Selection:
    """Some records of a split's files: those with these numbers, or all others."""

    numbers: frozenset[int]
    inside: bool

    def __contains__(self, number: int) -> bool:
        return (number in self.numbers) == self.inside


@dataclass(frozen=True)
class Task:
    """One piece of a split, and all that is needed to make a shard of it on any machine that sees the files.

    Attributes:
        data_set: the data set.
        split: the part of it.
        pieces: what to read.
        first_row: the number of the first record within the split.
        take: how many records at most; None for all.
        selection: which records; None for all.
        seed: for a data set that is generated.
        form: what the prompts look like.
        policy: which faults leave a row out.
        held_out: problems that must not occur; None for a held-out split itself.
        shard: where to write.
    """

    data_set: DataSet
    split: Split
    pieces: tuple[Piece, ...]
    first_row: int
    take: int | None
    selection: Selection | None
    seed: int
    form: Form
    policy: Policy
    held_out: HeldOut | None
    shard: Path

    @property
    def digests(self) -> Path:
        """Where the digests of the shard's prompts go, in the order of its rows, as little-endian 64-bit integers."""
        return self.shard.with_suffix(".digests")

    @property
    def indices(self) -> Path:
        """Where the rows' numbers within the split go, likewise."""
        return self.shard.with_suffix(".indices")

    @property
    def truths(self) -> Path:
        """Where the digests of the rows' ground truths go, likewise."""
        return self.shard.with_suffix(".truths")


@dataclass
class Shard:
    """What a task made. Lengths and types are counted over the rows that are in it.

    Attributes:
        columns: those of the first record.
    """

    rows_in: int = 0
    rows: int = 0
    findings: Findings = field(default_factory=Findings)
    lengths: Counter[int] = field(default_factory=Counter)
    types: Counter[str] = field(default_factory=Counter)
    example: dict | None = None
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """A record that could be read, on its way to become a row."""

    index: int
    place: str
    problem: Problem
    images: tuple[bytes, ...]
    row: dict


def make_shard(task: Task) -> Shard:
    """Read, check and write one piece. Nothing is left out silently: see ``Shard.findings``.

    Raises:
        DataError: for a record that cannot be read or has the wrong columns or types, or if the scorer cannot read
            answers in the template's form.
        OSError: if the shard cannot be written.
    """
    shard = Shard()
    source = task.split.data_source
    with (
        ShardWriter(task.shard, schema_of(task.data_set)) as writer,
        task.digests.open("wb") as digests,
        task.indices.open("wb") as indices,
        task.truths.open("wb") as truths,
    ):
        candidates = _candidates(task, shard)
        while batch := _batch(candidates):
            batch = _with_good_gold(batch, task, shard.findings)
            if batch and shard.rows == 0 and "gold" not in task.policy.keep:
                _check_template(batch[0], task)
            lengths = prompt_lengths([candidate.row["prompt"] for candidate in batch], task.form.tokenizer)
            kept = [
                (candidate, length)
                for candidate, length in zip(batch, lengths, strict=True)
                if _short_enough(candidate, length, task, shard.findings) and _is_new(candidate, task, shard.findings)
            ]
            if kept and shard.example is None:
                shard.example = kept[0][0].row
            writer.write([candidate.row for candidate, _ in kept])
            array("q", (digest(each.problem.question, each.images) for each, _ in kept)).tofile(digests)
            array("q", (each.index for each, _ in kept)).tofile(indices)
            array("q", (digest(str(each.problem.ground_truth)) for each, _ in kept)).tofile(truths)
            shard.rows += len(kept)
            shard.lengths.update(length for _, length in kept)
            shard.types.update(answer_type(candidate.problem.ground_truth, source) for candidate, _ in kept)
    return shard


def records(task: Task) -> Iterator[tuple[int, str, Path, dict]]:
    """Yield (number within the split, place for messages, folder, record) for each record of a task."""
    if task.data_set.generate is not None:
        everything = (
            (number, f"problem {number + 1}", Path(), record)
            for number, record in enumerate(task.data_set.generate(task.split.name, task.seed))
        )
    else:
        everything = chain.from_iterable(_of_piece(piece, first) for piece, first in _numbered(task))
    chosen = (item for item in everything if task.selection is None or item[0] in task.selection)
    return islice(chosen, task.take)


def problem_of(task: Task, where: str, record: dict, folder: Path) -> tuple[Problem, tuple[bytes, ...]]:
    """Read one record and its images.

    Raises:
        DataError: with the place, if the columns or types are wrong.
        Fault: if the content is.
    """
    column = task.data_set.image_column
    if is_prepared(record) and not task.data_set.reads_prepared:
        fix = "Give --source the data set as it was published, or give this file to a launcher: data.train_files=..."
        raise DataError(f"{where}: already prepared for verl. {fix}")
    try:
        problem = task.data_set.to_problem(record)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
    if column is None:
        return problem, ()
    try:
        images = tuple(image_bytes(image, folder) for image in problem.images)
    except DataError as error:
        raise DataError(f"{where}, column '{column}': {error}") from error
    except Fault as fault:
        raise Fault(fault.reason, f"column '{column}': {fault}") from fault
    return problem, images


def _numbered(task: Task) -> Iterator[tuple[Piece, int]]:
    first = task.first_row
    for piece in task.pieces:
        yield piece, first
        first += piece.rows


def _of_piece(piece: Piece, first: int) -> Iterator[tuple[int, str, Path, dict]]:
    for number, record in read(piece):
        yield number - piece.first + first, place(piece.file, number), piece.file.parent, record


def _candidates(task: Task, shard: Shard) -> Iterator[Candidate]:
    for index, where, folder, record in records(task):
        shard.rows_in += 1
        shard.columns = shard.columns or tuple(record)
        try:
            problem, images = problem_of(task, where, record, folder)
            row = _row(task, index, problem, images)
        except Fault as fault:
            if fault.reason in task.policy.keep:
                fix = f"A row like this cannot be kept; leave it out with --drop {fault.reason}."
                raise DataError(f"{where}: {fault} {fix}") from fault
            shard.findings.add(fault.reason, index, f"{where}: {fault}")
            continue
        dropped = False
        for reason, what in _doubts(problem):
            if not dropped:
                shard.findings.add(reason, index, f"{where}: {what}")
            dropped = dropped or reason in task.policy.drop
        if not dropped:
            yield Candidate(index, where, problem, images, row)


def _doubts(problem: Problem) -> Iterator[tuple[str, str]]:
    """Yield (reason, what) of what speaks against a row that could be written."""
    if what := chat_markers(problem.question):
        yield "markers", what
    truth = problem.ground_truth
    if what := wrong_encoding(problem.question) or (isinstance(truth, str) and wrong_encoding(truth)):
        yield "encoding", what
    yield from problem.doubts.items()


def _row(task: Task, index: int, problem: Problem, images: tuple[bytes, ...]) -> dict:
    words = PLAIN if problem.whole_prompt else task.form.words
    row = make_row(
        data_source=task.split.data_source,
        messages=words.messages(problem.question, task.data_set.boxed, task.form.system_prompt, problem.system),
        ability=task.data_set.ability,
        ground_truth=problem.ground_truth,
        extra_info={"split": task.split.name, "index": index, **problem.extra},
    )
    if task.data_set.image_column:
        check_marks("".join(message["content"] for message in row["prompt"]), len(images))
        row["images"] = [{"bytes": image, "path": None} for image in images]
    return row


def _batch(candidates: Iterator[Candidate]) -> list[Candidate]:
    """Take the next candidates: a thousand, or fewer if their images are large."""
    batch, size = [], 0
    for candidate in candidates:
        batch.append(candidate)
        size += sum(map(len, candidate.images))
        if len(batch) == BATCH or size >= BATCH_BYTES:
            break
    return batch


def _with_good_gold(batch: Sequence[Candidate], task: Task, findings: Findings) -> list[Candidate]:
    """Leave out the candidates whose ground truth the task's own scorer does not judge as it should."""
    from reward_score.self_test import Row, self_test, shown

    source = task.split.data_source
    truths = [each.problem.ground_truth for each in batch]
    bad = {
        number: f"{shown(truth)}: {what}"
        for number, truth in enumerate(truths)
        if isinstance(truth, str) and (what := _unequal(source, truth))
    }
    result = self_test([Row(number, source, truth) for number, truth in enumerate(truths) if number not in bad])
    bad |= {failure.number: f"{failure.gold}: {failure.reason}" for failure in result.failures}
    for number, failure in sorted(bad.items()):
        message = f"{batch[number].place}: the scorer of {source!r} fails on the ground truth {failure}"
        findings.add("gold", batch[number].index, message)
    if "gold" in task.policy.keep:
        return list(batch)
    return [candidate for number, candidate in enumerate(batch) if number not in bad]


def _unequal(source: str, truth: str) -> str | None:
    """Say why a right answer would not be taken for this ground truth, None if nothing speaks against it."""
    from reward_score import compute_score
    from reward_score.data_sources import SCORERS
    from reward_score.self_test import as_response

    if SCORERS[source] == "multiple_choice":
        return choice_fault(truth)
    if SCORERS[source] not in MATHEMATICS:
        return None
    return gold_fault(truth, lambda answer: compute_score(source, as_response(source, answer), truth)["acc"] == 1.0)


def _check_template(candidate: Candidate, task: Task) -> None:
    """Check that the scorer reads an answer in the form that the prompt asks for.

    Raises:
        DataError: naming the templates that do.
    """
    from reward_score import compute_score
    from reward_score.data_sources import SCORERS
    from reward_score.self_test import UNTESTABLE

    source, truth = task.split.data_source, candidate.problem.ground_truth
    if (
        task.form.template is None
        or candidate.problem.whole_prompt
        or not isinstance(truth, str)
        or SCORERS[source] in UNTESTABLE
    ):
        return

    def reads(template: Template) -> bool:
        return compute_score(source, template.respond(truth, task.data_set.boxed), truth)["acc"] == 1.0

    if not reads(task.form.words):
        fitting = ", ".join(name for name, template in TEMPLATES.items() if reads(template)) or "none"
        raise DataError(
            f"--template {task.form.template}: the scorer of {source!r} does not read an answer in this form. "
            f"Templates that it reads: {fitting}."
        )


def _short_enough(candidate: Candidate, length: int, task: Task, findings: Findings) -> bool:
    longest = task.form.max_prompt_tokens
    if longest is None or length <= longest:
        return True
    findings.add("long", candidate.index, f"{candidate.place}: {length:,} tokens")
    return "long" in task.policy.keep


def _is_new(candidate: Candidate, task: Task, findings: Findings) -> bool:
    """Say whether the problem may be trained on: it is not one of the held-out ones."""
    if task.held_out is None:
        return True
    question = candidate.problem.question
    if name := task.held_out.same(question, candidate.images):
        findings.add("overlap", candidate.index, f"{candidate.place}: the same problem as {name}")
        return "overlap" in task.policy.keep
    if not candidate.images and (found := task.held_out.nearly(question)):
        name, share = found
        findings.add("near-overlap", candidate.index, f"{candidate.place}: has {share:.0%} of {name}")
        return "near-overlap" in task.policy.keep
    return True
