import json
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_prep import arithmetic, dapo_math, geo3k, gsm8k, kk_logic, math
from data_prep.pipeline import command_line, prepare, verl_parquet
from data_prep.pipeline.prompt_lengths import load_tokenizer, prompt_lengths
from data_prep.pipeline.verl_parquet import ShardWriter, make_row, schema_of
from grpo_launchpad import tiny_model
from grpo_launchpad.byte_tokenizer import build_byte_tokenizer

SAMPLES = Path(__file__).resolve().parents[3] / "data_prep" / "samples"
SCHEMA = schema_of(gsm8k.DATA_SET)


def row(index: int, question: str = "How many?", images: tuple[bytes, ...] | None = None) -> dict:
    made = make_row(
        data_source="openai/gsm8k",
        messages=[{"role": "user", "content": question}],
        ability="math",
        ground_truth=str(index),
        extra_info={"split": "train", "index": index, "question": question, "answer": f"#### {index}"},
    )
    return made if images is None else made | {"images": [{"bytes": image, "path": None} for image in images]}


def write(file: Path, *batches: list[dict], schema=SCHEMA) -> Path:
    with ShardWriter(file, schema) as writer:
        for batch in batches:
            writer.write(batch)
    return file


def group_rows(file: Path) -> list[int]:
    metadata = pq.read_metadata(file)
    return [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]


def cut(rows: list, cuts: list[int]) -> list[list]:
    edges = [0, *sorted(min(each, len(rows)) for each in cuts), len(rows)]
    return [rows[begin:end] for begin, end in zip(edges, edges[1:], strict=False)]


@given(questions=st.lists(st.text(max_size=30), max_size=30), cuts=st.lists(st.integers(0, 30), max_size=5))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_are_read_as_written_and_their_bytes_do_not_depend_on_the_batches(tmp_path, questions, cuts):
    rows = [row(index, question) for index, question in enumerate(questions)]
    whole = write(tmp_path / "whole", rows)
    parts = write(tmp_path / "parts", *cut(rows, cuts))
    assert pq.read_table(parts).to_pylist() == rows
    assert parts.read_bytes() == whole.read_bytes()


@given(count=st.integers(0, 60), cuts=st.lists(st.integers(0, 60), max_size=5))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_row_groups_have_the_same_number_of_rows_whatever_the_batches(tmp_path, count, cuts):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verl_parquet, "ROW_GROUP_ROWS", 7)
        rows = [row(index) for index in range(count)]
        file = write(tmp_path / "train.parquet", *cut(rows, cuts))
    assert pq.read_table(file).to_pylist() == rows
    assert group_rows(file) == [7] * (count // 7) + [count % 7] * (count % 7 > 0)


@pytest.mark.parametrize("batch", [1, 7, 50])
def test_row_groups_of_images_are_bounded_in_bytes(tmp_path, monkeypatch, batch):
    """A batch of a thousand photographs is gigabytes, more than pyarrow takes in one piece."""
    monkeypatch.setattr(verl_parquet, "ROW_GROUP_BYTES", 1 << 20)
    rows = [row(index, images=(os.urandom(100_000),)) for index in range(50)]
    batches = cut(rows, list(range(0, 50, batch)))
    file = write(tmp_path / "train.parquet", *batches, schema=schema_of(geo3k.DATA_SET))
    metadata = pq.read_metadata(file)
    sizes = [metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups)]
    assert pq.read_table(file).num_rows == 50
    assert max(sizes) < 2.1 * (1 << 20)  # what waits may be as large as what comes
    assert len(sizes) < 10


@pytest.mark.parametrize("data_set", [gsm8k, math, kk_logic, geo3k, arithmetic], ids=lambda module: module.__name__)
def test_a_file_without_rows_has_the_columns_of_one_with_rows(tmp_path, data_set):
    """Shards are read as one data set, which needs the same columns in all of them."""
    schema = schema_of(data_set.DATA_SET)
    empty = write(tmp_path / "empty", schema=schema)
    assert pq.read_schema(empty) == schema
    assert pq.read_table(empty).num_rows == 0


def test_values_that_all_rows_lack_keep_their_type(tmp_path):
    made = row(0)
    made["extra_info"]["question"] = None
    assert pq.read_schema(write(tmp_path / "nulls", [made])) == SCHEMA


def test_ground_truths_with_parts_are_structs(tmp_path):
    truth = {"solution_text_format": "(1) Zoey is a knave", "statements": "(('not', 0),)"}
    extra = {"split": "train", "index": 0, "inhabitants": 1}
    made = make_row(data_source="kk_logic", messages=[], ability="logic", ground_truth=truth, extra_info=extra)
    file = write(tmp_path / "train.parquet", [made], schema=schema_of(kk_logic.DATA_SET))
    (read,) = pq.read_table(file).to_pylist()
    assert read["reward_model"] == {"style": "rule", "ground_truth": truth}
    assert read["extra_info"] == extra


def test_when_making_rows_fails_the_error_is_told_and_nothing_waits_to_be_written(tmp_path):
    def fail_after_some_rows() -> None:
        with ShardWriter(tmp_path / "train.parquet", SCHEMA) as writer:
            writer.write([row(0)])
            raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        fail_after_some_rows()
    assert pq.read_table(tmp_path / "train.parquet").num_rows == 0


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("tokenizer")
    build_byte_tokenizer(tiny_model.CHAT_TEMPLATE, max_length=64).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def verl_data_set(tmp_path, tokenizer_folder, monkeypatch):
    """Read files as verl's trainer does."""
    import datasets
    from omegaconf import OmegaConf
    from verl.utils.dataset.rl_dataset import RLHFDataset

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "datasets"))

    def load(*files: Path, processor=None, **options):
        config = {"cache_dir": str(tmp_path / "verl"), "filter_overlong_prompts": False} | options
        tokenizer = load_tokenizer(tokenizer_folder)
        return RLHFDataset(list(map(str, files)), tokenizer, OmegaConf.create(config), processor=processor)

    return load


def made(data_set, out: Path, *arguments: str) -> Path:
    """Prepare a data set in this process."""
    command_line.main(data_set, "", [*arguments, "--out", str(out)])
    return out


def test_verl_reads_what_its_reward_loop_needs(tmp_path, verl_data_set):
    out = made(gsm8k.DATA_SET, tmp_path / "out", "--source", str(SAMPLES / "gsm8k"), "--limit", "5")
    loaded = verl_data_set(out / "train.parquet")
    records = [json.loads(line) for line in (SAMPLES / "gsm8k" / "train.jsonl").read_text().splitlines()[:5]]
    assert len(loaded) == 5
    for index, record in enumerate(records):
        item = loaded[index]
        (message,) = item["raw_prompt"]
        assert message["role"] == "user"
        assert message["content"].startswith(record["question"])
        assert item["data_source"] == "openai/gsm8k"
        assert item["reward_model"]["ground_truth"] == record["answer"].rpartition("#### ")[2].replace(",", "")
        assert item["index"] == item["extra_info"]["index"] == index
        assert item["extra_info"]["answer"] == record["answer"]


def test_verl_collates_rows_of_every_sample(tmp_path, verl_data_set):
    from verl.utils.dataset.rl_dataset import collate_fn

    for data_set in (kk_logic.DATA_SET, math.DATA_SET):
        source = ["--source", str(SAMPLES / data_set.name), "--limit", "3", "--split", "train"]
        loaded = verl_data_set(made(data_set, tmp_path / data_set.name, *source) / "train.parquet")
        batch = collate_fn([loaded[0], loaded[1]])
        assert batch["data_source"].tolist() == [data_set.splits[0].data_source] * 2
        truth = batch["reward_model"][0]["ground_truth"]
        assert set(truth) == set(data_set.truth_fields) if data_set.truth_fields else isinstance(truth, str)


def test_verl_finds_prompts_as_long_as_they_were_measured(tmp_path, verl_data_set, tokenizer_folder):
    rows = [row(index, "a" * index) for index in range(40)]
    file = write(tmp_path / "train.parquet", rows)
    lengths = prompt_lengths([each["prompt"] for each in rows], tokenizer_folder)
    longest = sorted(lengths)[20]
    kept = verl_data_set(
        file, filter_overlong_prompts=True, filter_overlong_prompts_workers=1, max_prompt_length=longest
    )
    expected = [index for index, length in enumerate(lengths) if length <= longest]
    assert [kept[number]["index"] for number in range(len(kept))] == expected
    assert 0 < len(expected) < 40


def test_verl_opens_the_images_where_the_marks_are(tmp_path, verl_data_set, tokenizer_folder):
    class Processor:
        """All that verl asks of a processor before the prompt is tokenized."""

        image_processor = None
        tokenizer = load_tokenizer(tokenizer_folder)

    from PIL import Image

    out = made(geo3k.DATA_SET, tmp_path / "out", "--source", str(SAMPLES / "geo3k"))
    loaded = verl_data_set(out / "train.parquet", processor=Processor())
    records = [json.loads(line) for line in (SAMPLES / "geo3k" / "train.jsonl").read_text().splitlines()]
    assert len(loaded) == len(records)
    for number, record in enumerate(records):
        user = loaded[number]["raw_prompt"][-1]
        assert [part["type"] for part in user["content"]] == ["image", "text"]
        with Image.open(SAMPLES / "geo3k" / record["images"][0]) as original:
            assert user["content"][0]["image"].size == original.size
            assert user["content"][0]["image"].tobytes() == original.tobytes()
        assert user["content"][1]["text"].startswith(record["problem"].removeprefix("<image>"))


def test_verl_reads_a_split_in_several_files(tmp_path, verl_data_set):
    files = [write(tmp_path / f"train-{number}.parquet", [row(number)]) for number in range(3)]
    loaded = verl_data_set(*files)
    assert [loaded[number]["index"] for number in range(3)] == [0, 1, 2]


def test_verl_reads_a_split_of_which_whole_pieces_were_left_out(tmp_path, verl_data_set, monkeypatch):
    """DAPO-Math-17k is a few thousand problems again and again: all of its later pieces are duplicates."""
    monkeypatch.setattr(prepare, "SHARD_ROWS", 2)
    truth = {"ground_truth": "7"}
    lines = [{"prompt": f"How many {name}?", "reward_model": truth} for name in ("apples", "pears") * 3]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, lines)))
    out = made(dapo_math.DATA_SET, tmp_path / "out", "--source", str(tmp_path))
    loaded = verl_data_set(*sorted(out.glob("train*.parquet")))
    assert [loaded[number]["index"] for number in range(len(loaded))] == [0, 1]
