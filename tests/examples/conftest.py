"""Runs launchers where nothing they start is real: the trainer is recorded, foreign programs fail the test."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from data_prep import arithmetic
from data_prep.pipeline.verl_parquet import make_row
from tests.verl_files import write_split

ROOT = Path(__file__).resolve().parents[2]
PROJECT_FOLDERS = ("examples", "grpo_launchpad", "reward_score", "data_prep")
FORBIDDEN = ("pkill", "killall", "ray", "nvidia-smi", "npu-smi", "ssh", "curl", "wget", "sudo")
RECORDED = ("verl.trainer.main_ppo", "grpo_launchpad.warm_workers.server", "grpo_launchpad.report")
ROWS = 1100  # above the largest train batch of any launcher

PYTHON_WRAPPER = """#!/bin/sh
case "$*" in
{recorded}) exec {python} -I {recorder} {records} "$@" ;;
"-B -m grpo_launchpad.preflight "*) [ "${{HARNESS_CHECKS:-on}}" = on ] || exit 0 ;;
esac
exec {python} "$@"
"""
RECORDER = """
import json, os, sys
folder, _, module, *arguments = sys.argv[1:]
path = os.path.join(folder, f"{module}.{os.getpid()}")
with open(path, "w") as stream:
    json.dump({"module": module, "arguments": arguments, "environment": dict(os.environ)}, stream)
os.rename(path, path + ".json")
if module == "verl.trainer.main_ppo":
    print("Final validation metrics: {}")
    sys.exit(int(os.environ.get("HARNESS_TRAINER_EXIT", "0")))
"""


@dataclass
class Result:
    returncode: int
    stdout: str
    stderr: str
    calls: list[dict] = field(repr=False)

    def calls_of(self, module: str) -> list[dict]:
        return [call for call in self.calls if call["module"] == module]

    def trainer_arguments(self) -> list[str]:
        (call,) = self.calls_of("verl.trainer.main_ppo")
        return call["arguments"]

    def printed_arguments(self) -> list[str]:
        """What the printed command would give the trainer, read as a shell would read it."""
        words = shlex.split(self.stdout.replace("\\\n", " "))
        assert words.count("verl.trainer.main_ppo") == 1, self.stdout
        return words[words.index("verl.trainer.main_ppo") + 1 :]


class Sandbox:
    """A copy of the project in a folder whose name has a space, with a home and a PATH of its own."""

    def __init__(self, folder: Path, data: Path):
        self.outside = folder
        self.folder = folder / "sandbox"
        self.project = self.folder / "the project"
        self.runs = self.project / "runs"
        self.records = folder / "records"
        for new in (self.folder / "home", self.records, folder / "bin"):
            new.mkdir(parents=True)
        for name in PROJECT_FOLDERS:
            shutil.copytree(ROOT / name, self.project / name, ignore=shutil.ignore_patterns("__pycache__"))
        self.model = self.folder / "model"
        self.model.mkdir()
        (self.model / "config.json").write_text("{}")
        (self.model / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
        for name in FORBIDDEN:
            self.program(name, f'#!/bin/sh\necho "{name} $*" >>{shlex.quote(str(self.records))}/forbidden\nexit 97\n')
        (folder / "recorder.py").write_text(RECORDER)
        python = PYTHON_WRAPPER.format(
            python=shlex.quote(sys.executable),
            recorder=shlex.quote(str(folder / "recorder.py")),
            records=shlex.quote(str(self.records)),
            recorded="|".join(f'"-m {module} "*' for module in RECORDED),
        )
        self.environment = {
            "PATH": f"{folder / 'bin'}:/usr/bin:/bin",
            "HOME": str(self.folder / "home"),
            "PYTHON": str(self.program("recording-python", python)),
            "DATA_DIR": str(data),
            "MODEL_PATH": str(self.model),
            "HF_HUB_OFFLINE": "1",
        }

    def program(self, name: str, text: str) -> Path:
        path = self.outside / "bin" / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def launch(self, name: str, *overrides: str, without: tuple[str, ...] = (), **environment: str) -> Result:
        """Run a launcher to its end; a forbidden program fails the test."""
        for old in self.records.iterdir():
            old.unlink()
        launcher = self.project / "examples" / "grpo_trainer" / f"{name}.sh"
        done = subprocess.run(
            ["bash", str(launcher), *overrides],
            env={k: v for k, v in (self.environment | environment).items() if k not in without},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        forbidden = self.records / "forbidden"
        assert not forbidden.exists(), f"{name} called {forbidden.read_text()}"
        calls = [json.loads(path.read_text()) for path in sorted(self.records.glob("*.json"))]
        return Result(done.returncode, done.stdout, done.stderr, calls)

    def print_command(self, name: str, *overrides: str, **environment: str) -> Result:
        """The dry run without its checks, which take seconds."""
        return self.launch(name, *overrides, DRY_RUN="1", HARNESS_CHECKS="off", **environment)

    def files(self) -> dict[Path, int]:
        return {path: path.lstat().st_mtime_ns for path in self.folder.rglob("*")}


def rows_of(task: str) -> list[dict]:
    """Rows for the data set that a launcher's name ends in."""
    source = {"arithmetic": arithmetic.DATA_SET.splits[0].data_source, "gsm8k": "openai/gsm8k"}[task]
    return [
        make_row(
            data_source=source,
            messages=[{"role": "user", "content": f"{index}+1="}],
            ability="math",
            ground_truth=str(index + 1),
            extra_info={"split": "train", "index": index},
        )
        for index in range(ROWS)
    ]


@pytest.fixture(scope="session")
def launcher_data(tmp_path_factory) -> Path:
    data = tmp_path_factory.mktemp("the data")
    names = [path.stem for path in (ROOT / "examples" / "grpo_trainer").glob("run_*.sh")]
    for task in {name.split("_")[3] for name in names}:
        for split in ("train", "test"):
            write_split(data / task, split, rows_of(task))
    return data


@pytest.fixture
def sandbox(tmp_path, launcher_data) -> Sandbox:
    return Sandbox(tmp_path, launcher_data)


@pytest.fixture(scope="module")
def run_once(tmp_path_factory, launcher_data):
    """Run each launcher for real (but for the trainer) at most once; several tests look at the same run."""
    done: dict[str, tuple[Sandbox, Result]] = {}

    def run(name: str) -> tuple[Sandbox, Result]:
        if name not in done:
            sandbox = Sandbox(tmp_path_factory.mktemp("run"), launcher_data)
            done[name] = sandbox, sandbox.launch(name, WANDB_API_KEY="wandb-secret-3141")
        return done[name]

    return run


def knobs_of(launcher: Path) -> dict[str, str]:
    return dict(re.findall(r"^([A-Z][A-Z0-9_]*)=\$\{\1:-([^}]*)\}", launcher.read_text(), re.MULTILINE))


def pytest_generate_tests(metafunc):
    launchers = sorted((ROOT / "examples" / "grpo_trainer").glob("*.sh"))
    if {"launcher", "knob"} <= set(metafunc.fixturenames):
        cases = [(path, knob, default) for path in launchers for knob, default in knobs_of(path).items()]
        metafunc.parametrize("launcher, knob, default", cases, ids=[f"{path.stem}-{knob}" for path, knob, _ in cases])
    elif "launcher" in metafunc.fixturenames:
        metafunc.parametrize("launcher", launchers, ids=[path.stem for path in launchers])
