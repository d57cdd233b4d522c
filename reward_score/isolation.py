"""Calls in processes that can be killed: limits in time and memory that hold for any code, from any thread. Linux only.

Signals work in the main thread only, threads cannot be stopped, and process pools of the standard library neither
stop a running call nor survive a killed worker; pools that do (pebble) start workers that import the caller's main
script again. Here a server process imports a module once and forks for each call, so that a call starts in
milliseconds and ends by ``kill`` without harm to the next:

- the limits of a call begin when it starts, not while it waits for others;
- a call whose process dies is made once more; a server that is killed is started again;
- the server ends when its last client has ended.
"""

import atexit
import fcntl
import json
import os
import resource
import selectors
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
WALL_TIME = 4  # times the CPU time that a call may take, since other processes may have the processor
WAITING = 120.0  # seconds that a call may wait for others

_ATTEMPTS = 2
_ROOT = Path(__file__).resolve().parents[1]
# The package's folder comes last: it must neither hide the standard library nor depend on the working directory.
_SERVER = f"import sys; sys.path.append({str(_ROOT)!r}); from reward_score.isolation import main; main()"


class IsolationError(RuntimeError):
    """A call has no result: out of time or memory, its process was killed twice, or it raised."""


class IsolatedModule:
    """Functions of one module, called in processes of their own.

    Args:
        module: the module's name. Its functions take and return what JSON can hold.
        seconds: CPU time of one call; its wall time is limited to ``WALL_TIME`` times as much.
        megabytes: address space of one call, on top of what the imported module takes.
    """

    def __init__(self, module: str, seconds: float, megabytes: int):
        self._arguments = [module, str(seconds), str(megabytes)]
        self._wall_seconds = WALL_TIME * seconds
        self._lock = threading.Lock()
        self._server: tuple[socket.socket, subprocess.Popen] | None = None
        self._broken: str | None = None
        atexit.register(self._forget_server)
        os.register_at_fork(after_in_child=self._after_fork)

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
            server = self._running_server()
            try:
                mine, theirs = socket.socketpair()
            except OSError as error:
                raise IsolationError(f"no connection: {error}") from error
            with mine, theirs:
                status, result = self._ask(server, request, mine, theirs)
            if status == "result":
                return result
            if status == "failed":
                raise IsolationError(result)
        raise IsolationError(result)

    def _ask(self, server, request: bytes, mine: socket.socket, theirs: socket.socket) -> tuple[str, object]:
        control, process = server
        try:
            socket.send_fds(control, [request], [theirs.fileno()])
            theirs.close()
            mine.settimeout(WAITING)
            reply = mine.recv(1)
            if reply:  # it has started
                mine.settimeout(self._wall_seconds + 10)
                while not reply.endswith(b"\n") and (chunk := mine.recv(65536)):
                    reply += chunk
        except TimeoutError:
            return "failed", f"no answer in {mine.gettimeout():g} s"
        except OSError:  # the server is gone
            reply = b""
        if reply.endswith(b"\n"):
            return tuple(json.loads(reply[1:]))
        return self._server_died(server, process)

    def _server_died(self, server, process: subprocess.Popen) -> tuple[str, object]:
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
        if process.returncode and process.returncode > 0:
            self._broken = f"{' '.join(self._arguments[:1])}: the process for isolated calls ended with an error"
        with self._lock:
            if self._server is server:
                self._server = None
                server[0].close()
        return "died", "the process for isolated calls was killed"

    def _running_server(self) -> tuple[socket.socket, subprocess.Popen]:
        with self._lock:
            if self._broken:
                raise IsolationError(self._broken)
            if self._server is None:
                try:
                    self._server = self._start()
                except (OSError, TypeError) as error:
                    raise IsolationError(f"no process for isolated calls: {error}") from error
            return self._server

    def _start(self) -> tuple[socket.socket, subprocess.Popen]:
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            descriptor = fcntl.fcntl(theirs, fcntl.F_DUPFD, 3)  # the first three are the server's own streams
            try:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-c", _SERVER, *self._arguments, str(descriptor)],
                    pass_fds=[descriptor],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,
                )
            finally:
                os.close(descriptor)
        mine.settimeout(WAITING)
        return mine, process

    def _forget_server(self) -> None:
        if self._server:
            self._server[0].close()
            self._server = None

    def _after_fork(self) -> None:
        """A child starts a server of its own: another thread may have held the lock when the process was forked."""
        self._lock = threading.Lock()
        self._forget_server()


def main() -> None:
    """Serve the calls of the client that started this process with these arguments."""
    module, seconds, megabytes, descriptor = sys.argv[1:]
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # a client that ignores it would hand that down
    _Server(import_module(module), float(seconds), int(megabytes), socket.socket(fileno=int(descriptor))).serve()


class _Server:
    def __init__(self, module, seconds: float, megabytes: int, control: socket.socket):
        self.module, self.seconds, self.megabytes, self.control = module, seconds, megabytes, control
        self.calls: dict[int, tuple[int, socket.socket, float]] = {}  # pidfd: pid, reply, wall deadline
        self.slots = len(os.sched_getaffinity(0))

    def serve(self) -> None:
        """Fork for each request that arrives, at most one process a core, until the last client has closed its end."""
        with selectors.DefaultSelector() as selector:
            while True:
                if len(self.calls) < self.slots and self.control not in selector.get_map():
                    selector.register(self.control, selectors.EVENT_READ)
                deadline = min((deadline for _, _, deadline in self.calls.values()), default=None)
                timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
                ready = [key.fileobj for key, _ in selector.select(timeout)]
                if self.control in ready:
                    if not self.start():
                        break
                    for pidfd in self.calls.keys() - selector.get_map().keys():
                        selector.register(pidfd, selectors.EVENT_READ)
                    if len(self.calls) >= self.slots:
                        selector.unregister(self.control)
                for pidfd in list(self.calls):
                    late = time.monotonic() >= self.calls[pidfd][2]
                    if pidfd in ready or late:
                        selector.unregister(pidfd)
                        self.end(pidfd, late=pidfd not in ready)
        for pid, _, _ in self.calls.values():
            os.kill(pid, signal.SIGKILL)

    def start(self) -> bool:
        """Start the call that a client asks for; False if there is no client any more."""
        request, descriptors, _, _ = socket.recv_fds(self.control, MAX_REQUEST, 1)
        if not request:
            return False
        reply = socket.socket(fileno=descriptors[0])
        try:
            reply.send(b">")  # the client's patience with a call begins here
        except OSError:  # it does not wait any more
            reply.close()
            return True
        pid = os.fork()
        if pid == 0:
            self.control.close()
            for pidfd, (_, other, _) in self.calls.items():
                os.close(pidfd)
                other.close()
            self.run(request, reply)
        self.calls[os.pidfd_open(pid)] = (pid, reply, time.monotonic() + WALL_TIME * self.seconds)
        return True

    def end(self, pidfd: int, *, late: bool) -> None:
        """Reap a call's process, kill it first if it is late, and say so if it left no result."""
        pid, reply, _ = self.calls.pop(pidfd)
        if late:
            os.kill(pid, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if late or status == -signal.SIGPROF:
            _send(reply, ("failed", f"no result in {self.seconds:g} s"))
        elif status != 0:
            _send(reply, ("died", "the call's process was killed"))
        reply.close()
        os.close(pidfd)

    def run(self, request: bytes, reply: socket.socket) -> None:
        """Make one call in the forked process, and end it."""
        try:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            limit = pages * resource.getpagesize() + self.megabytes * 2**20
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.setitimer(signal.ITIMER_PROF, self.seconds)  # ends the process
            function, arguments = json.loads(request)
            _send(reply, ("result", getattr(self.module, function)(*arguments)))
        except BaseException as error:
            _send(reply, ("failed", f"{type(error).__name__}: {error}"[:500]))
        finally:
            os._exit(0)


def _send(reply: socket.socket, message: tuple) -> None:
    with suppress(OSError):  # the client is gone
        reply.sendall(json.dumps(message).encode() + b"\n")
