"""A folder that is complete or absent, whoever is interrupted."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


def write_whole_folder(folder: Path, write: Callable[[Path], object]) -> Path:
    """Have ``write`` fill a new folder beside ``folder``, and rename it to ``folder`` when it is done.

    Raises:
        OSError: if nothing can be written there, or ``folder`` appeared meanwhile.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        write(partial)
        partial.chmod(0o755)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return folder
