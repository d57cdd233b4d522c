"""Calls in processes that can be killed: a limit in time and memory that holds for any code, from any thread.

Signals work in the main thread only, threads cannot be stopped, and process pools of the standard library neither
stop a running call nor survive a killed worker; pools that do (pebble) start workers that import the caller's main
script again. Here a server process imports a module once and forks for each call, so that a call starts in
milliseconds and ends by ``kill`` without harm to the next:

- the deadline of a call starts when the call starts, not while it waits for others;
- a call whose process dies is made once more; a server that dies is started again;
- the server ends when its last client has ended.
"""

import atexit
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path

MAX_REQUEST = 100_000  # bytes, below what one packet holds
_ATTEMPTS = 2
_PATIENCE = 30.0  # seconds for a server that neither answers nor dies


class IsolationError(RuntimeError):
    """A call has no result: out of time or memory, its process was killed twice, or it raised."""


class IsolatedModule:
    """Functions of one module, called in processes of their own.

    Args:
        module: the module's name. Its functions take and return what JSON can hold.
        seconds: wall time of one call.
        megabytes: address space of one call, on top of what the imported module takes.
    """

    def __init__(self, module: str, seconds: float, megabytes: int):
        self._command = [sys.executable, "-m", "reward_score.isolation", module, str(seconds), str(megabytes)]
        self._lock = threading.Lock()
        self._control: socket.socket | None = None

    def call(self, function: str, *arguments):
        """Call a function of the module and return its result.

        Raises:
            IsolationError: if there is no result; says why.
            ValueError: if the arguments take more than 100,000 bytes.
        """
        request = json.dumps([function, arguments]).encode()
        if len(request) > MAX_REQUEST:
            raise ValueError(f"arguments of {len(request)} bytes; {MAX_REQUEST} at most")
        for _ in range(_ATTEMPTS):
            control = self._connection()
            try:
                status, result = self._ask(control, request)
            except OSError:
                status, result = "died", "the server died"
            if status == "result":
                return result
            if status != "died":
                raise IsolationError(result)
            self._drop(control)
        raise IsolationError(result)

    def _ask(self, control: socket.socket, request: bytes) -> tuple[str, object]:
        mine, theirs = socket.socketpair()
        with mine:
            with theirs:
                socket.send_fds(control, [request], [theirs.fileno()])
            mine.settimeout(_PATIENCE)
            reply = bytearray()
            try:
                while chunk := mine.recv(65536):
                    reply += chunk
            except TimeoutError:
                return "timeout", f"no answer in {_PATIENCE:g} s"
        if not reply.endswith(b"\n"):
            return "died", "the process died"
        return tuple(json.loads(reply.partition(b"\n")[0]))

    def _connection(self) -> socket.socket:
        with self._lock:
            if self._control is None:
                mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                with theirs:
                    self._process = subprocess.Popen(
                        [*self._command, str(theirs.fileno())],
                        pass_fds=[theirs.fileno()],
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        start_new_session=True,
                        env={**os.environ, "PYTHONPATH": _search_path()},
                    )
                self._control = mine
                atexit.register(mine.close)
            return self._control

    def _drop(self, control: socket.socket) -> None:
        """Forget a server that has died; another thread may have replaced it already."""
        with self._lock:
            if self._control is not control:
                return
            try:
                self._process.wait(0.1)
            except subprocess.TimeoutExpired:
                return  # only the call's process has died
            control.close()
            self._control = None


def _search_path() -> str:
    """Return the PYTHONPATH under which a new process finds this package as well."""
    return os.pathsep.join(filter(None, [str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH")]))


def serve(module: str, seconds: float, megabytes: int, control: socket.socket) -> None:
    """Fork for each request that arrives, at most one process a core, until the last client has closed its end."""
    module = import_module(module)
    running: dict[int, tuple[int, socket.socket, float]] = {}  # pidfd: pid, reply, deadline
    slots = os.cpu_count() or 1
    while True:
        watched = [*running, control] if len(running) < slots else list(running)
        timeout = max(
            0.0,
            min((deadline for _, _, deadline in running.values()), default=time.monotonic() + 60) - time.monotonic(),
        )
        ready, _, _ = select.select(watched, [], [], timeout)
        if control in ready:
            request, descriptors, _, _ = socket.recv_fds(control, MAX_REQUEST, 1)
            if not request:
                break
            reply = socket.socket(fileno=descriptors[0])
            pid = os.fork()
            if pid == 0:
                control.close()
                _run(module, request, reply, seconds, megabytes)
            running[os.pidfd_open(pid)] = (pid, reply, time.monotonic() + seconds)
        now = time.monotonic()
        for pidfd, (pid, reply, deadline) in list(running.items()):
            if pidfd not in ready and now < deadline:
                continue
            if pidfd not in ready:
                os.kill(pid, signal.SIGKILL)
                _send(reply, ("timeout", f"no result in {seconds:g} s"))
            os.waitpid(pid, 0)
            os.close(pidfd)
            reply.close()
            del running[pidfd]
    for pid, _, _ in running.values():
        os.kill(pid, signal.SIGKILL)


def _run(module, request: bytes, reply: socket.socket, seconds: float, megabytes: int) -> None:
    """Make one call in a forked process, and end it."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + megabytes * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 2, int(seconds) + 2))  # if the server is killed
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        function, arguments = json.loads(request)
        _send(reply, ("result", getattr(module, function)(*arguments)))
    except BaseException as error:
        _send(reply, ("failed", f"{type(error).__name__}: {error}"[:500]))
    finally:
        os._exit(0)


def _send(reply: socket.socket, message: tuple) -> None:
    with suppress(OSError):  # the client is gone
        reply.sendall(json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    name, seconds, megabytes, descriptor = sys.argv[1:]
    serve(name, float(seconds), int(megabytes), socket.socket(fileno=int(descriptor)))
