"""Records of JSON Lines, JSON, CSV, Arrow and parquet files, in pieces that can be read side by side."""

import codecs
import csv
import gzip
import io
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_prep.pipeline.data_set import DataError

SUFFIXES = (".jsonl", ".parquet", ".json", ".csv", ".tsv", ".arrow", ".jsonl.gz", ".json.gz", ".csv.gz", ".tsv.gz")
BLOCK = 1 << 20
# Encoding -> its script's most frequent characters, which another encoding's bytes rarely give.
EAST_ASIAN = {
    "gb18030": frozenset(
        "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面"
        "而方后多定行学法所民得经几本数少题求答元共每么，。？（）：；、"
    ),
    "big5": frozenset(
        "的一是在不了有和人這中大為上個國我以要他時來用們生到作地於出就分對成會可主發年動同工也能下過子說產種面"
        "而方後多定行學法所民得經幾本數少題求答元共每麼，。？（）：；、"
    ),
    "shift_jis": frozenset(map(chr, range(0x3041, 0x30FF))) | frozenset("、。"),
    "euc_kr": frozenset("이다는을가에의하고를은한있지로도기사서어수나자대리인시것정해그만라들일과부여보니게았었개명몇"),
}
# More than any question, so that a cell with a whole file in it is named instead of filling the memory.
LONGEST_RECORD = 32 << 20
TOO_LONG = "longer than 32 MiB. Is a whole file in a cell, or a line break missing? Correct it, or remove the row."


@dataclass(frozen=True)
class Piece:
    """Consecutive records of one file.

    Attributes:
        file: where they are.
        first: the number of the first record within the file, from 0. Blank lines of JSON Lines count as records that
            are not there.
        rows: how many there are.
        begin, end: what is read: bytes of JSON Lines, row groups of parquet, nothing of the other kinds.
    """

    file: Path
    first: int
    rows: int
    begin: int = 0
    end: int = 0


def pieces(file: Path, rows: int) -> list[Piece]:
    """Split a file into pieces of about this many rows. JSON and CSV files stay whole.

    Raises:
        DataError: if the file cannot be read.
    """
    with reading(file):
        _refuse_what_only_has_the_name(file)
        kind = suffix(file)
        if kind == ".jsonl":
            return list(_jsonl_pieces(file, rows))
        if kind == ".parquet":
            return list(_parquet_pieces(file, rows))
        if kind == ".jsonl.gz":
            with _lines(file) as stream:
                return [Piece(file, 0, sum(1 for _ in stream))]
        return [Piece(file, 0, sum(1 for _ in READERS[kind](Piece(file, 0, 0))))]


def suffix(file: Path) -> str:
    """Return the suffix that says how a file is read, with that of compression."""
    return "".join(file.suffixes[-2:]) if file.suffix == ".gz" else file.suffix


def read(piece: Piece) -> Iterator[tuple[int, dict]]:
    """Yield (number within the file, from 0, record) for each record of a piece.

    Raises:
        DataError: if the file or one of its records cannot be read.
    """
    with reading(piece.file):
        for number, record in READERS[suffix(piece.file)](piece):
            if any(isinstance(cell, str) and len(cell) > LONGEST_RECORD for cell in record.values()):
                raise DataError(f"{place(piece.file, number)}: {TOO_LONG}")
            yield number, record


def place(file: Path, number: int) -> str:
    """Return how messages name a record."""
    return f"{file}, row {number + 1}"


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Turn what the operating system or pyarrow says into a ``DataError`` that names the file."""
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{file}: not readable as gzip ({error}). Copy it again.") from error
    except pa.ArrowException as error:
        raise DataError(f"{file}: not readable as parquet ({error}). Copy it again.") from error
    except OSError as error:
        if error.errno is None:  # pyarrow's, about what it read
            raise DataError(f"{file}: not readable as parquet ({error}). Copy it again.") from error
        raise DataError(f"{error.filename or file}: cannot be read ({error.strerror}).") from error


def _jsonl_pieces(file: Path, rows: int) -> Iterator[Piece]:
    first = begin = offset = seen = 0
    last_byte = b""
    with file.open("rb") as stream:
        while block := stream.read(BLOCK):
            at = 0
            while (wanted := first + rows - seen) <= block.count(b"\n", at):
                for _ in range(wanted):
                    at = block.index(b"\n", at) + 1
                seen = first + rows
                yield Piece(file, first, rows, begin, offset + at)
                first, begin = seen, offset + at
            seen += block.count(b"\n", at)
            offset += len(block)
            last_byte = block[-1:]
    if begin < offset:
        yield Piece(file, first, seen - first + (last_byte != b"\n"), begin, offset)


def _parquet_pieces(file: Path, rows: int) -> Iterator[Piece]:
    metadata = _parquet(file).metadata
    first = begin = collected = 0
    for group in range(metadata.num_row_groups):
        collected += metadata.row_group(group).num_rows
        if collected >= rows or group == metadata.num_row_groups - 1:
            yield Piece(file, first, collected, begin, group + 1)
            first, begin, collected = first + collected, group + 1, 0


def _read_jsonl(piece: Piece) -> Iterator[tuple[int, dict]]:
    with _lines(piece.file) as stream:
        stream.seek(piece.begin)
        for number in range(piece.first, piece.first + piece.rows):
            line = stream.readline(LONGEST_RECORD)
            if len(line) == LONGEST_RECORD:
                raise DataError(f"{place(piece.file, number)}: {TOO_LONG}")
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except UnicodeDecodeError as error:
                what = f"byte {error.start + 1} is not UTF-8. {_recode(piece.file)}"
                raise DataError(f"{place(piece.file, number)}: {what}") from error
            except (ValueError, RecursionError) as error:
                what = f"not valid JSON ({error}). Is the file truncated? Copy it again, or remove the row."
                raise DataError(f"{place(piece.file, number)}: {what}") from error
            if not isinstance(record, dict):
                raise DataError(
                    f"{place(piece.file, number)}: {type(record).__name__} instead of an object; write one object with "
                    'named columns a line, such as {"question": "...", "answer": "..."}.'
                )
            yield number, record


def _read_parquet(piece: Piece) -> Iterator[tuple[int, dict]]:
    number = piece.first
    for batch in _parquet(piece.file).iter_batches(1024, row_groups=range(piece.begin, piece.end)):
        for record in _rows_of(batch, piece.file, number):
            yield number, record
            number += 1


def _rows_of(batch: pa.RecordBatch, file: Path, first: int) -> list[dict]:
    try:
        rows = batch.to_pylist()
    except (ValueError, OverflowError) as error:  # a text that is not UTF-8, a date that Python does not have
        if batch.num_rows > 1:  # look for the row
            half = batch.num_rows // 2
            return _rows_of(batch[:half], file, first) + _rows_of(batch[half:], file, first + half)
        what = "a text is not UTF-8" if isinstance(error, UnicodeDecodeError) else "a value cannot be read"
        raise DataError(f"{place(file, first)}: {what} ({error}). Write the file anew.") from error
    for column in batch.schema:
        if pa.types.is_float16(column.type) or pa.types.is_float32(column.type):  # 0.1 became 0.10000000149011612
            for row in rows:
                if row[column.name] is not None:
                    row[column.name] = float(str(np.float32(row[column.name])))
    return rows


def _lines(file: Path) -> BinaryIO:
    """Open a file, or what it holds compressed."""
    return gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb")


def _refuse_what_only_has_the_name(file: Path) -> None:
    """Check that a file is not what stands in for it where a download did not bring it.

    Raises:
        DataError: if it is.
    """
    with file.open("rb") as stream:
        head = stream.read(512).lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if head.startswith(b"version https://git-lfs"):
        raise DataError(f"{file}: a Git LFS pointer, not the file. Fetch it: git lfs pull, in the repository.")
    if head.startswith((b"<!doctype html", b"<html", b"<?xml")):
        fix = "Does the download need a login, or the address of the raw file? Download it again"
        raise DataError(f"{file}: a web page, not the data. {fix}.")


def _read_arrow(piece: Piece) -> Iterator[tuple[int, dict]]:
    """Yield the rows of an Arrow stream, as the library datasets saves it, or of an Arrow file."""
    with piece.file.open("rb") as stream:
        is_file = stream.read(6) == b"ARROW1"
    with pa.memory_map(str(piece.file)) as stream:
        if is_file:
            reader = pa.ipc.open_file(stream)
            batches = (reader.get_batch(number) for number in range(reader.num_record_batches))
        else:
            batches = iter(pa.ipc.open_stream(stream))
        number = 0
        for batch in batches:
            for begin in range(0, batch.num_rows, 1024):
                for record in _rows_of(batch[begin : begin + 1024], piece.file, number):
                    yield number, record
                    number += 1


def _parquet(file: Path) -> pq.ParquetFile:
    file.open("rb").close()  # says what is wrong in fewer words than pyarrow
    return pq.ParquetFile(file)


def _read_json(piece: Piece) -> Iterator[tuple[int, dict]]:
    """Yield the objects of one JSON list, which is read as a whole; also of one within an object, of an object of
    columns, of one object alone, and of JSON Lines."""
    with _lines(piece.file) as stream:
        content = stream.read()
    try:
        records = json.loads(content)
    except UnicodeDecodeError as error:
        raise DataError(f"{piece.file}: byte {error.start + 1} is not UTF-8. {_recode(piece.file)}") from error
    except (ValueError, RecursionError) as error:
        if content.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"{") and str(error).startswith("Extra data"):
            lines = Piece(piece.file, 0, content.count(b"\n") + 1)
            yield from _read_jsonl(lines)
            return
        raise DataError(f"{piece.file}: not valid JSON ({error}). Copy it again, or write JSON Lines.") from error
    for number, record in enumerate(_list_in(records, piece.file)):
        if not isinstance(record, dict):
            what = f"{type(record).__name__} instead of an object. Write a list of objects with named columns."
            raise DataError(f"{place(piece.file, number)}: {what}")
        yield number, record


def _list_in(content: object, file: Path) -> list:
    """Return the list of records of a JSON file.

    Raises:
        DataError: if there is none, or several.
    """
    if isinstance(content, list):
        return content
    if not isinstance(content, dict):
        raise DataError(f"{file}: not a list of objects. Write [{{...}}, ...], or JSON Lines as .jsonl.")
    columns = list(content.values())
    if columns and all(isinstance(value, dict) for value in columns):
        rows = columns[0].keys()
        if len(columns) > 1 and all(key.isdigit() for key in rows) and all(value.keys() == rows for value in columns):
            return [{name: values[row] for name, values in content.items()} for row in rows]  # as pandas writes it
        if len(columns) > 1 or any(isinstance(value, str) for value in columns[0].values()):
            return columns  # records by their names
    lists = _lists_of_objects(content)
    if len(lists) > 1:
        names = ", ".join(repr(name) for name in lists)
        raise DataError(f"{file}: has lists of objects at {names}. Write the one to be read into a file of its own.")
    if lists:
        return next(iter(lists.values()))
    if len(columns) > 1 and all(isinstance(value, list) and len(value) == len(columns[0]) for value in columns):
        return [dict(zip(content, row, strict=True)) for row in zip(*columns, strict=True)]
    if not any(isinstance(value, str | int | float) for value in _leaves(content)):
        raise DataError(f"{file}: not a list of objects. Write [{{...}}, ...], or JSON Lines as .jsonl.")
    return [content]


def _leaves(content: object) -> Iterator[object]:
    for value in content.values() if isinstance(content, dict) else content:
        if isinstance(value, dict | list):
            yield from _leaves(value)
        else:
            yield value


def _lists_of_objects(content: dict, depth: int = 3) -> dict[str, list]:
    found = {}
    for name, value in content.items():
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            if not all("role" in item or "from" in item for item in value):  # the messages of a prompt
                found[name] = value
        elif isinstance(value, dict) and depth:
            found |= {f"{name}.{inner}": items for inner, items in _lists_of_objects(value, depth - 1).items()}
    return found


USUAL_NAMES = re.compile(
    r"(?:.*[\W_])?(?:question|problem|prompt|query|instruction|input|text|answer|solution|target|label|output|response"
    r"|gold|truth|id|index|\w*题目?|问题|题干|答案|解答|解析|frage|antwort|pregunta|respuesta)s?(?:[\W_].*)?",
    re.IGNORECASE,
)


def _looks_like_a_row(names: Sequence[str]) -> bool:
    """Say whether the cells of a table's first line are those of a row, and no names."""
    if any(USUAL_NAMES.fullmatch(name) and len(name.split()) <= 3 and name[-1:] not in "?？." for name in names):
        return False
    numbers = sum(re.fullmatch(r"\s*[-+]?[0-9][0-9.,]*%?\s*", name) is not None for name in names)
    return bool(numbers) or any(len(name) > 60 or name.rstrip().endswith(("?", "？", "。", ".")) for name in names)


def _delimiter(header: str, kind: str) -> str:
    """Return what separates the cells of a table: a comma, unless its first line has none, or a tab by its name."""
    bare = re.sub(r'"[^"]*"', "", header)
    if kind.startswith(".tsv") and "\t" in bare:
        return "\t"
    return "," if "," in bare else max("\t;|", key=bare.count) if any(mark in bare for mark in "\t;|") else ","


def _read_csv(piece: Piece) -> Iterator[tuple[int, dict]]:
    csv.field_size_limit(LONGEST_RECORD)
    number = -1
    try:
        with _lines(piece.file) as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as stream:
            header = stream.readline()
            delimiter = _delimiter(header, suffix(piece.file))
            rows = csv.DictReader(chain([header] if header else [], stream), strict=True, delimiter=delimiter)
            if _looks_like_a_row(rows.fieldnames or ()):
                what = "the first line looks like a row, not like the names of columns"
                fix = "Write a line with the names above it, such as question,answer"
                raise DataError(f"{piece.file}: {what}: {header.strip()[:80]!r}. {fix}.")
            if twice := [name for name, count in Counter(rows.fieldnames or ()).items() if count > 1]:
                raise DataError(f"{piece.file}: the column '{twice[0]}' is there twice. Rename one.")
            for number, record in enumerate(rows):  # noqa: B007
                if None in record:
                    extra = "more cells than the header has columns. Quote the cells that hold commas."
                    raise DataError(f"{place(piece.file, number)}: {extra}")
                yield number, record
    except UnicodeDecodeError as error:
        where = f"{place(piece.file, number + 1)} or a little later"
        raise DataError(f"{where}: not UTF-8. {_recode(piece.file)}") from error
    except csv.Error as error:
        raise DataError(f"{place(piece.file, number + 1)}: not valid CSV ({error}). Correct or remove it.") from error


READERS = {
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
    ".json": _read_json,
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".arrow": _read_arrow,
    ".jsonl.gz": _read_jsonl,
    ".json.gz": _read_json,
    ".csv.gz": _read_csv,
    ".tsv.gz": _read_csv,
}


def _recode(file: Path) -> str:
    """Return how to save a file as UTF-8."""
    with _lines(file) as stream:
        content = stream.read(BLOCK)
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else _encoding(content)
    return f"Save the file as UTF-8: iconv -f {encoding} -t utf-8 OLD > NEW"


def _encoding(content: bytes) -> str:
    """Return the likely encoding of a text that is not UTF-8: the one in which what is not ASCII is mostly letters of
    one East Asian script, else Latin-1."""
    shares = {}
    for encoding, script in EAST_ASIAN.items():
        text = codecs.getincrementaldecoder(encoding)("replace").decode(content)
        other = [character for character in text if character > "\x7f"]
        shares[encoding] = sum(character in script for character in other) / max(1, len(other))
    best = max(shares, key=shares.__getitem__)
    if shares[best] < 0.15:
        text = codecs.getincrementaldecoder("gb18030")("replace").decode(content)
        other = [character for character in text if character > "\x7f"]
        hanzi = sum("\u4e00" <= character <= "\u9fff" for character in other)
        return "gb18030" if other and "\ufffd" not in text and hanzi / len(other) > 0.6 else "latin1"
    return best
