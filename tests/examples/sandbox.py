"""Runs launchers where nothing they start is real: the trainer is recorded, foreign programs fail the test."""

import itertools
import json
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from grpo_launchpad.launch.plan import ROOT

PROJECT_FOLDERS = ("examples", "grpo_launchpad", "reward_score", "data_prep")
FORBIDDEN = ("pkill", "killall", "ray", "ssh", "curl", "wget", "sudo", "hf", "huggingface-cli", "pip", "pip3", "uv")
TRAINER = "verl.trainer.main_ppo"
SERVER = "grpo_launchpad.warm_workers.server"
REPORT = "grpo_launchpad report"
RECORDED = (TRAINER, SERVER, REPORT)
DEVICES = 16  # more than any launcher asks of a machine

FORBIDDEN_PROGRAM = """#!/bin/sh
echo "$(basename "$0") $*" >>"${HARNESS_RECORDS}/forbidden"
exit 97
"""
# The one question that a launch may ask each of them.
NVIDIA_SMI = f"""#!/bin/sh
[ "$*" = -L ] || {{ echo "nvidia-smi $*" >>"${{HARNESS_RECORDS}}/forbidden"; exit 97; }}
for index in $(seq 0 {DEVICES - 1}); do
    echo "GPU ${{index}}: NVIDIA H100 80GB HBM3 (UUID: GPU-00000000-0000-0000-0000-0000000000${{index}})"
done
"""
NPU_SMI = f"""#!/bin/sh
[ "$*" = info ] || {{ echo "npu-smi $*" >>"${{HARNESS_RECORDS}}/forbidden"; exit 97; }}
bar="+---------------------------+---------------+----------------------------------------------------+"
echo "$bar"
echo "| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|"
echo "| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |"
for index in $(seq 0 {DEVICES - 1}); do
    echo "$bar"
    printf '| %-5s 910B3               ' "$index"
    echo "| OK            | 93.6        49                0    / 0             |"
    echo "| 0                         | 0000:C1:00.0  | 0           0    / 0          3349 / 65536         |"
done
echo "$bar"
"""
RECORDING_PYTHON = """#!/bin/sh
case "$*" in
{recorded}) exec {python} -I {recorder} "$@" ;;
esac
exec {python} "$@"
"""
RECORDER = """
import json, os, sys
_, _, module, *arguments = sys.argv[1:]
if module == "grpo_launchpad":
    module = f"{module} {arguments.pop(0)}"
path = os.path.join(os.environ["HARNESS_RECORDS"], f"{module}.{os.getpid()}")
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

    def trainer_call(self) -> dict:
        (call,) = self.calls_of(TRAINER)
        return call

    def _printed_words(self) -> list[str]:
        words = shlex.split(self.stdout.replace("\\\n", " "))
        assert words.count(TRAINER) == 1, self.stdout
        return words

    def printed_arguments(self) -> list[str]:
        """What the printed command would give the trainer, read as a shell would read it."""
        words = self._printed_words()
        return words[words.index(TRAINER) + 1 :]

    def printed_exports(self) -> dict[str, str]:
        words = self._printed_words()
        return dict(words[i + 1].split("=", 1) for i, word in enumerate(words) if word == "export")

    def settings(self) -> dict[str, str]:
        """Each key of the printed command with the value that Hydra takes, which is the last."""
        return dict(split_override(argument) for argument in self.printed_arguments())


def split_override(override: str) -> tuple[str, str]:
    key, value = override.split("=", 1)
    return key.lstrip("+"), value


class Sandbox:
    """A copy of the project in a folder whose name has a space, with a home and a PATH of its own."""

    def __init__(self, folder: Path, data: Path):
        self.outside = folder
        self.folder = folder / "sandbox"
        self.project = self.folder / "the project"
        self.runs = self.project / "runs"
        for new in (self.folder / "home", folder / "bin"):
            new.mkdir(parents=True)
        for name in PROJECT_FOLDERS:
            shutil.copytree(ROOT / name, self.project / name, ignore=shutil.ignore_patterns("__pycache__"))
        self.model = self.folder / "model"
        self.model.mkdir()
        (self.model / "config.json").write_text("{}")
        (self.model / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
        for name in FORBIDDEN:
            self.program(name, FORBIDDEN_PROGRAM)
        self.program("nvidia-smi", NVIDIA_SMI)
        self.program("npu-smi", NPU_SMI)
        (folder / "recorder.py").write_text(RECORDER)
        python = RECORDING_PYTHON.format(
            python=shlex.quote(sys.executable),
            recorder=shlex.quote(str(folder / "recorder.py")),
            recorded="|".join(f'"-P -m {module} "*' for module in RECORDED),
        )
        self.environment = {
            "PATH": f"{folder / 'bin'}:/usr/bin:/bin",
            "HOME": str(self.folder / "home"),
            "PYTHON": str(self.program("recording-python", python)),
            "DATA_DIR": str(data),
            "MODEL_PATH": str(self.model),
            "HF_HUB_OFFLINE": "1",
        }
        self.launches = itertools.count()

    def program(self, name: str, text: str) -> Path:
        path = self.outside / "bin" / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def launch(self, name: str, *overrides: str, without: tuple[str, ...] = (), **environment: str) -> Result:
        """Run a launcher to its end; a forbidden program fails the test."""
        records = self.outside / "records" / str(next(self.launches))
        records.mkdir(parents=True)
        environment = self.environment | {"HARNESS_RECORDS": str(records)} | environment
        done = subprocess.run(
            ["bash", str(self.project / "examples" / "grpo_trainer" / f"{name}.sh"), *overrides],
            env={key: value for key, value in environment.items() if key not in without},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        forbidden = records / "forbidden"
        assert not forbidden.exists(), f"{name} called {forbidden.read_text()}"
        calls = [json.loads(path.read_text()) for path in sorted(records.glob("*.json"))]
        return Result(done.returncode, done.stdout, done.stderr, calls)

    def try_command(self, name: str, *overrides: str, **environment: str) -> Result:
        """The dry run with the launcher's own model and data and without the checks, which take seconds."""
        own = ("MODEL_PATH", "DATA_DIR")
        settings = {"DRY_RUN": "1", "PREFLIGHT": "0"} | environment
        return self.launch(name, *overrides, without=tuple(set(own) - set(environment)), **settings)

    def print_command(self, name: str, *overrides: str, **environment: str) -> Result:
        """The same, where it is to succeed."""
        result = self.try_command(name, *overrides, **environment)
        assert result.returncode == 0, result.stderr
        return result

    def files(self) -> dict[Path, int]:
        return {path: path.lstat().st_mtime_ns for path in self.folder.rglob("*")}
