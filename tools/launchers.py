"""The launchers of this project, and what their text and their dry run say."""

import difflib
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from grpo_launchpad.architectures import Architecture, published

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "examples" / "grpo_trainer"
LIBRARY = ROOT / "examples" / "lib"

KNOB = re.compile(r"^(?P<name>[A-Z][A-Z0-9_]*)=\$\{(?P=name):-(?P<default>[^}]*)\}", re.MULTILINE)


class LauncherError(Exception):
    """A launcher does not exist, or its text lacks something; the message says what to do."""


@dataclass(frozen=True)
class Launcher:
    """One launcher, described by its name (run_<model>_<backend>_<task>), its header and its knobs."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def model(self) -> str:
        return self.name.split("_")[1]

    @property
    def backend(self) -> str:
        return self.name.split("_")[2]

    @property
    def task(self) -> str:
        return self.name.split("_")[3]

    @property
    def device(self) -> str:
        """cuda, npu or cpu, as launch.sh reads it from the backend."""
        if self.backend.startswith("cpu"):
            return "cpu"
        return "npu" if self.backend.endswith("-npu") else "cuda"

    @cached_property
    def knobs(self) -> dict[str, str]:
        """The knobs that the launcher names, with its defaults."""
        return {found["name"]: found["default"] for found in KNOB.finditer(self.text)}

    @property
    def identity(self) -> list[str]:
        """The fields of its second line, ``# GRPO | model | trains with | task``, without the first."""
        fields = self.text.splitlines()[1].split(" | ")
        if fields[0] != "# GRPO" or len(fields) != 4:
            raise LauncherError(f"{self.path}:2: write '# GRPO | <model> | <trains with> | <task>'")
        return fields[1:]

    @property
    def architecture(self) -> Architecture | None:
        """Of its model; None for one that this project builds."""
        return published(self.model) or published(self.knobs["MODEL_PATH"])


def all_launchers(folder: Path = FOLDER) -> list[Launcher]:
    """Return the launchers of a folder, sorted by name."""
    return [Launcher(path) for path in sorted(folder.glob("run_*.sh"))]


def find_launcher(name: str, folder: Path = FOLDER) -> Launcher:
    """Return a launcher by its name, with or without folder and ``.sh``.

    Raises:
        LauncherError: if there is none; the message names similar ones.
    """
    wanted = Path(name).name.removesuffix(".sh")
    names = [launcher.name for launcher in all_launchers(folder)]
    if wanted in names:
        return Launcher(folder / f"{wanted}.sh")
    similar = difflib.get_close_matches(wanted, names, n=3, cutoff=0.3)
    hint = f"did you mean {' or '.join(similar)}?" if similar else f"they are in {folder}"
    raise LauncherError(f"there is no launcher {wanted!r}; {hint}")


def overrides_of(launcher: Launcher) -> list[str]:
    """Return the Hydra overrides that a launcher gives verl when nothing is set: no knob, no ``cluster/env.sh``.

    It is a dry run without its checks: ``true`` takes the place of Python.

    Raises:
        LauncherError: if the launcher refuses; the message is its own.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "examples" / "grpo_trainer" / launcher.path.name
        copy.parent.mkdir(parents=True)
        shutil.copy(launcher.path, copy)
        shutil.copytree(LIBRARY, copy.parents[1] / LIBRARY.name)
        done = subprocess.run(
            ["bash", copy],
            env={"PATH": os.environ["PATH"], "PYTHON": "true", "DRY_RUN": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        complaint = done.stderr.strip().removeprefix(f"{launcher.name}: ")
        raise LauncherError(complaint.replace(str(copy), str(launcher.path)))
    words = shlex.split(done.stdout.replace("\\\n", " "))
    return words[words.index("verl.trainer.main_ppo") + 1 :]
