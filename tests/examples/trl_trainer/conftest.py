import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers.utils.logging import disable_progress_bar

from grpo_launchpad import models

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "examples" / "trl_trainer"
sys.path.insert(0, str(FOLDER))  # its modules find each other as in a run: beside the script

PACKAGED = "HuggingFaceTB/SmolLM2-135M-Instruct"
GSM8K = FOLDER / "run_qwen2.5-0.5b_trl_gsm8k.sh"
SMOLTLDR = FOLDER / "run_smollm-135m_trl-lora_smoltldr.sh"

# Stands in for the interpreter: makes data as asked, and prints what the training script would be given.
RECORDING_PYTHON = f"""#!/bin/sh
case "$1" in
*/data_prep/*) exec {sys.executable} "$@" >&2 ;;
esac
shift
printf '%s\\n' "$@"
"""


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """The environment of everything started here: no network, no GPU, two threads."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "GRPO_LAUNCHPAD_CACHE") if name in os.environ}
    limits = {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "2"}
    return kept | limits | {"PYTHONPATH": str(ROOT), "PYTHON": sys.executable}


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """A model of random weights, with the tokenizer and the chat template of the packaged one."""
    disable_progress_bar()
    folder = tmp_path_factory.mktemp("model") / "tiny"
    tokenizer = AutoTokenizer.from_pretrained(models.resolve(PACKAGED))
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    tokens = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id, "bos_token_id": None}
    config = LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=2048, **sizes, **tokens)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def sample(tmp_path_factory, environment) -> Callable[[str], Path]:
    """Return the folder with the rows of a task that come with the project, prepared once."""
    made: dict[str, Path] = {}

    def prepare(task: str) -> Path:
        if task not in made:
            folder = tmp_path_factory.mktemp("data") / task
            script, source = ROOT / "data_prep" / f"{task}.py", ROOT / "data_prep" / "samples" / task
            command = [sys.executable, script, "--source", source, "--out", folder]
            subprocess.run(command, check=True, capture_output=True, env=environment)
            made[task] = folder
        return made[task]

    return prepare


@pytest.fixture
def launch(tmp_path, environment) -> Callable[..., list[str]]:
    """Run a launcher up to its last line; returns the arguments that its script would be given."""
    python = tmp_path / "python"
    python.write_text(RECORDING_PYTHON)
    python.chmod(0o755)

    def run(launcher: Path, *arguments: str, **knobs: str) -> list[str]:
        command = ["bash", launcher, *arguments]
        settings = environment | {"PYTHON": str(python)} | knobs
        done = subprocess.run(command, capture_output=True, text=True, env=settings, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run
