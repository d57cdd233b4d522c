"""Whom a message names for a key: the launcher's line, its knob, the user's argument, or nobody."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from grpo_launchpad.preflight.places import Places

ROOT = Path(__file__).resolve().parents[3]
ROLLOUT = "actor_rollout_ref.rollout"
LAUNCHER = """#!/usr/bin/env bash
set -euo pipefail
source "{library}"
MODEL_PATH=${{MODEL_PATH:-Qwen/Qwen2-7B-Instruct}}
NNODES=${{NNODES:-1}}
NGPUS_PER_NODE=${{NGPUS_PER_NODE:-8}}
TRAIN_BATCH_SIZE=${{TRAIN_BATCH_SIZE:-64}}
MAX_PROMPT_LENGTH=${{MAX_PROMPT_LENGTH:-512}}
MAX_RESPONSE_LENGTH=${{MAX_RESPONSE_LENGTH:-1024}} # long
ROLLOUT=(
    "actor_rollout_ref.rollout.enforce_eager=True" # why
)
launch::run "${{ROLLOUT[@]}}" "$@"
"""


@pytest.fixture
def place(tmp_path):
    """Run a launcher dry with a stub for Python, and say where one of its keys is set."""
    launcher = tmp_path / "run_qwen2-7b_fsdp_gsm8k.sh"
    launcher.write_text(LAUNCHER.format(library=ROOT / "examples" / "lib" / "launch.sh"))
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 0\n")
    python.chmod(0o755)

    def place(key, *arguments, **variables):
        environment = os.environ | {"DRY_RUN": "1", "PYTHON": str(python)} | variables
        command = ["bash", launcher, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=True)
        words = shlex.split(done.stdout.replace("\\\n", " "))
        return Places(launcher, words[words.index("verl.trainer.main_ppo") + 1 :]).of(key)

    return place


def test_a_knob_is_named_with_the_launchers_line(place):
    key = "data.max_response_length"
    expected = f"run_qwen2-7b_fsdp_gsm8k.sh:9 MAX_RESPONSE_LENGTH ({key})"
    assert place(key) == expected
    assert place(key, MAX_RESPONSE_LENGTH="7") == expected


def test_a_knob_that_the_launcher_does_not_name_has_no_line(place):
    assert place(f"{ROLLOUT}.data_parallel_size", ROLLOUT_DP="2") == f"ROLLOUT_DP ({ROLLOUT}.data_parallel_size)"


def test_an_argument_is_named_if_it_came_last(place):
    assert place("data.max_response_length", "data.max_response_length=9") == "argument data.max_response_length=9"
    assert place(f"{ROLLOUT}.data_parallel_size", f"++{ROLLOUT}.data_parallel_size=2", ROLLOUT_DP="4") == (
        f"argument ++{ROLLOUT}.data_parallel_size=2"
    )
    assert place("trainer.use_v1", "trainer.use_v1=False") == "argument trainer.use_v1=False"


def test_an_element_of_an_array_is_named_by_its_line(place):
    key = f"{ROLLOUT}.enforce_eager"
    assert place(key).endswith(f".sh:11 {key}")


def test_an_argument_wins_over_an_array(place):
    key = f"{ROLLOUT}.top_k"
    assert place(key, f"{key}=5") == f"argument {key}=5"


def test_what_the_library_sets_is_no_argument(place):
    assert place(f"{ROLLOUT}.max_model_len") == f"{ROLLOUT}.max_model_len"
    assert place("trainer.logger") == "trainer.logger"
    assert place("trainer.logger", "trainer.logger=[console]") == "argument trainer.logger=[console]"


def test_a_key_nobody_set_and_what_is_no_key_stay_as_they_are(place):
    assert place("trainer.use_v1") == "trainer.use_v1"
    assert place("RAY_ADDRESS") == "RAY_ADDRESS"


def test_a_launcher_that_cannot_be_read_gives_no_lines(tmp_path):
    overrides = ["actor_rollout_ref.model.path=m", "trainer.nnodes=2"]
    assert Places(tmp_path / "gone.sh", overrides).of("trainer.nnodes") == "NNODES (trainer.nnodes)"
