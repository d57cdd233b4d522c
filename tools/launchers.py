"""The launchers of this project, and what their pages say."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from grpo_launchpad.architectures import Architecture, published
from grpo_launchpad.launch.launchers import FOLDER, NoLauncherError, all_files, find_file
from grpo_launchpad.launch.name import LauncherName
from grpo_launchpad.launch.page import Page
from grpo_launchpad.launch.plan import ROOT

__all__ = ["FOLDER", "ROOT", "Launcher", "LauncherError", "NoLauncherError", "all_launchers", "find_launcher"]


class LauncherError(Exception):
    """A launcher's text lacks something; the message says what to do."""


@dataclass(frozen=True)
class Launcher:
    """One launcher, described by its name (run_<model>_<backend>_<task>), its header and its knobs."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    @cached_property
    def fields(self) -> LauncherName:
        return LauncherName.parse(self.path)

    @property
    def model(self) -> str:
        return self.fields.model

    @property
    def backend(self) -> str:
        return self.fields.backend

    @property
    def task(self) -> str:
        return self.fields.task

    @property
    def device(self) -> str:
        return self.fields.device

    @cached_property
    def page(self) -> Page:
        return Page(self.path)

    @property
    def text(self) -> str:
        return self.page.text

    @property
    def knobs(self) -> dict[str, str]:
        """The knobs that the launcher names, with its defaults."""
        return self.page.knobs

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
    return [Launcher(path) for path in all_files(folder)]


def find_launcher(name: str, folder: Path = FOLDER) -> Launcher:
    """Return a launcher by its name, with or without folder, ``run_`` and ``.sh``.

    Raises:
        NoLauncherError: if there is none; the message names similar ones.
    """
    return Launcher(find_file(name, folder))
