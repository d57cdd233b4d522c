import csv
import gzip
import json
import subprocess
from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_prep.pipeline import records
from data_prep.pipeline.data_set import DataError
from data_prep.pipeline.records import Piece, pieces, place, read

FILES_MAY_BE_OVERWRITTEN = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
# Separators that other tools take for the end of a line, and letters of one to four bytes.
TEXTS = st.text(alphabet='ab ,"\\é漢😀\u2028\u0085\r\n\t', max_size=90)


def everything(file: Path, rows: int = 2) -> list[tuple[int, dict]]:
    return [numbered for piece in pieces(file, rows) for numbered in read(piece)]


def refused(file: Path) -> str:
    with pytest.raises(DataError) as caught:
        everything(file)
    return str(caught.value)


@given(
    lines=st.lists(
        st.one_of(
            st.sampled_from([b"", b"  ", b"\t\r"]),
            TEXTS.map(lambda text: json.dumps({"text": text}, ensure_ascii=False).encode()),
        ),
        max_size=12,
    ),
    ending=st.sampled_from([b"\n", b"\r\n"]),
    ends_with_newline=st.booleans(),
    rows=st.integers(1, 6),
    block=st.integers(1, 70),
)
@FILES_MAY_BE_OVERWRITTEN
def test_pieces_of_json_lines_hold_every_record_once(tmp_path, lines, ending, ends_with_newline, rows, block):
    content = ending.join(lines) + ending * ends_with_newline
    file = tmp_path / "train.jsonl"
    file.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "BLOCK", block)  # so that lines and pieces begin and end anywhere within a block
        found = pieces(file, rows)
    expected = [(number, json.loads(line)) for number, line in enumerate(content.split(b"\n")) if line.strip()]
    assert [numbered for piece in found for numbered in read(piece)] == expected
    assert [piece.first for piece in found] == [0, *accumulate(piece.rows for piece in found)][: len(found)]
    assert all(piece.rows == rows for piece in found[:-1])
    assert all(0 < piece.rows <= rows for piece in found)
    # --holdout draws from as many numbers as there are lines; one too many would be a row that does not exist.
    unfinished = bool(content) and not content.endswith(b"\n")
    assert sum(piece.rows for piece in found) == content.count(b"\n") + unfinished


def test_a_piece_can_be_read_on_its_own_and_again(tmp_path):
    file = tmp_path / "train.jsonl"
    file.write_text("".join(f'{{"n": {number}}}\n' for number in range(10)))
    _, _, third, fourth = pieces(file, 3)
    assert list(read(fourth)) == [(9, {"n": 9})]
    assert list(read(third)) == list(read(third)) == [(6, {"n": 6}), (7, {"n": 7}), (8, {"n": 8})]


@given(count=st.integers(0, 40), group=st.integers(1, 12), rows=st.integers(1, 25))
@FILES_MAY_BE_OVERWRITTEN
def test_pieces_of_parquet_hold_every_record_once(tmp_path, count, group, rows):
    file = tmp_path / "train.parquet"
    pq.write_table(pa.table({"n": pa.array(range(count), pa.int64())}), file, row_group_size=group)
    found = pieces(file, rows)
    assert [numbered for piece in found for numbered in read(piece)] == [(n, {"n": n}) for n in range(count)]
    assert [piece.first for piece in found] == [0, *accumulate(piece.rows for piece in found)][: len(found)]
    assert all(rows <= piece.rows < rows + group for piece in found[:-1])


def test_more_rows_than_a_batch_of_the_parquet_reader_keep_their_numbers(tmp_path):
    file = tmp_path / "train.parquet"
    pq.write_table(pa.table({"n": range(5000)}), file, row_group_size=1700)
    assert everything(file, rows=2000) == [(n, {"n": n}) for n in range(5000)]


@given(
    table=st.lists(st.fixed_dictionaries({"question": TEXTS, "the answer": TEXTS}), min_size=1, max_size=6),
    rows=st.integers(1, 4),
)
@FILES_MAY_BE_OVERWRITTEN
def test_all_formats_give_the_same_records(tmp_path, table, rows):
    (tmp_path / "a.json").write_text(json.dumps(table))
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, table)))
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "a.parquet")
    with (tmp_path / "a.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, ["question", "the answer"], quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(table)
    with (tmp_path / "a.tsv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, ["question", "the answer"], quoting=csv.QUOTE_ALL, delimiter="\t")
        writer.writeheader()
        writer.writerows(table)
    for suffix in (".json", ".jsonl", ".csv", ".tsv"):
        (tmp_path / f"a{suffix}.gz").write_bytes(gzip.compress((tmp_path / f"a{suffix}").read_bytes()))
    arrow = pa.Table.from_pylist(table)
    with pa.ipc.new_stream(tmp_path / "a.arrow", arrow.schema) as stream:
        stream.write_table(arrow)
    for suffix in records.SUFFIXES:
        assert everything(tmp_path / f"a{suffix}", rows) == list(enumerate(table)), suffix
    with pa.ipc.new_file(tmp_path / "file.arrow", arrow.schema) as stream:
        stream.write_table(arrow)
    assert everything(tmp_path / "file.arrow", rows) == list(enumerate(table))


def test_json_and_csv_are_one_piece_that_knows_its_rows(tmp_path):
    (tmp_path / "a.json").write_text('[{"n": 1}, {"n": 2}, {"n": 3}]')
    (tmp_path / "a.csv").write_text("n\n1\n2\n3\n")
    for name in ("a.json", "a.csv"):
        assert pieces(tmp_path / name, 1) == [Piece(tmp_path / name, 0, 3)]


def test_a_place_counts_from_one_as_editors_do():
    assert place(Path("a/train.jsonl"), 0) == "a/train.jsonl, row 1"


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv"])
def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path, suffix):
    text = {".jsonl": '{"a": "é"}\n{"a": "f"}\n', ".json": '[{"a": "é"}, {"a": "f"}]', ".csv": "a\né\nf\n"}[suffix]
    file = tmp_path / f"train{suffix}"
    file.write_text(text, encoding="utf-8-sig")
    assert everything(file, rows=1) == [(0, {"a": "é"}), (1, {"a": "f"})]


BAD_LINES = {
    "truncated": (b'{"question": "How many?", "ans', ["not valid JSON", "truncated? Copy it again"]),
    "two objects": (b"{} {}", ["not valid JSON", "remove the row"]),
    "list": (b'["q", "#### 7"]', ["list instead of an object", '{"question": "..."']),
    "number": (b"7", ["int instead of an object", '{"question": "..."']),
    "null": (b"null", ["NoneType instead of an object"]),
    "latin-1": (b'{"question": "caf\xe9"}', ["byte 18 ", "not UTF-8", "iconv -f latin1 -t utf-8 OLD > NEW"]),
    "deep": (b"[" * 100_000, ["not valid JSON", "Copy it again, or remove the row"]),
    "number of 5,000 digits": (b'{"n": ' + b"7" * 5000 + b"}", ["not valid JSON", "remove the row"]),
}


@pytest.mark.parametrize("case", BAD_LINES)
@pytest.mark.parametrize("rows", [1, 2, 1000])
def test_a_bad_line_is_named_with_its_fix(tmp_path, case, rows):
    line, expected = BAD_LINES[case]
    file = tmp_path / "train.jsonl"
    file.write_bytes(b"\n".join([b"{}", b"", line, b"{}"]))
    with pytest.raises(DataError) as caught:
        everything(file, rows)
    message = str(caught.value)
    assert message.startswith(f"{file}, row 3: ")
    for text in expected:
        assert text in message
    assert len(message) < len(str(file)) + 400


def test_what_stands_before_a_bad_line_was_read(tmp_path):
    file = tmp_path / "train.jsonl"
    file.write_text('{"n": 1}\n{"n": 2}\n{')
    (piece,) = pieces(file, 10)
    reader = read(piece)
    assert [next(reader), next(reader)] == [(0, {"n": 1}), (1, {"n": 2})]
    with pytest.raises(DataError, match="row 3"):
        next(reader)


@pytest.mark.parametrize(("suffix", "content"), [(".jsonl", '{"a": "1"}\n{"a": "2"}\n'), (".csv", "a,b\n1,2\n")])
def test_utf_16_is_not_taken_for_latin_1(tmp_path, suffix, content):
    """PowerShell and Excel write it; converted from Latin-1 it would become valid UTF-8 full of NULs."""
    file = tmp_path / f"train{suffix}"
    file.write_text(content, encoding="utf-16")
    message = refused(file)
    assert message.startswith(str(file))
    assert "utf-16" in message.lower()
    assert "latin1" not in message


def test_the_fix_for_latin_1_is_a_command_that_works(tmp_path):
    file = tmp_path / "train.jsonl"
    file.write_text('{"question": "café"}\n', encoding="latin-1")
    command = refused(file).partition("as UTF-8: ")[2]
    assert command == "iconv -f latin1 -t utf-8 OLD > NEW"
    fixed = tmp_path / "fixed.jsonl"
    subprocess.run(["sh", "-c", command.replace("OLD", '"$1"').replace("NEW", '"$2"'), "sh", file, fixed], check=True)
    assert everything(fixed) == [(0, {"question": "café"})]


def test_a_line_longer_than_a_record_may_be_is_named_and_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "LONGEST_RECORD", 1 << 20)  # the message tells the real limit
    file = tmp_path / "train.jsonl"
    long = json.dumps({"a": "x" * (1 << 20)})
    nearly = json.dumps({"a": "x" * ((1 << 20) - 20)})
    file.write_text(f"{nearly}\n{long}\n")
    message = refused(file)
    assert message.startswith(f"{file}, row 2: longer than 32 MiB. ")
    assert message.endswith("Correct it, or remove the row.")
    file.write_text(f"{nearly}\n{{}}\n")
    assert [number for number, _ in everything(file)] == [0, 1]


def test_the_limit_that_is_told_is_the_limit():
    assert f"{records.LONGEST_RECORD >> 20} MiB" in records.TOO_LONG


def test_a_long_text_in_parquet_or_json_is_named_as_well(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "LONGEST_RECORD", 1000)
    table = [{"n": 1, "text": "x" * 1000}, {"n": 2, "text": "x" * 1001}]
    (tmp_path / "train.json").write_text(json.dumps(table))
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "train.parquet")
    for name in ("train.json", "train.parquet"):
        assert refused(tmp_path / name).startswith(f"{tmp_path / name}, row 2: longer than")


def test_a_cell_longer_than_a_record_may_be_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "LONGEST_RECORD", 1 << 20)
    file = tmp_path / "train.csv"
    file.write_text(f"a,b\n1,2\n1,{'x' * (1 << 21)}\n")
    assert refused(file).startswith(f"{file}, row 2: not valid CSV")


def test_csv_cells_may_hold_newlines_commas_quotes_and_nothing(tmp_path):
    file = tmp_path / "train.csv"
    file.write_bytes('\ufeffquestion,answer\r\n"two\r\nlines","1,000"\r\n"say ""hi""",\r\n\r\nlast,1'.encode())
    assert everything(file) == [
        (0, {"question": "two\r\nlines", "answer": "1,000"}),
        (1, {"question": 'say "hi"', "answer": ""}),
        (2, {"question": "last", "answer": "1"}),
    ]


BAD_CSV = {
    "too many cells": (b"a,b\n1,2\n3,4,5\n", "row 2", "more cells than the header has columns. Quote the cells"),
    "open quote": (b'a,b\n1,2\n3,"4\n5,6\n', "row 2", "not valid CSV (unexpected end of data). Correct or remove it."),
    "text behind a quote": (b'a,b\n1,2\n"3"x,4\n', "row 2", "not valid CSV"),
    "latin-1": (b"a,b\n1,2\ncaf\xe9,4\n", "or a little later", "iconv -f latin1 -t utf-8 OLD > NEW"),
    # Which of the two columns is meant nobody knows, and Python's reader silently takes the last.
    "a column twice": (b"question,answer,answer\nq,1,2\n", "", "'answer'"),
}


@pytest.mark.parametrize("case", BAD_CSV)
def test_bad_csv_is_named_with_its_fix(tmp_path, case):
    content, where, what = BAD_CSV[case]
    file = tmp_path / "train.csv"
    file.write_bytes(content)
    message = refused(file)
    assert message.startswith(str(file))
    assert where in message
    assert what in message


def test_latin_1_far_into_a_csv_file_is_placed_at_or_before_it(tmp_path):
    file = tmp_path / "train.csv"
    file.write_bytes(b"a,b\n" + b"1,2\n" * 5000 + b"caf\xe9,4\n")
    named = int(refused(file).partition("row ")[2].split()[0])
    assert 2500 < named <= 5001


def test_a_short_csv_row_has_nulls_where_cells_are_missing(tmp_path):
    file = tmp_path / "train.csv"
    file.write_text("a,b\n1\n")
    assert everything(file) == [(0, {"a": "1", "b": None})]


def test_a_nul_in_a_csv_cell_is_kept_as_it_is(tmp_path):
    file = tmp_path / "train.csv"
    file.write_bytes(b"a,b\n1\x00,2\n")
    assert everything(file) == [(0, {"a": "1\x00", "b": "2"})]


BAD_JSON = {
    "one object": (b'{"data": []}', ["not a list of objects", "[{...}, ...]"]),
    "list of texts": (b'["a"]', ["row 1: str instead of an object"]),
    "truncated": (b'[{"a": 1}, {"a"', ["not valid JSON"]),
    "empty": (b"", ["not valid JSON"]),
    "deep": (b"[" * 100_000, ["not valid JSON"]),
    "latin-1": (b'[{"a": "caf\xe9"}]', ["UTF-8", "iconv -f latin1"]),
}


@pytest.mark.parametrize("case", BAD_JSON)
def test_a_bad_json_file_is_named_with_its_fix(tmp_path, case):
    content, expected = BAD_JSON[case]
    file = tmp_path / "train.json"
    file.write_bytes(content)
    message = refused(file)
    assert message.startswith(f"{file}")
    for text in expected:
        assert text in message


@pytest.mark.parametrize("left", [0, 3, 50, -200, -4])
def test_truncated_parquet_is_named(tmp_path, left):
    file = tmp_path / "train.parquet"
    pq.write_table(pa.table({"n": range(1000)}), file)
    file.write_bytes(file.read_bytes()[:left])
    message = refused(file)
    assert message.startswith(f"{file}: not readable as parquet (")
    assert message.endswith("Copy it again.")


def test_parquet_that_is_damaged_inside_is_named(tmp_path):
    file = tmp_path / "train.parquet"
    pq.write_table(pa.table({"n": range(1000)}), file)
    content = bytearray(file.read_bytes())
    content[20:200] = b"\xff" * 180
    file.write_bytes(content)
    assert refused(file).startswith(f"{file}: ")


def test_parquet_whose_text_is_not_utf_8_is_named_with_its_row(tmp_path):
    file = tmp_path / "train.parquet"
    offsets = pa.array([0, 2, 6], pa.int32()).buffers()[1]
    broken = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"okcaf\xe9")])
    many = pa.concat_arrays([pa.array(["fine"] * 3000), broken, pa.array(["fine"] * 10)])
    pq.write_table(pa.table({"question": many}), file, row_group_size=100)
    message = refused(file)
    assert message.startswith(f"{file}, row 3002: ")
    assert "not UTF-8" in message


@pytest.mark.parametrize("suffix", records.SUFFIXES)
def test_a_missing_file_is_named_without_a_stack_of_words(tmp_path, suffix):
    file = tmp_path / f"train{suffix}"
    assert refused(file) == f"{file}: cannot be read (No such file or directory)."
    file.mkdir()
    assert refused(file) == f"{file}: cannot be read (Is a directory)."


@pytest.mark.parametrize(
    ("suffix", "content"), [(".jsonl", "\n \n"), (".jsonl", ""), (".json", "[]"), (".csv", "a,b\n")]
)
def test_a_file_without_records_gives_none(tmp_path, suffix, content):
    file = tmp_path / f"train{suffix}"
    file.write_text(content)
    assert everything(file) == []


@given(content=st.binary(max_size=300), suffix=st.sampled_from(records.SUFFIXES), rows=st.integers(1, 3))
@FILES_MAY_BE_OVERWRITTEN
def test_any_bytes_give_records_or_an_error_that_names_the_file(tmp_path, content, suffix, rows):
    file = tmp_path / f"train{suffix}"
    file.write_bytes(content)
    found, message = [], str(file)
    try:
        found = everything(file, rows)
    except DataError as error:
        message = str(error)
    assert message.startswith(str(file))
    numbers = [number for number, _ in found]
    assert numbers == sorted(set(numbers))
    assert all(isinstance(record, dict) for _, record in found)
