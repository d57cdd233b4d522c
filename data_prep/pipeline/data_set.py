"""What a module of data_prep says about its data set, and the ways in which a record can be unusable."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

HALF_A_PAIR = re.compile("[\ud800-\udfff]")


class DataError(Exception):
    """The data cannot be prepared: the text says which file, row and column, and what to do."""


class Fault(Exception):
    """What is wrong with the content of one record.

    Attributes:
        reason: one of ``REASONS``; what happens to such rows is decided by it.
    """

    def __init__(self, reason: str, what: str):
        super().__init__(what)
        self.reason = reason


# Why a row may be left out -> what it means. The first that applies to a row is the one that counts.
REASONS = {
    "empty": "a text that must not be empty is",
    "prompt": "the prompt's messages are not one question",
    "gold": "the ground truth cannot be read, or its own scorer does not give it full marks",
    "markers": "marks of a chat template stand in the question, and the model would see them twice",
    "encoding": "the text was read in a wrong encoding",
    "unused": "a column that is not taken seems to belong to the question",
    "image": "an image cannot be read, or is missing",
    "long": "the prompt has more tokens than --max-prompt-tokens",
    "conflict": "an earlier row has the same prompt and another ground truth",
    "duplicate": "an earlier row has the same prompt",
    "overlap": "the prompt is in a held-out split as well",
    "near-overlap": "nearly all of a held-out prompt is in this one",
}


@dataclass(frozen=True)
class Problem:
    """One record in the terms of this project.

    Attributes:
        question: what is asked, without any instruction about the form of the answer; ``<image>`` marks where an image
            belongs.
        ground_truth: what the scorer compares with: a text, or for some tasks several by name.
        extra: further values to keep, of the types that the data set declares.
        images: each a path relative to the record's file, the image's bytes, or a mapping with ``bytes`` or ``path``.
        system: the system message that the record has, "" for none; it stands before that of the template.
        whole_prompt: whether the question is the whole prompt, with its instruction, so that no template is added.
        doubts: reason -> what speaks against a row that could be written.
    """

    question: str
    ground_truth: str | dict[str, str]
    extra: Mapping[str, object] = field(default_factory=dict)
    images: tuple[object, ...] = ()
    system: str = ""
    whole_prompt: bool = False
    doubts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Split:
    """One part of a data set; it becomes ``<name>.parquet``.

    Attributes:
        name: ``train`` or the name of a held-out part.
        data_source: routes the rows to their scorer, see ``reward_score.data_sources``.
        hugging_face: the repository on the Hugging Face hub, "" if there is none.
        modelscope: the repository on ModelScope, "" if there is none.
        files: where the split's files lie in these repositories, as glob patterns; the first that matches is taken.
    """

    name: str
    data_source: str
    hugging_face: str = ""
    modelscope: str = ""
    files: tuple[str, ...] = ()

    @property
    def held_out(self) -> bool:
        """Whether no problem of this split may be trained on."""
        return self.name != "train"


@dataclass(frozen=True)
class DataSet:
    """A data set that can be prepared.

    Attributes:
        name: the folder below ``data/`` and ``data/raw/``; also that of the module and of its sample.
        title: its name as people know it, with what it is.
        homepage: where it comes from.
        licence: under which it may be used.
        splits: its parts, in the order in which they are listed.
        to_problem: reads one record. Raises ``Fault`` for content that cannot be used, and ``DataError`` for a record
            without the right columns.
        templates: the templates of ``templates.TEMPLATES`` that its scorer reads, the default first; none if the
            question alone is the prompt.
        boxed: whether its scorer wants a box around an answer that stands between tags.
        ability: verl's word for the kind of task.
        extra: name -> type of each value of ``Problem.extra``.
        truth_fields: the names within a ground truth that is not a text; as a mapping, with their types.
        image_column: the column that its problems' images come from; None if they have none.
        generate: makes the records of a split from (split's name, seed), for a data set that is not read from files.
        drop: reason -> the largest share of rows that may be left out for it without being asked: known faults of the
            published data.
        keep: reasons that are reported and leave no row out.
        reads_prepared: whether its records may be rows that are prepared for verl already.
        other_splits: a split's name -> other names of it, for a folder that has no file of its own name.
        advise: what to do about bad ground truths, told from the split's first records.
    """

    name: str
    title: str
    homepage: str
    licence: str
    splits: tuple[Split, ...]
    to_problem: Callable[[dict], Problem]
    templates: tuple[str, ...] = ()
    boxed: bool = False
    ability: str = "math"
    extra: Mapping[str, type] = field(default_factory=dict)
    truth_fields: tuple[str, ...] | Mapping[str, object] = ()
    image_column: str | None = None
    generate: Callable[[str, int], Iterator[dict]] | None = None
    drop: Mapping[str, float] = field(default_factory=dict)
    keep: tuple[str, ...] = ("long",)
    reads_prepared: bool = False
    other_splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    advise: Callable[[Iterable[dict]], str] | None = None


def column(record: Mapping[str, object], *names: str) -> tuple[str, object]:
    """Return (name, value) of the first of these columns that the record has.

    Raises:
        DataError: if it has none of them.
    """
    for name in names:
        if name in record:
            return name, record[name]
    fix = "Rename it, or take data_prep/custom.py, which is told the names: --question-column, --answer-column."
    raise no_column(record, names, fix)


def no_column(record: Mapping[str, object], names: Sequence[str], fix: str) -> DataError:
    """Return the error that a record has none of these columns."""
    wanted = " or ".join(map(repr, names))
    has = ", ".join(map(repr, list(record)[:20])) or "none"
    return DataError(f"no column {wanted}, only {has}. {fix}")


def text(record: Mapping[str, object], *names: str) -> str:
    """Return the text in the first of these columns that the record has.

    Raises:
        DataError: if there is no such column, or its value is no text.
        Fault: if the text is empty.
    """
    name, value = column(record, *names)
    if value is None:
        raise Fault("empty", f"column '{name}': null. Fill it in.")
    if not isinstance(value, str):
        raise DataError(f"column '{name}': {type(value).__name__} instead of text. Make it a string.")
    if not value.strip():
        raise Fault("empty", f"column '{name}': empty. Fill it in.")
    if HALF_A_PAIR.search(value):
        raise DataError(f"column '{name}': half of a surrogate pair. Save the file as valid UTF-8.")
    return value


def number_or_text(record: Mapping[str, object], *names: str) -> str:
    """Return a short answer as text; a whole number may be stored as one, even as 142.0.

    Raises:
        DataError, Fault: as ``text``; a fault if the number is not finite.
    """
    name, value = column(record, *names)
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, list | dict | bool):
        kind = f"a list of {len(value)}" if isinstance(value, list) else type(value).__name__
        raise Fault("gold", f"column '{name}': {kind} instead of a text or number. Write the answer as text.")
    if isinstance(value, int | float):
        if value != value or value in (float("inf"), float("-inf")):
            raise Fault("gold", f"column '{name}': {value} is no answer.")
        return str(int(value)) if value == int(value) else repr(value)
    return text({name: value}, name).strip()
