"""The probe of a GPU, on the CPU with its tiny architecture."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch

from tools import gpu_probe
from tools.gpu_probe import ARCHITECTURES, Rows, Setting, main, probe, settings_of

CPU = torch.device("cpu")
# Every key of a row of the published measurements.
KEYS = """
id run split_group source what value unit model engine gpu world tp pp vpp cp ep etp dp micro_batch token_budget seq_len
prompt_len response_len global_batch n dtype distributed_optimizer recompute offload lora_rank sequence_parallel fp8
attention engine_util extra confidence confidence_note in_preflight
"""


@pytest.fixture
def no_trainer(monkeypatch):
    monkeypatch.setattr(gpu_probe, "TRAINER", Path("/nowhere"))


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """One setting of each kind, measured once for all tests."""
    path = tmp_path_factory.mktemp("probe") / "probe.jsonl"
    rows = Rows(path, CPU)
    settings = [Setting("tiny", rank, bool(rank), 128, 64) for rank in (0, 4)]
    with gpu_probe.one_process(CPU):
        probe(settings, CPU, rows, 120)
    return rows_of(path)


def test_rows_have_the_form_of_published_ones(measured):
    assert measured
    assert all(list(row) == KEYS.split() for row in measured)
    assert len({row["id"] for row in measured}) == len(measured)


def test_each_setting_has_its_phases_and_times(measured):
    counts = Counter((row["lora_rank"], row["what"]) for row in measured)
    expected = {
        "log_probabilities_peak_resident_gib",
        "old_log_prob_s",
        "backward_peak_resident_gib",
        "optimizer_step_peak_resident_gib",
        "peak_resident_gib",
        "update_s",
    }
    assert counts == {(rank, what): 1 for rank in (0, 4) for what in expected}
    assert all(row["value"] > 0 for row in measured)
    assert {row["recompute"]["mode"] for row in measured if row["lora_rank"]} == {"full"}


def test_rows_of_time_are_estimated_where_the_device_is_known(measured):
    from benchmarks.estimate import time_rows

    for row in measured:
        if row["what"] in time_rows.KINDS:
            known = row | {"gpu": {"name": "NVIDIA H100 80GB HBM3", "gib": 79.2}, "model": "Qwen/Qwen2.5-0.5B-Instruct"}
            assert time_rows.estimate(known).value > 0
            assert time_rows.estimate(row).value is None


def test_what_does_not_fit_is_a_row_and_larger_ones_are_not_begun(tmp_path, monkeypatch):
    begun = []

    def measure(setting, device):
        begun.append(setting.tokens)
        yield "load", "loaded_gib", 1.0
        if setting.tokens > 100:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB.\nmore")

    monkeypatch.setattr(gpu_probe, "measure", measure)
    rows = Rows(tmp_path / "rows.jsonl", CPU)
    probe([Setting("tiny", 0, True, tokens, 64) for tokens in (64, 128, 256)], CPU, rows, 100)
    assert begun == [64, 128]
    (found,) = [row for row in rows_of(rows.path) if row["what"] == "oom"]
    assert (found["token_budget"], found["value"]) == (128, 1)
    assert found["extra"]["phase"] == "after load"
    assert found["extra"]["message"].startswith("CUDA out of memory")


def test_a_setting_that_would_not_end_in_time_is_not_begun(tmp_path, capsys):
    rows = Rows(tmp_path / "rows.jsonl", CPU)
    probe([Setting("tiny", 0, True, 64, 64)], CPU, rows, 0.5)
    assert rows.count == 0
    assert "not begun" in capsys.readouterr().out


def test_rows_are_added_to_what_is_there(tmp_path, no_trainer):
    path = tmp_path / "rows.jsonl"
    path.write_text("{}\n")
    assert main(["--device", "cpu", "--architecture", "tiny", "--seconds", "1", "--out", str(path)]) == 0
    assert path.read_text().startswith("{}\n")


def test_the_first_settings_are_one_of_each_kind():
    first = settings_of(["qwen2.5-0.5b", "qwen2.5-7b"])[:8]
    assert {(each.architecture, each.rank > 0, each.checkpointing) for each in first} == {
        (name, lora, checkpointing)
        for name in ("qwen2.5-0.5b", "qwen2.5-7b")
        for lora in (False, True)
        for checkpointing in (False, True)
    }


@pytest.mark.parametrize("name", ["qwen2.5-0.5b", "qwen2.5-1.5b", "qwen2.5-7b"])
def test_architectures_are_the_published_ones(name):
    from grpo_launchpad.architectures import published

    config = published(name).config
    layers, hidden, width, heads, kv_heads, vocab, tied = ARCHITECTURES[name]
    assert (config["num_hidden_layers"], config["hidden_size"], config["intermediate_size"]) == (layers, hidden, width)
    assert (config["num_attention_heads"], config["num_key_value_heads"]) == (heads, kv_heads)
    assert (config["vocab_size"], config["tie_word_embeddings"]) == (vocab, tied)
    assert gpu_probe.HUB_NAMES[name] in published(name).hub_names


def test_it_needs_nothing_of_the_project(tmp_path):
    alone = tmp_path / "gpu_probe.py"
    alone.write_bytes(Path(gpu_probe.__file__).read_bytes())
    done = subprocess.run(
        [sys.executable, "-I", str(alone), "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "grpo_launchpad" not in alone.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seconds", "0"], "give a number above 0"),
        (["--seconds", "nan"], "give a number above 0"),
        ([], "sees no GPU here"),
    ],
)
def test_mistakes_end_with_one_message(arguments, said, capsys):
    if torch.cuda.is_available() and not arguments:
        pytest.skip("there is a GPU here")
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
