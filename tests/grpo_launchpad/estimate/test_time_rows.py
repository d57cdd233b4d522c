"""How a published row of time is read: what is modelled, in which unit, and what is left out with its reason."""

import json

import pytest

from benchmarks.estimate import time_rows
from benchmarks.estimate.published import main, measured_of

# The fields of a published row that are read; the figures are those of verl's log of Qwen2-7B on 8 H20.
ROW = {
    "id": "a.step8.upd",
    "run": "a.step8",
    "split_group": "a",
    "source": {"repo": "someone/logs", "path": "a.log", "commit": "0", "date": "2025-05-01", "snapshot_date": None},
    "what": "update_s",
    "value": 74.0,
    "unit": "s",
    "model": "Qwen/Qwen2-7B-Instruct",
    "engine": "fsdp2 + vllm",
    "gpu": {"name": "NVIDIA H20-96GB", "gib": 95.1},
    "world": 8,
    "tp": None,
    "pp": None,
    "vpp": None,
    "cp": None,
    "ep": None,
    "dp": 8,
    "micro_batch": 40,
    "token_budget": None,
    "seq_len": None,
    "prompt_len": 512,
    "response_len": 1024,
    "global_batch": 1024,
    "n": 5,
    "recompute": {"mode": "none"},
    "offload": "param+optimizer",
    "lora_rank": 0,
    "fp8": False,
    "attention": None,
    "engine_util": 0.6,
    "extra": {"mean_response": "154-208", "tokens_per_step": "1.26-1.51 M", "rollout_tp": 2, "mini": 256},
    "confidence": "b",
}
TRAINING = ROW | {
    "engine": "fsdp2",
    "what": "step_s",
    "seq_len": 4096,
    "micro_batch": 2,
    "global_batch": 16,
    "gpu": {"name": "NVIDIA H100-SXM-80GB", "gib": 79.2},
    "extra": {},
}


def of(row=ROW, **changes):
    extra = row["extra"] | changes.pop("extra", {})
    return row | changes | {"extra": extra}


@pytest.mark.parametrize(
    ("what", "measured"),
    [("update_s", 74.0), ("old_log_prob_s", 24.3), ("ref_log_prob_s", 24.0), ("generate_s", 42.4), ("step_s", 166.0)],
)
def test_phases_of_a_published_step_are_within_a_factor_of_two(what, measured):
    assert 0.5 < time_rows.estimate_row(of(what=what)) / measured < 2


def test_a_step_is_longer_than_its_phases():
    phases = ("update_s", "old_log_prob_s", "ref_log_prob_s", "generate_s")
    assert time_rows.estimate_row(of(what="step_s")) > sum(time_rows.estimate_row(of(what=what)) for what in phases)


def test_rates_are_tokens_by_seconds():
    seconds = time_rows.estimate_row(TRAINING)
    assert time_rows.estimate_row(of(TRAINING, what="tokens_per_s_total")) == pytest.approx(16 * 4096 / seconds)
    assert time_rows.estimate_row(of(TRAINING, what="tokens_per_s_per_gpu")) == pytest.approx(2 * 4096 / seconds)


def test_what_was_measured_does_not_change_the_estimate():
    assert time_rows.estimate_row(of(value=1e6)) == time_rows.estimate_row(of(value=1e-6))
    assert time_rows.estimate_row(of(id="b", run="b", split_group="b")) == time_rows.estimate_row(ROW)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (of(what="validate_s"), "is not modelled"),
        (of(extra={"mode": "fully_async rollout:train 16:16"}), "overlap"),
        (of(extra={"policy": "1-step Off"}), "overlap"),
        (of(gpu=None), "names no device"),
        (of(gpu={"name": "Some GPU", "gib": 80}), "of the table"),
        (of(model="nobody/Nothing-7B"), "not known"),
        (of(world=None), "number of devices"),
        (of(response_len=8192, extra={"mean_response": None, "tokens_per_step": None}), "length of responses"),
        (of(TRAINING, pp=2), "pipeline stages"),
        (of(TRAINING, global_batch=None), "batch"),
    ],
)
def test_what_is_not_modelled_says_why(row, reason):
    found = time_rows.estimate(row)
    assert found.value is None
    assert reason in found.reason


def test_a_colocated_run_of_an_asynchronous_page_is_modelled():
    assert time_rows.estimate_row(of(id="verl.fully_async.colocate.64.upd", extra={"mode": "colocate sync"})) > 0


@pytest.mark.parametrize(
    ("name", "device", "per_node"),
    [
        ("NVIDIA H100-SXM-80GB", "H100", 8),
        ("NVIDIA H100 80GB HBM3", "H100", 8),
        ("NVIDIA A100-SXM4-40GB", "A100-40", 8),
        ("NVIDIA A100-PCIe-80GB", "A100-PCIe-80GB", 8),
        ("NVIDIA GB200", "GB200", 72),
        ("NVIDIA RTX 4090-24GB", "4090", 8),
        ("Ascend 910B3-64GB (Atlas 800T A2)", "910B", 8),
        ("Ascend A3 die (64 GB)", "910C", 16),
        ("AMD MI300X", "MI300X", 8),
    ],
)
def test_devices_by_the_names_that_sources_give_them(name, device, per_node):
    found, machine = time_rows.device_of_row(of(gpu={"name": name, "gib": 1}))
    assert (found.name, machine) == (device, per_node)


def test_published_runs_have_the_ratio_of_each_phase(tmp_path, capsys):
    rows = [ROW, of(what="old_log_prob_s", value=24.3), of(what="validate_s", value=45.0), TRAINING]
    (run,) = measured_of(rows)
    assert set(run.phases) == {"update_actor", "old_log_prob"}
    assert run.phases["update_actor"] == pytest.approx(74.0 / time_rows.estimate_row(ROW), abs=0.001)
    assert (run.device, run.trainer, run.adapters) == ("H20", "fsdp", False)
    source, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main([str(source), "--out", str(out)]) == 0
    assert json.loads(out.read_text())["id"] == "a.step8"
    assert "1 runs in" in capsys.readouterr().out
