"""What the processes of a run wait for: py-spy's stacks, or what the kernel says where py-spy may not look."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

SECONDS_A_PROCESS = 15
RAYS_OWN = ("IDLE", "DashboardAgent", "RuntimeEnvAgent")
INNERMOST = 30  # frames of a stack that are written
# A thread that runs code of these is what the process is there for; Ray's own threads always wait.
IDLE = "Worker.main_loop ("  # of an actor that nobody has called
_SITE_PACKAGES = re.compile(r"\(\S*/(?:site-packages|lib/python3\.\d+)/")
WORK = ("/verl/", "/vllm/", "/sglang/", "/reward_score/", "/grpo_launchpad/", "/torch/distributed/", "/megatron/")


@dataclass(frozen=True)
class Wait:
    """One process.

    Attributes:
        name: "ray::WorkerDict", "VLLM::EngineCore".
        state: the kernel's: running, sleeping, stopped, ...
        where: function, file and line, the innermost first; or why they are not known.
    """

    pid: int
    name: str
    state: str
    where: list[str]

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid}, {self.state}): {self._doing()}"

    @property
    def is_idle(self) -> bool:
        """Whether it is an actor that nobody has called; one that a signal stopped is none."""
        return self.state != "stopped" and bool(self.where) and IDLE in self.where[0]

    def _doing(self) -> str:
        """Return the innermost function, and the innermost of the training's own code if that is another."""
        if not self.where:
            return "nothing known"
        innermost = self.where[0]
        if self.is_idle:
            return "waits for a call"
        at_work = next((frame for frame in self.where if _is_work(frame)), innermost)
        called = "" if at_work == innermost else f", called from {at_work}"
        return _SITE_PACKAGES.sub("(", f"{innermost}{called}")


def _is_work(frame: str) -> bool:
    """Say whether a frame is of the training's own code; verl's remote calls go through single_controller."""
    return any(part in frame for part in WORK) and "/single_controller/" not in frame


def processes_under(root: int) -> list[psutil.Process]:
    """Return the trainer, Ray's actors and the rollout engines among the descendants of a process."""
    try:
        descendants = psutil.Process(root).children(recursive=True)
    except psutil.Error:
        return []
    return [process for process in descendants if _role(process)]


def what_they_wait_for(root: int) -> list[Wait]:
    """Return what each process of a run on this machine does, those that are stopped first."""
    waits = [wait for process in processes_under(root) if (wait := _wait(process))]
    return sorted(waits, key=lambda wait: wait.state not in ("stopped", "disk-sleep", "zombie"))


def _role(process: psutil.Process) -> str:
    """Return a short name of a process that takes part in the training, or ""."""
    try:
        command = process.cmdline()
    except psutil.Error:
        return ""
    title = command[0] if command else ""
    if title.startswith(("ray::", "VLLM::", "sglang::")) and not any(part in title for part in RAYS_OWN):
        return title.split(" ")[0]
    return "trainer" if "verl.trainer.main_ppo" in command else ""


def _wait(process: psutil.Process) -> Wait | None:
    try:
        name, state = _role(process), process.status()
    except psutil.Error:
        return None
    command = ["py-spy", "dump", "--json", "--nonblocking", "--pid", str(process.pid)]
    if (beside := Path(sys.executable).with_name("py-spy")).exists():
        command[0] = str(beside)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_A_PROCESS, check=True)
        where = _innermost(json.loads(done.stdout))
    except FileNotFoundError:
        where = _in_the_kernel(process.pid, "py-spy is not installed")
    except subprocess.TimeoutExpired:
        where = _in_the_kernel(process.pid, "py-spy got no answer")
    except (subprocess.CalledProcessError, ValueError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        where = _in_the_kernel(process.pid, said[-1] if said else "py-spy failed")
    return Wait(process.pid, name, state, where)


def _innermost(threads: list[dict]) -> list[str]:
    """Return the stack of the thread that works: of those in code of WORK the one furthest in, else the main thread."""

    def frames(thread: dict) -> list[dict]:
        return thread.get("frames", [])

    def at_work(thread: dict) -> int:
        return sum(_is_work(frame["filename"]) for frame in frames(thread))

    if not threads:
        return []
    thread = max(threads, key=lambda each: (at_work(each), each.get("thread_name") == "MainThread"))
    return [f"{frame['name']} ({frame['filename']}:{frame['line']})" for frame in frames(thread)[:INNERMOST]]


def _in_the_kernel(pid: int, why: str) -> list[str]:
    try:
        waits_in = Path(f"/proc/{pid}/wchan").read_text()
    except OSError:
        waits_in = ""
    return [f"{why}; it waits in the kernel's {waits_in if waits_in not in ('', '0') else 'unknown place'}"]
