"""Ray on this machine: what runs, what `ray.init()` would join, and the folder of its sockets and spilled objects."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from grpo_launchpad.doctor.system import Disk, read_disk

SOCKET_PATH_BYTES = 107  # sun_path of unix(7), without its end
PROCESSES = Path("/proc")
ANSWER_SECONDS = 1.0


@dataclass(frozen=True)
class RayCluster:
    """What Ray would find.

    Attributes:
        address: RAY_ADDRESS, or "".
        remembered: the cluster of the last `ray start`, which `ray.init()` joins if RAY_ADDRESS is not set, or "".
        remembered_answers: whether something listens there.
        raylets: "PID of USER ID" of Ray's processes that run here.
        variable: RAY_TMPDIR or TMPDIR, whichever chooses the folder; "" for the default.
        folder: of its sessions.
        disk: under the folder.
        sessions: folders of earlier sessions in it.
        spare_bytes: what the path of its longest socket leaves of what Linux can hold; less than 0 is too long.
    """

    address: str
    remembered: str
    remembered_answers: bool
    raylets: list[str]
    variable: str
    folder: str
    disk: Disk
    sessions: int
    spare_bytes: int


def read_ray() -> RayCluster:
    """Return the state of Ray; starts and joins nothing."""
    variable, base = temporary_folder()
    folder = Path(base) / "ray"
    try:
        remembered = (folder / "ray_current_cluster").read_text().strip()
    except OSError:
        remembered = ""
    return RayCluster(
        address=os.environ.get("RAY_ADDRESS", ""),
        remembered=remembered,
        remembered_answers=answers(remembered, ANSWER_SECONDS) == "" if remembered else False,
        raylets=_raylets(),
        variable=variable,
        folder=str(folder),
        disk=read_disk(folder),
        sessions=sum(1 for path in folder.glob("session_2*") if path.is_dir()),
        spare_bytes=spare_bytes(base),
    )


def temporary_folder() -> tuple[str, str]:
    """Return what chooses the folder above Ray's, and that folder.

    Source: ``ray/_common/utils.py``, get_default_system_temp_dir.
    """
    for variable in ("RAY_TMPDIR", "TMPDIR"):
        if folder := os.environ.get(variable):
            return variable, folder
    return "", "/tmp"


def spare_bytes(folder: str) -> int:
    """Return what Ray's longest socket below a folder leaves of the 107 bytes that Linux can hold.

    Source: ``ray/_private/utils.py``, validate_socket_filepath; the session's name is of ``ray/_private/node.py``.
    """
    longest = f"{folder}/ray/session_2026-01-01_00-00-00_000000_{os.getpid()}/sockets/plasma_store"
    return SOCKET_PATH_BYTES - len(os.fsencode(longest))


def answers(address: str, seconds: float) -> str:
    """Return why nothing answers at ``host:port``, or "" if something does."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        return f"{address!r} is not host:port"
    try:
        socket.create_connection((host, int(port)), timeout=seconds).close()
    except OSError as error:
        return str(error)
    return ""


def _raylets() -> list[str]:
    found = []
    for process in PROCESSES.glob("[0-9]*"):
        try:
            if (process / "comm").read_text().strip() == "raylet":
                found.append(f"{process.name} of user {process.stat().st_uid}")
        except OSError:  # it ended meanwhile
            continue
    return sorted(found)
