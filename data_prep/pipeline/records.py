"""Records of JSON Lines, JSON, CSV and parquet files, in pieces that are read one after the other or side by side."""

import csv
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_prep.pipeline.data_set import DataError

SUFFIXES = (".jsonl", ".parquet", ".json", ".csv")
BLOCK = 1 << 20
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
        if file.suffix == ".jsonl":
            return list(_jsonl_pieces(file, rows))
        if file.suffix == ".parquet":
            return list(_parquet_pieces(file, rows))
        return [Piece(file, 0, sum(1 for _ in READERS[file.suffix](Piece(file, 0, 0))))]


def read(piece: Piece) -> Iterator[tuple[int, dict]]:
    """Yield (number within the file, from 0, record) for each record of a piece.

    Raises:
        DataError: if the file or one of its records cannot be read.
    """
    with reading(piece.file):
        for number, record in READERS[piece.file.suffix](piece):
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
    with piece.file.open("rb") as stream:
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


def _parquet(file: Path) -> pq.ParquetFile:
    file.open("rb").close()  # says what is wrong in fewer words than pyarrow
    return pq.ParquetFile(file)


def _read_json(piece: Piece) -> Iterator[tuple[int, dict]]:
    """Yield the objects of one JSON list, which is read as a whole."""
    try:
        records = json.loads(piece.file.read_bytes())
    except UnicodeDecodeError as error:
        raise DataError(f"{piece.file}: byte {error.start + 1} is not UTF-8. {_recode(piece.file)}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{piece.file}: not valid JSON ({error}). Is it JSON Lines? Then name it .jsonl.") from error
    if not isinstance(records, list):
        raise DataError(f"{piece.file}: not a list of objects. Write [{{...}}, ...], or JSON Lines as .jsonl.")
    for number, record in enumerate(records):
        if not isinstance(record, dict):
            what = f"{type(record).__name__} instead of an object. Write a list of objects with named columns."
            raise DataError(f"{place(piece.file, number)}: {what}")
        yield number, record


def _read_csv(piece: Piece) -> Iterator[tuple[int, dict]]:
    csv.field_size_limit(LONGEST_RECORD)
    number = -1
    try:
        with piece.file.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream, strict=True)
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


READERS = {".jsonl": _read_jsonl, ".parquet": _read_parquet, ".json": _read_json, ".csv": _read_csv}


def _recode(file: Path) -> str:
    """Return how to save a file as UTF-8."""
    with file.open("rb") as stream:
        marked = stream.read(2) in (b"\xff\xfe", b"\xfe\xff")
    return f"Save the file as UTF-8: iconv -f {'utf-16' if marked else 'latin1'} -t utf-8 OLD > NEW"
