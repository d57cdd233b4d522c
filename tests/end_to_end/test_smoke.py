"""SMOKE=1, for real: a vision-language recipe for eight GPUs, with its reference model, on this CPU."""

import json
import os
import subprocess
import sys

from end_to_end_run import ROOT

LAUNCHER = ROOT / "examples" / "grpo_trainer" / "run_qwen2.5-vl-7b_fsdp_geo3k.sh"
SECONDS = 420


def test_a_recipe_for_gpus_is_rehearsed_on_a_cpu(tmp_path):
    environment = os.environ | {"PYTHON": sys.executable, "SMOKE": "1", "RUN_DIR": str(tmp_path / "a run")}
    done = subprocess.run(["bash", LAUNCHER], env=environment, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr

    folder = tmp_path / "a run.smoke"
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["status"], summary["steps"], summary["world_size"]) == ("completed", 2, 2)
    assert 0 < summary["rollout_probs_diff_mean"] < 0.01
    assert summary["accuracy_after"] == 0.0, "it was measured, on random weights"
    steps = [json.loads(line)["data"] for line in (folder / "metrics.1.jsonl").read_text().splitlines()]
    assert all(step["actor/grad_norm"] > 0 for step in steps)
    assert steps[1]["actor/kl_loss"] > 0, "the second step samples from other weights than the first"
    assert (folder / "checkpoints" / "global_step_2" / "actor").is_dir()
