"""The launchers of the project, by name."""

import difflib
from pathlib import Path

from grpo_launchpad.launch.plan import ROOT

FOLDER = ROOT / "examples" / "grpo_trainer"


class NoLauncherError(Exception):
    """There is no launcher of a name; the message names similar ones."""


def all_files(folder: Path = FOLDER) -> list[Path]:
    """Return the files of a folder's launchers, sorted by name."""
    return sorted(folder.glob("run_*.sh"))


def find_file(name: str, folder: Path = FOLDER) -> Path:
    """Return a launcher's file by its path, or by its name with or without ``run_`` and ``.sh``.

    Raises:
        NoLauncherError: if there is none.
    """
    if "/" in name and Path(name).is_file():
        return Path(name)
    wanted = Path(name).name.removesuffix(".sh")
    by_name = {file.stem: file for file in all_files(folder)}
    for candidate in (wanted, f"run_{wanted}"):
        if candidate in by_name:
            return by_name[candidate]
    similar = difflib.get_close_matches(wanted, by_name, n=3, cutoff=0.3)
    hint = f"did you mean {' or '.join(similar)}?" if similar else f"they are in {folder}"
    raise NoLauncherError(f"there is no launcher {wanted!r}; {hint}")
