"""Platforms that verl can train on beyond its own. Today: the CPU."""

import os


def cpu_is_selected() -> bool:
    """Whether this process was told to run on the CPU platform (``VERL_PLATFORM=cpu``)."""
    return os.environ.get("VERL_PLATFORM", "").strip().lower() == "cpu"
