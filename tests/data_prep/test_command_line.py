"""What users get wrong, and what goes wrong around them: each is answered with what to do, and leaves all as it was."""

import ctypes
import errno
import io
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from PIL import Image

from data_prep.pipeline import records
from tests.data_prep.scripts import (
    FINISHED,
    ROOT,
    SAMPLES,
    contents,
    data_of,
    manifest,
    prepare,
    prepared,
    problem,
    refused,
    rows,
    script,
    source,
    started,
    write_lines,
)

# Most runs of eight words of a question that begins with it.
LONG = "At dawn seven tired bakers carried ninety warm loaves to the old market and sold all but four of them"


@pytest.fixture
def finished(tmp_path):
    """The output of an earlier run, and what is in it."""
    out = tmp_path / "finished"
    prepared("gsm8k", "--source", source(tmp_path / "earlier", [problem(1), problem(2)]), "--out", out)
    return out, contents(out)


def test_a_bad_file_leaves_no_folder_behind(tmp_path, monkeypatch):
    """Not even data/, where the output would have been."""
    folder = source(tmp_path / "source", [{"question": "q"}])
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    refused(prepare("gsm8k", "--source", folder), "row 1")
    assert contents(tmp_path / "work") == {}


def test_a_bad_file_leaves_files_of_the_users_own_alone(tmp_path):
    folder, out = source(tmp_path / "source", [{"question": "q"}]), tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    refused(prepare("gsm8k", "--source", folder, "--out", out), "row 1")
    assert contents(out) == {"notes.txt": b"mine"}


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".json", ".parquet"])
def test_a_cell_with_a_whole_file_in_it_is_named(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(records, "LONGEST_RECORD", 100_000)
    rows = [problem(1), problem(2) | {"question": "x" * 200_000}]
    file = tmp_path / f"train{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    elif suffix == ".csv":
        pa.csv.write_csv(pa.Table.from_pylist(rows), file)
    elif suffix == ".json":
        file.write_text(json.dumps(rows))
    else:
        write_lines(file, rows)
    done = prepare("gsm8k", "--source", file, "--split", "train", "--out", tmp_path / "out")
    assert len(refused(done, str(file), "row 2")) < 2000
    assert not (tmp_path / "out").exists()


NOT_UTF8 = os.fsdecode(b"caf\xe9")


@pytest.mark.parametrize("option", ["--source", "--out", "--tokenizer"])
def test_a_path_that_is_not_utf8_is_named(tmp_path, monkeypatch, option):
    monkeypatch.chdir(tmp_path)
    source(Path(NOT_UTF8), [problem(1)])
    options = {"--source": str(SAMPLES / "gsm8k"), "--out": "out"} | {option: NOT_UTF8}
    told = refused(prepare("gsm8k", *(word for pair in options.items() for word in pair)), "caf", "UTF-8")
    assert option in told or option == "--source"
    assert not Path("out").exists()


def test_a_name_in_a_folder_that_is_not_utf8_is_named(tmp_path):
    file = tmp_path / NOT_UTF8 / "train-00000-of-00001.parquet"
    file.parent.mkdir()
    pq.write_table(pa.Table.from_pylist([problem(1)]), tmp_path / "table")
    (tmp_path / "table").rename(file)
    done = prepare("gsm8k", "--source", tmp_path, "--split", "train", "--out", tmp_path / "out")
    refused(done, "caf", file.name, "not UTF-8. Rename it")


def test_two_files_for_one_split_are_both_named(tmp_path):
    folder = source(tmp_path / "source", [problem(1)])
    (folder / "train.csv").write_text("question,answer\nHow much?,#### 7\n")
    options = ["--out", tmp_path / "out", "--source"]
    fix = f"--source {folder / 'train.jsonl'} --split train"
    refused(prepare("gsm8k", *options, folder), str(folder), "train.jsonl and train.csv", fix)
    prepared("gsm8k", *options, *fix.split()[1:])
    assert len(rows(tmp_path / "out")) == 1


PREPARED = ["dapo_math", "gsm8k", "math", "smoltldr", "geo3k", "kk_logic"]


@pytest.mark.parametrize("name", PREPARED)
def test_what_was_prepared_is_not_prepared_again(tmp_path, name):
    """DAPO-Math is published with the columns of a prepared file, and would ask twice for the form of the answer."""
    made = ["gsm8k" if name == "dapo_math" else name]
    prepared(made[0], "--source", SAMPLES / made[0], "--split", "train", "--limit", 5, "--out", tmp_path / "first")
    file = tmp_path / "first" / "train.parquet"
    done = prepare(name, "--source", file, "--split", "train", "--out", tmp_path / "out")
    refused(done, f"{file}, row 1: already prepared for verl", "--source", "data.train_files")
    assert not (tmp_path / "out").exists()


def test_a_source_that_is_nowhere_is_named(tmp_path, finished):
    out, before = finished
    missing = tmp_path / "no such folder"
    refused(prepare("gsm8k", "--source", missing, "--out", out), f"--source {missing}", "train.jsonl", "owner/name")
    assert contents(out) == before


def test_a_folder_without_the_data_is_named(tmp_path):
    (tmp_path / "source").mkdir()
    done = prepare("gsm8k", "--source", tmp_path / "source", "--out", tmp_path / "out")
    refused(done, str(tmp_path / "source"), "train.jsonl")
    assert not (tmp_path / "out").exists()


def test_without_a_network_and_offline_it_says_what_to_do(tmp_path):
    environment = {"HF_HUB_OFFLINE": "1", "HOME": str(tmp_path / "home")}
    for variable in ("HF_HOME", "HF_HUB_CACHE", "MODELSCOPE_CACHE", "XDG_CACHE_HOME"):
        environment[variable] = str(tmp_path / "home" / variable)
    done = script("gsm8k", "--source", "openai/gsm8k", cwd=tmp_path, environment=environment)
    refused(done, "Hugging Face hub", "not in its cache", "HF_HUB_OFFLINE is set", "--source data_prep/samples/gsm8k")
    assert not (tmp_path / "data").exists()


def test_one_file_cannot_be_two_splits(tmp_path):
    file = write_lines(tmp_path / "problems.jsonl", [problem(1), problem(2)])
    refused(prepare("gsm8k", "--source", file, "--out", tmp_path / "out"), str(file), "--split train", "--split test")
    prepared("gsm8k", "--source", file, "--split", "test", "--out", tmp_path / "out")
    assert len(rows(tmp_path / "out", "test")) == 2


def test_the_source_is_not_written_over(tmp_path):
    """Input and output have the same names: train.parquet in, train.parquet out."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for split, number in (("train", 1), ("test", 2)):
        pq.write_table(pa.Table.from_pylist([problem(number)]), folder / f"{split}.parquet")
    links = tmp_path / "links"
    links.mkdir()
    for file in folder.iterdir():
        (links / file.name).symlink_to(file)
    before = contents(folder)
    for source_folder in (folder, links):
        refused(prepare("gsm8k", "--source", source_folder, "--out", folder), str(folder), "--out")
        assert contents(folder) == before


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--drop", "typos"), ["--drop", "typos", "near-overlap"]),
        (("--drop", "gold,"), ["--drop", "gold"]),
        (("--keep", "Gold"), ["--keep", "Gold", "gold"]),
        (("--drop", "gold,long", "--keep", "long"), ["--drop", "--keep", "long"]),
        (("--max-prompt-tokens", "100"), ["--max-prompt-tokens", "--tokenizer"]),
        (("--max-prompt-tokens", "0", "--tokenizer", "x"), ["--max-prompt-tokens", "above zero"]),
        (("--split", "validation"), ["--split", "train", "test"]),
        (("--engine", "spark"), ["--engine", "local", "ray"]),
        (("--seed", "1.5"), ["--seed"]),
        (("--out",), ["--out"]),
        (("--holdout", "5"), ["--holdout"]),
    ],
)
def test_a_wrong_option_is_named_and_nothing_is_written(tmp_path, monkeypatch, options, expected):
    monkeypatch.chdir(tmp_path)
    refused(prepare("gsm8k", "--source", SAMPLES / "gsm8k", *options), *expected)
    assert contents(tmp_path) == {}


def custom(folder, out, *options):
    arguments = ["--source", folder, "--name", "mine", "--data-source", "math", "--out", out]
    return prepare("custom", *arguments, *options)


def test_a_wrong_gold_is_named_and_left_out_only_when_told_so(tmp_path):
    records = [{"question": f"{LONG}, part {n}?", "answer": answer} for n, answer in enumerate("1}3")]
    test = [{"question": f"{LONG}, part 9?", "answer": "7"}]
    folder, out = source(tmp_path / "source", records, test), tmp_path / "out"
    told = refused(custom(folder, out), f"{folder / 'train.jsonl'}, row 2", "'}'", "--drop gold")
    assert "near-overlap" in told
    assert not out.exists()

    done = custom(folder, out, "--drop", "gold", "--keep", "near-overlap")
    assert done.returncode == 0, done.stderr
    assert [row["reward_model"]["ground_truth"] for row in rows(out)] == ["1", "3"]
    train = manifest(out)["splits"]["train"]
    assert (train["rows_in"], train["rows_out"]) == (3, 2)
    assert train["left_out"]["gold"]["indices"] == [1]
    assert train["kept"]["near-overlap"]["indices"] == [0, 2]
    for line in ("gold: 1 left out", f"{folder / 'train.jsonl'}, row 2", "near-overlap: 2 kept"):
        assert line in done.stdout


@pytest.mark.parametrize("answers", [["}", "3"], ["3", "}"]])
def test_a_wrong_gold_is_kept_when_told_so(tmp_path, answers):
    records = [{"question": f"Number {n}?", "answer": answer} for n, answer in enumerate(answers)]
    folder = source(tmp_path / "source", records, [{"question": "What else?", "answer": "7"}])
    done = custom(folder, tmp_path / "out", "--keep", "gold")
    assert done.returncode == 0, done.stderr
    assert [row["reward_model"]["ground_truth"] for row in rows(tmp_path / "out")] == answers


def test_a_row_without_an_answer_cannot_be_kept(tmp_path):
    folder = source(tmp_path / "source", [problem(1), {"question": "q", "answer": "none"}])
    done = prepare("gsm8k", "--source", folder, "--keep", "gold", "--out", tmp_path / "out")
    refused(done, f"{folder / 'train.jsonl'}, row 2", "cannot be kept")
    assert not (tmp_path / "out").exists()


def test_when_all_rows_are_left_out_it_says_why(tmp_path, finished):
    out, before = finished
    folder = source(tmp_path / "source", [{"question": f"q{n}", "answer": "none"} for n in range(3)])
    done = prepare("gsm8k", "--source", folder, "--drop", "gold", "--out", out)
    refused(done, "train", "no row left of 3", "gold: 3 rows", f"{folder / 'train.jsonl'}, row 1")
    assert contents(out) == before


def png(colour="red"):
    picture = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(picture, "png")
    return picture.getvalue()


@pytest.fixture
def pictures(tmp_path):
    """A source for geo3k with one good row; a test puts a bad one behind it."""
    folder = tmp_path / "source"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "good.png").write_bytes(png())
    (folder / "images" / "short.png").write_bytes(png()[:-30])
    (folder / "images" / "text.png").write_text("no picture")
    return folder


def with_bad_image(folder, images):
    good = {"problem": "<image>Find x.", "answer": "1", "images": ["images/good.png"]}
    write_lines(folder / "train.jsonl", [good, {"problem": "<image>Find y.", "answer": "2", "images": images}])


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (["images/missing.png"], ["images/missing.png", "No such file"]),
        (["images/short.png"], ["images/short.png", "truncated"]),
        ([None], ["column 'images'", "there is none"]),
        (["images/text.png"], ["images/text.png", "not readable as an image"]),
        ([], ["1 <image> in the prompt and 0 images"]),
        (["images/good.png"] * 2, ["1 <image> in the prompt and 2 images"]),
    ],
)
def test_a_bad_image_is_named_and_left_out_only_when_told_so(tmp_path, pictures, images, expected):
    with_bad_image(pictures, images)
    options = ["--source", pictures, "--split", "train", "--out", tmp_path / "out"]
    refused(prepare("geo3k", *options), f"{pictures / 'train.jsonl'}, row 2", *expected, "--drop image")
    assert not (tmp_path / "out").exists()
    prepared("geo3k", *options, "--drop", "image")
    assert [row["reward_model"]["ground_truth"] for row in rows(tmp_path / "out")] == ["1"]


def test_a_bomb_of_an_image_is_named(tmp_path, pictures):
    Image.new("1", (20_000, 20_000)).save(pictures / "images" / "bomb.png")
    with_bad_image(pictures, ["images/bomb.png"])
    done = prepare("geo3k", "--source", pictures, "--split", "train", "--out", tmp_path / "out")
    refused(done, f"{pictures / 'train.jsonl'}, row 2", "not readable as an image", "decompression bomb")


@pytest.mark.parametrize("images", ["images/good.png", None, [7]])
def test_images_in_another_form_are_named(tmp_path, pictures, images):
    with_bad_image(pictures, images)
    done = prepare("geo3k", "--source", pictures, "--split", "train", "--drop", "image", "--out", tmp_path / "out")
    refused(done, f"{pictures / 'train.jsonl'}, row 2", "column 'images'")


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    """A folder with three tokenizers: of words, with and without a chat template, and a truncated one."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tokenizers")
    words = Tokenizer(models.WordLevel({"[unk]": 0, "<": 1}, unk_token="[unk]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[unk]")
    tokenizer.save_pretrained(folder / "plain")
    tokenizer.chat_template = (
        "{% for each in messages %}< {{ each['content'] }} {% endfor %}{% if add_generation_prompt %}< {% endif %}"
    )
    tokenizer.save_pretrained(folder / "chat")
    shutil.copytree(folder / "chat", folder / "truncated")
    (folder / "truncated" / "tokenizer.json").write_text((folder / "chat" / "tokenizer.json").read_text()[:100])
    (folder / "empty").mkdir()
    return folder


def test_prompts_are_measured_as_the_model_sees_them(tmp_path, tokenizers):
    folder, out = source(tmp_path / "source", [problem(1), problem(2) | {"question": LONG}]), tmp_path / "out"
    options = ["--source", folder, "--out", out, "--tokenizer", tokenizers / "chat"]
    done = prepared("gsm8k", *options)
    words = [len(row["prompt"][0]["content"].split()) + 2 for row in rows(out)]
    length = manifest(out)["splits"]["train"]["prompt_length"]
    assert (length["unit"], length["min"], length["max"]) == ("tokens", min(words), max(words))
    assert "< How much is 1 and 1?" in done.stdout

    shorter = ["--max-prompt-tokens", max(words) - 1]
    done = prepared("gsm8k", *options, *shorter)
    assert f"{folder / 'train.jsonl'}, row 2: {max(words)} tokens" in done.stdout
    assert len(rows(out)) == 2
    prepared("gsm8k", *options, *shorter, "--drop", "long")
    assert [row["extra_info"]["index"] for row in rows(out)] == [0]
    prepared("gsm8k", *options, "--max-prompt-tokens", max(words), "--drop", "long")
    assert len(rows(out)) == 2


def test_a_tokenizer_that_changed_under_the_same_name_is_noticed(tmp_path, tokenizers):
    folder, model = source(tmp_path / "source", [problem(1)]), tmp_path / "model"
    shutil.copytree(tokenizers / "chat", model)
    options = ["--source", folder, "--out", tmp_path / "out", "--tokenizer", model]
    prepared("gsm8k", *options)
    (model / "model.safetensors").write_bytes(b"no part of the tokenizer")
    assert "up to date" in prepared("gsm8k", *options).stdout
    template = model / "chat_template.jinja"
    template.write_text(template.read_text().replace("<", "<s>"))
    assert "up to date" not in prepared("gsm8k", *options).stdout


def test_a_model_that_cannot_be_made_for_its_tokenizer_is_named(tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("no folder")
    monkeypatch.setenv("GRPO_LAUNCHPAD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    options = ["--source", SAMPLES / "gsm8k", "--out", tmp_path / "out", "--tokenizer", "smoke:Qwen/Qwen2-7B-Instruct"]
    assert "cannot write to" not in refused(
        prepare("gsm8k", *options), "--tokenizer smoke:Qwen/Qwen2-7B-Instruct", "cache"
    )


@pytest.mark.parametrize("case", ["plain", "empty", "truncated", "missing", "nobody/nothing"])
def test_a_tokenizer_that_cannot_be_used_is_named(tmp_path, monkeypatch, tokenizers, finished, case):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    out, before = finished
    name = case if "/" in case else tokenizers / case
    done = prepare("gsm8k", "--source", SAMPLES / "gsm8k", "--out", out, "--tokenizer", name)
    told = refused(done, f"--tokenizer {name}", "chat template" if case == "plain" else "Give a folder")
    assert "from one of:" not in told  # the first line of a list that is not shown
    assert contents(out) == before


def test_a_file_in_place_of_the_out_folder_is_named(tmp_path):
    (tmp_path / "taken").write_text("mine")
    done = prepare("gsm8k", "--source", SAMPLES / "gsm8k", "--out", tmp_path / "taken")
    told = refused(done, f"cannot write to {tmp_path / 'taken'}", "--out")
    assert "space" not in told
    assert (tmp_path / "taken").read_text() == "mine"


def without_roots_powers():
    """Let rights count for root as well: drop CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH before the program is loaded."""
    for capability in (1, 2):
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)


@pytest.mark.parametrize("exists", [True, False])
def test_a_folder_that_may_not_be_written_to_is_named(tmp_path, finished, exists):
    out, before = finished
    locked = out if exists else out.parent / "locked"
    locked.mkdir(exist_ok=True)
    locked.chmod(0o555)
    target = locked if exists else locked / "out"
    arguments = ["--source", SAMPLES / "gsm8k", "--out", target]
    try:
        done = script("gsm8k", *arguments, cwd=tmp_path, preexec_fn=without_roots_powers)
    finally:
        locked.chmod(0o755)
    told = refused(done, f"cannot write to {target}: Permission denied", "--out")
    assert "space" not in told
    assert (f"({target}/.partial-" in told) == exists
    assert contents(locked) == (before if exists else {})


@pytest.mark.parametrize("locked", ["source", "source/train.jsonl", "."])
def test_a_source_that_may_not_be_read_is_named_as_such(tmp_path, locked):
    folder = source(tmp_path / "data" / "source", [problem(1)])
    path = (tmp_path / "data" / locked).resolve()
    path.chmod(0)
    try:
        arguments = ["--source", folder, "--out", tmp_path / "out"]
        done = script("gsm8k", *arguments, cwd=tmp_path, preexec_fn=without_roots_powers)
    finally:
        path.chmod(0o755)
    named = folder if locked == "." else path
    told = refused(done, f"{named}: cannot be read (Permission denied)")
    assert "cannot write" not in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("space", "exists"), [(0, False), (3000, True), (20_000, True)])
def test_a_full_disk_leaves_all_as_it_was(tmp_path, finished, space, exists):
    """No file can have more bytes than this: it ends within the first file, a small one, or a large one."""
    out, before = finished
    target = out if exists else tmp_path / "new"

    def full():
        resource.setrlimit(resource.RLIMIT_FSIZE, (space, space))

    done = script("gsm8k", "--source", SAMPLES / "gsm8k", "--out", target, cwd=tmp_path, preexec_fn=full)
    refused(done, f"cannot write to {target}: ", "File too large", "--out")
    assert contents(target) == (before if exists else None)


@pytest.mark.parametrize("file", ["card.md", "prompt_lengths.svg", "manifest.json"])
def test_a_disk_that_is_full_at_last_leaves_the_old_files(tmp_path, monkeypatch, finished, file):
    out, before = finished
    write_text = Path.write_text

    def fails(path, *arguments, **options):
        if path.name == file:
            write_text(path, "hal")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write_text(path, *arguments, **options)

    monkeypatch.setattr(Path, "write_text", fails)
    done = prepare("gsm8k", "--source", SAMPLES / "gsm8k", "--out", out)
    refused(done, f"cannot write to {out}: No space left on device. Free some space")
    assert contents(out) == before


def test_a_file_system_without_space_leaves_the_old_files(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "none", str(disk)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can mount a small file system, and not everywhere")
    try:
        out = disk / "out"
        prepared("gsm8k", "--source", SAMPLES / "gsm8k", "--limit", 5, "--out", out)
        before = contents(out)
        done = prepare("gsm8k", "--source", SAMPLES / "gsm8k", "--out", out)
        refused(done, f"cannot write to {out}: ", "No space left on device", "Free some space")
        assert contents(out) == before
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_the_card_is_printed_where_only_ascii_is(tmp_path):
    """A terminal or a log file with an old locale must not turn finished work into a failure."""
    environment = {"PYTHONIOENCODING": "ascii"}
    records = [problem(1) | {"question": "Wie viele Brötchen?"}]
    folder = source(tmp_path / "source", records)
    done = script("gsm8k", "--source", folder, "--out", tmp_path / "out", cwd=tmp_path, environment=environment)
    assert done.returncode == 0, done.stderr
    assert sorted(contents(tmp_path / "out")) == FINISHED


def test_who_reads_only_the_first_line_of_the_card_sees_no_error(tmp_path):
    """As in: python data_prep/gsm8k.py | head -1."""
    folder = source(tmp_path / "source", [problem(1)])
    with started("gsm8k", "--source", folder, "--out", tmp_path / "out", cwd=tmp_path) as run:
        run.stdout.close()
        assert run.stderr.read() == ""
        assert run.wait(60) == 0
    assert sorted(contents(tmp_path / "out")) == FINISHED


def test_no_folder_is_written_to_but_the_output(tmp_path):
    """Neither the project nor the home folder."""
    home, folder = tmp_path / "home", source(tmp_path / "source", [problem(1)])
    home.mkdir()
    project = {path for path in (ROOT / "data_prep").rglob("*") if path.suffix != ".pyc"}
    environment = {"HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    done = script("gsm8k", "--source", folder, "--out", tmp_path / "out", cwd=tmp_path, environment=environment)
    assert done.returncode == 0, done.stderr
    assert contents(home) == {}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "out", "source"]
    assert {path for path in (ROOT / "data_prep").rglob("*") if path.suffix != ".pyc"} == project


@pytest.mark.parametrize("safe_path", ["", "1"])
def test_the_project_need_not_be_installed(tmp_path, safe_path):
    """A checkout and its dependencies are enough: Python's site, which knows what is installed, is left out."""
    paths = os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))
    command = [sys.executable, "-S", ROOT / "data_prep" / "gsm8k.py", "--source", SAMPLES / "gsm8k", "--out", "out"]
    environment = os.environ | {"PYTHONPATH": paths, "PYTHONSAFEPATH": safe_path}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert data_of(tmp_path / "out").keys() == set(FINISHED) - {"manifest.json"}
