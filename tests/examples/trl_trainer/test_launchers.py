"""The launchers as a user starts them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.examples.trl_trainer.conftest import GSM8K, ROOT, SMOLTLDR


def test_smoltldr_trains_merges_and_generates(environment, tiny_model, tmp_path):
    settings = environment | {
        "SMOKE": "1",
        "MODEL_PATH": str(tiny_model),
        "OUTPUT_DIR": str(tmp_path / "out"),
        "MAX_STEPS": "1",
        "MAX_COMPLETION_LENGTH": "8",
    }
    done = subprocess.run(["bash", SMOLTLDR], capture_output=True, text=True, env=settings, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "trainable params: " in done.stdout
    assert "'rewards/reward_len/mean'" in done.stdout
    assert "40 prompts; 0 of more than 512 tokens were left out" in done.stdout
    model = tmp_path / "out" / "model"
    before, answer = done.stdout.split("it answers\n\n")
    assert f"the trained model is in {model}; to the post\n\nSUBREDDIT: r/" in before
    assert answer.strip()
    assert (model / "model.safetensors").is_file()
    assert not list(model.glob("adapter*"))
    assert list((tmp_path / "out" / "runs").rglob("events.out.tfevents.*"))


@pytest.mark.parametrize("shell_script", [GSM8K, SMOLTLDR])
@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ({}, "0"),
        ({"CUDA_VISIBLE_DEVICES": "2,3"}, "2"),
        ({"CUDA_VISIBLE_DEVICES": ""}, ""),
        ({"CUDA_VISIBLE_DEVICES": "2", "SMOKE": "1"}, ""),
    ],
)
def test_a_script_sees_one_gpu_at_most(shell_script, given, seen, environment, tmp_path):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nprintf %s "$CUDA_VISIBLE_DEVICES"\n')
    python.chmod(0o755)
    settings = {name: value for name, value in environment.items() if name != "CUDA_VISIBLE_DEVICES"} | given
    settings |= {"PYTHON": str(python), "DATA": "somewhere"}
    done = subprocess.run(["bash", shell_script], capture_output=True, text=True, env=settings, check=True)
    assert done.stdout == seen


@pytest.mark.parametrize(
    ("program", "options"), [("shfmt", ["-d", "-i", "4", "-ci"]), ("shellcheck", []), ("bash", ["-n"])]
)
def test_launchers_have_no_fault_that_the_checkers_know(program, options):
    found = Path(sys.executable).parent / program
    command = [found if found.exists() else program, *options, GSM8K, SMOLTLDR]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
