"""Runs whose checkpoints verl's own manager wrote, of one and of two ranks, after a step that moved the weights."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from data_prep.pipeline.verl_parquet import make_row
from grpo_launchpad.export.__main__ import _quiet
from grpo_launchpad.launch.plan import ROOT, plan_of_page
from grpo_launchpad.preflight.compose import compose
from grpo_launchpad.runs.folder import RunFolder
from grpo_launchpad.runs.versions import installed
from tests.verl_files import write_split

LAUNCHER = ROOT / "examples" / "grpo_trainer" / "run_tiny_cpu_arithmetic.sh"


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """A folder with trained cases, each as <world size>/<case>; see train.py."""
    _quiet()
    folder = tmp_path_factory.mktemp("trained")
    command = [sys.executable, Path(__file__).with_name("train.py"), folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="session")
def configuration(tmp_path_factory) -> str:
    """What a launcher records of a run on the tiny model, with data of 16 sums."""
    data = tmp_path_factory.mktemp("data") / "arithmetic"
    rows = [
        make_row(
            data_source="arithmetic",
            messages=[{"role": "user", "content": f"{index + 10}+{7 * index + 1}="}],
            ability="math",
            ground_truth=str(8 * index + 11),
            extra_info={"split": "test", "index": index},
        )
        for index in range(16)
    ]
    for split in ("train", "test"):
        write_split(data, split, rows)
    plan = plan_of_page(LAUNCHER, {"DATA_DIR": str(data.parent), "TRAIN_STEPS": "2"})
    return OmegaConf.to_yaml(compose(plan.overrides), resolve=False)


@pytest.fixture
def run(tmp_path, trained, configuration):
    """Makes a run folder of a case, whose files a test may change."""

    def make(case: str = "full", world_size: int = 1, **settings) -> RunFolder:
        run = RunFolder(tmp_path / f"a run {case} {world_size}")
        shutil.copytree(trained / str(world_size) / case, run.path)
        run.launch.mkdir()
        config = OmegaConf.create(configuration)
        settings = {"trainer.default_local_dir": str(run.checkpoints), **settings}
        for key, value in settings.items():
            OmegaConf.update(config, key, value)
        run.configuration.write_text(OmegaConf.to_yaml(config, resolve=False))
        identity = {
            "name": "run_tiny",
            "model": "tiny",
            "task": "arithmetic",
            "backend": "cpu",
            "world_size": world_size,
        }
        run.identity.write_text(json.dumps(identity | {"versions": installed()}))
        return run

    return make
