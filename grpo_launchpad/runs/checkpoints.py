"""Which checkpoints of a run are complete.

verl 0.9.1 saves ``<trainer.default_local_dir>/global_step_<N>`` and then writes N into a file beside it
(``verl/trainer/ppo/v1/trainer_base.py``, _save_checkpoint): a step above that number is one whose saving was
interrupted.
"""

import re
from pathlib import Path

LAST_STEP = "latest_checkpointed_iteration.txt"
_STEP = re.compile(r"global_step_(\d+)")


def last_step(folder: Path) -> int | None:
    """Return the step of the last complete checkpoint, None if there is none."""
    try:
        text = (folder / LAST_STEP).read_text(errors="replace").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


def steps_in(folder: Path) -> tuple[list[int], list[int]]:
    """Return the steps whose checkpoints are complete and those whose saving was interrupted, ascending."""
    steps = sorted(int(found[1]) for path in folder.glob("global_step_*") if (found := _STEP.fullmatch(path.name)))
    last = last_step(folder)
    last = -1 if last is None else last
    return [step for step in steps if step <= last], [step for step in steps if step > last]


def folder_of(folder: Path, step: int) -> Path:
    """Return the place of a step's checkpoint."""
    return folder / f"global_step_{step}"
