"""SMOKE=1, for real, on this CPU: a vision-language recipe for eight GPUs, and a Megatron recipe that is resumed."""

import json
import os
import subprocess
import sys
from pathlib import Path

from end_to_end_run import ROOT, export
from transformers import AutoModelForCausalLM

LAUNCHERS = ROOT / "examples" / "grpo_trainer"
SECONDS = 1800  # a run takes a minute or two; this is for one that hangs


def run(command: list, **environment: str) -> None:
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr


def smoke(launcher: str, folder: Path, *overrides: str, **knobs: str) -> Path:
    """Run a launcher and return its run folder."""
    command = ["bash", LAUNCHERS / f"{launcher}.sh", *overrides]
    run(command, PYTHON=sys.executable, SMOKE="1", RUN_DIR=str(folder / "a run"), **knobs)
    return folder / "a run.smoke"


def steps(metrics: Path) -> dict[int, dict]:
    return {line["step"]: line["data"] for line in map(json.loads, metrics.read_text().splitlines())}


def test_a_recipe_for_gpus_is_rehearsed_on_a_cpu(tmp_path):
    folder = smoke("run_qwen2.5-vl-7b_fsdp_geo3k", tmp_path)
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["status"], summary["steps"], summary["world_size"]) == ("completed", 2, 2)
    assert 0 < summary["rollout_probs_diff_mean"] < 0.01
    assert summary["accuracy_after"] == 0.0, "it was measured, on random weights"
    found = steps(folder / "metrics.1.jsonl")
    assert all(step["actor/grad_norm"] > 0 for step in found.values())
    assert found[2]["actor/kl_loss"] > 0, "the second step samples from other weights than the first"
    assert (folder / "checkpoints" / "global_step_2" / "actor").is_dir()


def test_a_megatron_recipe_with_experts_is_saved_exported_and_resumed(tmp_path):
    one_step = ("trainer.total_training_steps=1", "trainer.save_freq=1", "trainer.test_freq=-1")
    sizes = {"ACTOR_EP": "2", "NGPUS_PER_NODE": "2"}
    folder = smoke("run_qwen3-30b-a3b_megatron_math", tmp_path, *one_step, **sizes)
    first = steps(folder / "metrics.1.jsonl")
    assert list(first) == [1]

    again = tmp_path / "again.sh"
    command = (folder / "launch" / "command.sh").read_text()
    again.write_text(command.replace("total_training_steps=1", "total_training_steps=2"))
    run(["bash", again], VERL_FILE_LOGGER_PATH=str(tmp_path / "again.jsonl"))
    second = steps(tmp_path / "again.jsonl")
    assert list(second) == [2], "step 1 is not done again"
    for step in (first | second).values():
        assert step["training/rollout_probs_diff_mean"] < 0.01
        assert step["rollout_corr/k3_kl"] < 0.02, "new weights reach the rollout engine's experts"
        assert 0 < step["actor/grad_norm"] < 100

    exported = {}
    for number in (1, 2):
        model = folder / "checkpoints" / f"global_step_{number}" / "actor" / "model" / "huggingface"
        exported[number] = AutoModelForCausalLM.from_pretrained(model).state_dict()
    moved = [name for name, weight in exported[1].items() if not weight.equal(exported[2][name])]
    assert any("experts" in name for name in moved)
    found = export(folder)
    assert "25 differ from the base model." in found, "the two layers' experts are a tensor each"
    assert "vLLM loads it." in found
