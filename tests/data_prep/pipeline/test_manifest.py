import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep import geo3k, gsm8k
from data_prep.pipeline import command_line, manifest, prepare
from data_prep.pipeline.prompt_lengths import summary
from data_prep.pipeline.sources import Source

SAMPLES = Path(__file__).resolve().parents[3] / "data_prep" / "samples"
TRAIN, TEST = gsm8k.DATA_SET.splits


def made(out: Path, *arguments: object, data_set=gsm8k.DATA_SET, source: Path = SAMPLES / "gsm8k") -> dict:
    """Prepare a data set in this process and return its manifest."""
    words = ["--source", source, "--out", out, *arguments]
    command_line.main(data_set, "", list(map(str, words)))
    return json.loads((out / manifest.NAME).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("prepared") / "gsm8k"
    made(out)
    return out


@pytest.fixture
def out(prepared, tmp_path) -> Path:
    """A prepared data set to be spoiled."""
    return shutil.copytree(prepared, tmp_path / "out")


@pytest.fixture
def described(out) -> dict:
    return json.loads((out / manifest.NAME).read_text(encoding="utf-8"))


@pytest.fixture
def wanted(described) -> dict[str, str]:
    return {name: split["fingerprint"] for name, split in described["splits"].items()}


def test_files_are_named_as_on_the_hub():
    assert manifest.file_names("train", 1) == ["train.parquet"]
    assert manifest.file_names("aime24", 2) == ["aime24-00000-of-00002.parquet", "aime24-00001-of-00002.parquet"]
    many = manifest.file_names("train", 12_345)
    assert many == sorted(many)
    assert len(set(many)) == 12_345


def test_a_manifest_says_where_rows_come_from_and_what_files_are(out, described):
    assert list(described["splits"]) == ["train", "test"]
    for name, split in described["splits"].items():
        source, (file,) = split["source"], split["files"]
        original = SAMPLES / "gsm8k" / f"{name}.jsonl"
        assert source["name"] == str(SAMPLES / "gsm8k")
        assert source["files"] == [
            {"file": f"{name}.jsonl", "bytes": original.stat().st_size, "sha256": manifest.sha256(original)}
        ]
        assert file["sha256"] == manifest.sha256(out / f"{name}.parquet")
        assert file["bytes"] == (out / f"{name}.parquet").stat().st_size
        assert file["rows"] == split["rows_out"] == split["rows_in"] == pq.read_table(out / f"{name}.parquet").num_rows
        assert split["left_out"] == split["kept"] == {}
        assert sum(split["answer_types"].values()) == split["rows_out"]
    assert described["splits"]["train"]["compared_with_held_out_problems"] == 64
    assert described["splits"]["test"]["compared_with_held_out_problems"] == 0


def test_rows_left_out_and_kept_are_told_apart_with_their_numbers(tmp_path):
    lines = (SAMPLES / "gsm8k" / "train.jsonl").read_text(encoding="utf-8").splitlines()[:4]
    lines = [*lines, lines[1], '{"question": "How?", "answer": "nobody knows"}']
    (tmp_path / "train.jsonl").write_text("\n".join(lines), encoding="utf-8")
    arguments = ("--split", "train", "--keep", "duplicate", "--drop", "gold")
    split = made(tmp_path / "out", *arguments, source=tmp_path / "train.jsonl")["splits"]["train"]
    assert (split["rows_in"], split["rows_out"]) == (6, 5)
    (place,) = split["kept"]["duplicate"]["first"]
    assert split["kept"] == {"duplicate": {"rows": 1, "indices": [4], "first": [place]}}
    assert place == f"{tmp_path / 'train.jsonl'}, row 5: the same prompt as row 2 of the split"
    assert list(split["left_out"]) == ["gold"]
    assert split["left_out"]["gold"]["indices"] == [5]


def test_the_same_input_gives_the_same_bytes_in_another_folder(prepared, tmp_path):
    again = tmp_path / "another folder"
    here, there = made(again), json.loads((prepared / manifest.NAME).read_text(encoding="utf-8"))
    for file in prepared.iterdir():
        if file.name != manifest.NAME:
            assert (again / file.name).read_bytes() == file.read_bytes(), file.name
    for split in (*here["splits"].values(), *there["splits"].values()):
        split.pop("command")  # it names the folder
    assert here == there


def test_sources_are_told_from_their_root(tmp_path):
    file = tmp_path / "snapshot" / "data" / "train-00000-of-00001.parquet"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"rows")
    source = manifest.describe_source(Source("owner/name", "0" * 40, tmp_path / "snapshot", (file,)))
    assert (source["name"], source["revision"]) == ("owner/name", "0" * 40)
    assert [each["file"] for each in source["files"]] == ["data/train-00000-of-00001.parquet"]
    assert source["files"][0]["bytes"] == 4


def test_a_fingerprint_changes_with_everything_that_decides_the_output(tmp_path):
    file = tmp_path / "train.jsonl"
    file.write_bytes(b"{}")

    def fingerprint(data_set=gsm8k.DATA_SET, **options: object) -> str:
        source = manifest.describe_source(Source("x", "", tmp_path, (file,)))
        return manifest.fingerprint(data_set, {"train": source}, {"template": "hash", "limit": None} | options)

    before = fingerprint()
    assert fingerprint() == before
    others = [
        fingerprint(template="boxed"),
        fingerprint(limit=3),
        fingerprint(drop=("gold",)),
        fingerprint(data_set=replace(gsm8k.DATA_SET, name="other")),
    ]
    file.write_bytes(b"[]")  # as many bytes
    assert len({before, fingerprint(), *others}) == len(others) + 2


def test_a_fingerprint_does_not_change_with_the_output_folder_or_the_engine(prepared, tmp_path):
    there = json.loads((prepared / manifest.NAME).read_text())["splits"]
    here = made(tmp_path / "out", "--force", "--engine", "local")["splits"]
    assert {name: split["fingerprint"] for name, split in here.items()} == {
        name: split["fingerprint"] for name, split in there.items()
    }


def test_what_is_whole_is_up_to_date(out, wanted):
    assert manifest.is_up_to_date(out, wanted)
    assert manifest.is_up_to_date(out, {"test": wanted["test"]})
    assert not manifest.is_up_to_date(out, {"train": wanted["train"], "validation": wanted["train"]})
    assert not manifest.is_up_to_date(out, {"train": "another fingerprint"})


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_changed_byte_or_a_missing_file_is_not(out, wanted, split):
    file = out / f"{split}.parquet"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert not manifest.is_up_to_date(out, wanted)
    file.unlink()
    assert not manifest.is_up_to_date(out, wanted)
    file.mkdir()
    assert not manifest.is_up_to_date(out, wanted)


FOREIGN = {
    "none": None,
    "cut short": '{"splits": {"tr',
    "a list": "[]",
    "a number": "7",
    "no splits": "{}",
    "splits of another tool": '{"splits": {"train": {"num_rows": 7}}}',
    "a list of splits": '{"splits": ["train", "test"]}',
    "null for splits": '{"splits": null}',
    "null for a split": '{"splits": {"train": null, "test": null}}',
    "not UTF-8": b"\xff\xfe{}",
}


@pytest.mark.parametrize("case", FOREIGN)
def test_a_manifest_that_is_not_ours_is_no_manifest(tmp_path, case):
    content = FOREIGN[case]
    if content is not None:
        (tmp_path / manifest.NAME).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert not manifest.is_ours(tmp_path)
    assert not manifest.is_up_to_date(tmp_path, {"train": "x", "test": "x"})
    assert manifest.content(gsm8k.DATA_SET, tmp_path, {})["splits"] == {}


def test_a_manifest_without_splits_is_ours_and_not_finished(tmp_path):
    manifest.write({"name": "gsm8k", "splits": {}}, tmp_path / manifest.NAME)
    assert manifest.is_ours(tmp_path)
    assert not manifest.is_up_to_date(tmp_path, {"train": "x"})


def test_a_split_prepared_earlier_stays_in_the_manifest_while_its_files_do(out, described):
    new = {"test": {"rows_in": 1, "files": []}}
    content = manifest.content(gsm8k.DATA_SET, out, new)
    assert list(content["splits"]) == ["train", "test"]
    assert content["splits"]["train"] == described["splits"]["train"]
    assert content["splits"]["test"] == new["test"]
    (out / "train.parquet").unlink()
    assert list(manifest.content(gsm8k.DATA_SET, out, new)["splits"]) == ["test"]


def test_splits_of_another_data_set_in_the_same_folder_are_not_taken_for_ones_own(out):
    assert manifest.content(geo3k.DATA_SET, out, {})["splits"] == {}


def test_it_is_written_as_people_read_it(tmp_path):
    manifest.write({"title": "漢字"}, tmp_path / manifest.NAME)
    assert (tmp_path / manifest.NAME).read_text(encoding="utf-8") == '{\n  "title": "漢字"\n}\n'


def test_a_picture_that_was_replaced_is_not_up_to_date(tmp_path, capsys):
    """Images lie beside the records that name them, and are part of what rows are made of."""
    source = shutil.copytree(SAMPLES / "geo3k", tmp_path / "source")
    made(tmp_path / "out", data_set=geo3k.DATA_SET, source=source)
    before = (tmp_path / "out" / "train.parquet").read_bytes()
    shutil.copy(source / "images" / "12.png", source / "images" / "11.png")
    made(tmp_path / "out", data_set=geo3k.DATA_SET, source=source)
    assert (tmp_path / "out" / "train.parquet").read_bytes() != before


def test_what_only_looks_like_a_picture_beside_the_records_does_no_harm(tmp_path):
    source = shutil.copytree(SAMPLES / "geo3k", tmp_path / "source")
    (source / "gone.png").symlink_to("nowhere")
    (source / "folder.jpg").mkdir()
    assert made(tmp_path / "out", data_set=geo3k.DATA_SET, source=source)["splits"]["train"]["rows_out"] == 8


def test_a_split_of_several_files_describes_each(tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "SHARD_ROWS", 50)
    split = made(tmp_path, "--split", "train")["splits"]["train"]
    assert [(each["file"], each["rows"]) for each in split["files"]] == [
        ("train-00000-of-00003.parquet", 50),
        ("train-00001-of-00003.parquet", 50),
        ("train-00002-of-00003.parquet", 36),
    ]
    for file in split["files"]:
        assert pq.read_metadata(tmp_path / file["file"]).num_rows == file["rows"]
        assert manifest.sha256(tmp_path / file["file"]) == file["sha256"]


@given(st.dictionaries(st.integers(0, 100_000), st.integers(1, 50), min_size=1, max_size=40))
def test_a_histogram_holds_every_row_in_equal_intervals(counts):
    lengths = Counter(counts)
    bins = manifest.histogram(lengths)
    firsts = [first for first, _ in bins]
    assert sum(rows for _, rows in bins) == lengths.total()
    assert firsts[0] == min(lengths)
    assert len({after - before for before, after in zip(firsts, firsts[1:], strict=False)}) <= 1
    for (first, rows), after in zip(bins, [*firsts[1:], None], strict=True):
        here = [count for length, count in counts.items() if first <= length and (after is None or length < after)]
        assert rows == sum(here)
    assert len(bins) <= manifest.BINS + 1
    assert firsts[-1] <= summary(lengths)["p99"] or len(bins) > 1


def test_one_long_prompt_does_not_flatten_the_histogram():
    bins = manifest.histogram(Counter(dict.fromkeys(range(100, 300), 10)) + Counter({1_000_000: 1}))
    assert len(bins) == manifest.BINS + 1
    assert bins[-1][0] < 310
    assert bins[-1][1] >= 1
