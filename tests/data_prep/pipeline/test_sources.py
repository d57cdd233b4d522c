import json
from importlib import import_module
from pathlib import Path

import pytest

import data_prep
from data_prep import dapo_math, gsm8k
from data_prep.pipeline import sources
from data_prep.pipeline.data_set import DataError, DataSet, Split
from data_prep.pipeline.records import SUFFIXES
from data_prep.pipeline.sources import find
from grpo_launchpad.hubs import HubError

TRAIN, TEST = gsm8k.DATA_SET.splits
COMMIT = "0123456789abcdef" * 2 + "01234567"
MODULES = [path.stem for path in sorted(Path(data_prep.__file__).parent.glob("[a-z]*.py")) if path.stem != "custom"]
DATA_SETS: list[DataSet] = [import_module(f"data_prep.{name}").DATA_SET for name in MODULES]


def touch(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("")
    return file


@pytest.fixture(autouse=True)
def nothing_downloaded(tmp_path, monkeypatch):
    """What a developer has in data/raw is none of these tests' business."""
    monkeypatch.setattr(sources, "RAW", tmp_path / "raw")


class Hubs:
    """Stands in for the network: what each hub has, and what each was asked."""

    def __init__(self, monkeypatch):
        self.have: dict[str, Path] = {}
        self.asked: list[tuple[str, str]] = []
        self.wanted: list[str] = []
        for hub in ("from_hugging_face", "from_modelscope"):
            monkeypatch.setattr(sources, hub, self.downloader(hub.removeprefix("from_")))

    def downloader(self, hub: str):
        def download(repository: str, *, kind: str, wanted: list[str]) -> Path:
            assert kind == "dataset"
            self.asked.append((hub, repository))
            self.wanted = wanted
            if hub not in self.have:
                raise HubError("closed today")
            return self.have[hub]

        return download


@pytest.fixture
def hubs(monkeypatch) -> Hubs:
    return Hubs(monkeypatch)


@pytest.mark.parametrize(
    "layout",
    [
        *(f"train{suffix}" for suffix in SUFFIXES),
        "train-00000-of-00001.parquet",
        "data/train-00000-of-00001.parquet",
        "main/train-00000-of-00001.parquet",
    ],
)
def test_a_folder_may_be_laid_out_by_hand_or_as_on_the_hubs(tmp_path, layout):
    file = touch(tmp_path / layout)
    touch(tmp_path / layout.replace("train", "test"))
    found = find(gsm8k.DATA_SET, TRAIN, str(tmp_path))
    assert (found.files, found.root, found.name, found.revision) == ((file,), tmp_path, str(tmp_path), "")


@pytest.mark.parametrize("data_set", DATA_SETS, ids=MODULES)
def test_a_copy_of_the_published_repository_is_read_as_it_is(tmp_path, data_set):
    for split in data_set.splits:
        for number, layout in enumerate(split.files):
            folder = tmp_path / split.name / str(number)
            file = touch(folder / layout.format(split.name).replace("*", "00000-of-00001"))
            assert find(data_set, split, str(folder)).files == (file,)


def test_several_files_are_read_in_the_order_of_their_numbers(tmp_path):
    files = [touch(tmp_path / "data" / f"train-{number:05}-of-00012.parquet") for number in reversed(range(12))]
    assert list(find(gsm8k.DATA_SET, TRAIN, str(tmp_path)).files) == files[::-1]


def test_a_numbered_file_that_is_missing_is_named(tmp_path):
    """A copy that broke off would otherwise become a smaller data set without a word."""
    for number in (0, 1, 3):
        touch(tmp_path / "data" / f"train-{number:05}-of-00004.parquet")
    with pytest.raises(DataError, match=r"train-00002-of-00004\.parquet: missing"):
        find(gsm8k.DATA_SET, TRAIN, str(tmp_path))


def test_subsets_in_folders_of_their_own_are_each_complete_by_themselves(tmp_path):
    """Several repositories on the hub are published so, by subject."""
    files = [touch(tmp_path / name / "train-00000-of-00001.parquet") for name in ("algebra", "geometry")]
    assert list(find(dapo_math.DATA_SET, dapo_math.DATA_SET.splits[0], str(tmp_path)).files) == files
    files[0].rename(tmp_path / "algebra" / "train-00000-of-00002.parquet")
    with pytest.raises(DataError, match=r"algebra/train-00001-of-00002\.parquet: missing"):
        find(dapo_math.DATA_SET, dapo_math.DATA_SET.splits[0], str(tmp_path))


def test_a_file_with_the_splits_name_goes_before_what_a_hub_left(tmp_path):
    touch(tmp_path / "main" / "train-00000-of-00001.parquet")
    own = touch(tmp_path / "train.jsonl")
    assert find(gsm8k.DATA_SET, TRAIN, str(tmp_path)).files == (own,)


def test_a_split_is_not_mixed_up_with_one_whose_name_begins_like_it(tmp_path):
    touch(tmp_path / "test_hard.jsonl")
    touch(tmp_path / "testing.parquet")
    with pytest.raises(DataError, match=r"no test\.jsonl in it"):
        find(gsm8k.DATA_SET, TEST, str(tmp_path))


def test_a_single_file_is_its_own_source(tmp_path):
    file = touch(tmp_path / "some problems.csv")
    found = find(gsm8k.DATA_SET, TRAIN, str(file))
    assert (found.files, found.root, found.name) == ((file,), tmp_path, str(file))


@pytest.mark.parametrize("name", ["train.xlsx", "train", "train.jsonl.zst", "train.JSONL"])
def test_a_file_that_is_not_read_is_named_with_what_is(tmp_path, name):
    file = touch(tmp_path / name)
    with pytest.raises(DataError) as caught:
        find(gsm8k.DATA_SET, TRAIN, str(file))
    assert str(caught.value).startswith(f"{file}: ")
    assert "Give .jsonl, .parquet, .json, .csv, .tsv" in str(caught.value)


def test_a_folder_without_the_split_names_what_it_should_have(tmp_path):
    touch(tmp_path / "test.jsonl")
    with pytest.raises(DataError) as caught:
        find(gsm8k.DATA_SET, TRAIN, str(tmp_path))
    for text in (f"{tmp_path}: no train.jsonl in it", ".parquet, .json, .csv", "--split"):
        assert text in str(caught.value)


@pytest.mark.parametrize("source", ["no/such/folder", "/no/such", "a b", "../x", "https://hf.co/a/b", "a/"])
def test_what_is_no_place_at_all_is_not_sent_to_a_hub(hubs, source):
    with pytest.raises(DataError) as caught:
        find(gsm8k.DATA_SET, TRAIN, source)
    assert str(caught.value).startswith(f"--source {source}: no such file or folder. Give --source a folder")
    assert "train.jsonl and test.jsonl" in str(caught.value)
    assert hubs.asked == []


def test_the_sample_is_offered_where_there_is_one(hubs):
    for data_set in DATA_SETS:
        with pytest.raises(DataError) as caught:
            find(data_set, data_set.splits[0], "no/such/folder")
        sample = f"data_prep/samples/{data_set.name}"
        assert (sample in str(caught.value)) == (sources.ROOT / sample).is_dir()


def test_places_are_asked_in_order(tmp_path, hubs):
    snapshot = tmp_path / COMMIT
    touch(snapshot / "main" / "train-00000-of-00001.parquet")
    hubs.have["modelscope"] = snapshot
    found = find(gsm8k.DATA_SET, TRAIN, None)
    assert hubs.asked == [("hugging_face", "openai/gsm8k"), ("modelscope", "AI-ModelScope/gsm8k")]
    assert (found.name, found.revision, found.root) == ("AI-ModelScope/gsm8k", COMMIT, snapshot)

    hubs.asked.clear()
    own = touch(tmp_path / "raw" / "gsm8k" / "train.jsonl")
    assert find(gsm8k.DATA_SET, TRAIN, None).files == (own,)
    assert find(gsm8k.DATA_SET, TRAIN, None).name == "data/raw/gsm8k"
    assert hubs.asked == []


def test_only_the_files_of_the_split_are_downloaded(tmp_path, hubs):
    hubs.have["hugging_face"] = tmp_path / "snapshot"
    touch(tmp_path / "snapshot" / "data" / "dapo-math-17k.parquet")
    find(dapo_math.DATA_SET, dapo_math.DATA_SET.splits[0], None)
    assert "data/dapo-math-17k.parquet" in hubs.wanted
    assert not {"*", "**", "*.parquet", "**/*"} & set(hubs.wanted)


def test_a_repository_may_be_named_and_has_no_revision_if_its_folder_tells_none(tmp_path, hubs):
    touch(tmp_path / "master" / "train.jsonl")
    hubs.have["hugging_face"] = tmp_path / "master"
    found = find(gsm8k.DATA_SET, TRAIN, "somebody/my.gsm8k")
    assert (found.name, found.revision) == ("somebody/my.gsm8k", "")
    assert hubs.asked == [("hugging_face", "somebody/my.gsm8k")]


def test_a_named_repository_is_asked_for_on_both_hubs(hubs):
    with pytest.raises(DataError, match="folder somebody/gsm8k: no such folder"):
        find(gsm8k.DATA_SET, TRAIN, "somebody/gsm8k")
    assert hubs.asked == [("hugging_face", "somebody/gsm8k"), ("modelscope", "somebody/gsm8k")]


def test_a_folder_goes_before_a_repository_of_the_same_name(tmp_path, hubs, monkeypatch):
    touch(tmp_path / "openai" / "gsm8k" / "train.jsonl")
    monkeypatch.chdir(tmp_path)
    assert find(gsm8k.DATA_SET, TRAIN, "openai/gsm8k").files == (Path("openai/gsm8k/train.jsonl"),)
    assert hubs.asked == []


def test_every_place_is_named_with_its_answer(tmp_path, hubs):
    with pytest.raises(DataError) as caught:
        find(gsm8k.DATA_SET, TRAIN, None)
    for text in (
        "GSM8K, grade-school word problems was found nowhere",
        f"local copy {tmp_path / 'raw' / 'gsm8k'}: no such folder",
        "Hugging Face hub, openai/gsm8k: closed today",
        "ModelScope, AI-ModelScope/gsm8k: closed today",
        "Download it on a machine with a network.",
        "--source data_prep/samples/gsm8k comes with the project",
    ):
        assert text in str(caught.value)


def test_a_hub_that_does_not_have_it_is_not_asked(hubs):
    nowhere = DataSet("x", "X", "", "", (Split("train", "openai/gsm8k"),), gsm8k.to_problem)
    with pytest.raises(DataError) as caught:
        find(nowhere, nowhere.splits[0], None)
    assert hubs.asked == []
    assert "Hugging Face hub: does not have it" in str(caught.value)
    assert "ModelScope: does not have it" in str(caught.value)


def test_a_repository_without_the_split_is_an_error_and_not_an_empty_split(tmp_path, hubs):
    touch(tmp_path / "snapshot" / "README.md")
    hubs.have["hugging_face"] = tmp_path / "snapshot"
    with pytest.raises(DataError, match=r"no train\.jsonl in it"):
        find(gsm8k.DATA_SET, TRAIN, None)


def test_every_sample_has_each_of_its_splits():
    for data_set in DATA_SETS:
        folder = sources.SAMPLES / data_set.name
        for split in data_set.splits if folder.is_dir() else ():
            (file,) = find(data_set, split, str(folder)).files
            assert json.loads(file.read_text(encoding="utf-8").splitlines()[0])
