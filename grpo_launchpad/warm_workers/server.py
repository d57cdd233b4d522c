"""The process that has everything imported and forks a Ray worker, or a process of vLLM's, on request.

    python -m grpo_launchpad.warm_workers.server FOLDER

Writes ``FOLDER/python``, to be used as Ray's ``py_executable``, and serves until it is told to stop (SIGTERM) or the
process that started it ends. Requests that arrive during the imports wait. The forks use it in turn where
``multiprocessing`` spawns a process (``multiprocessing.set_executable``), as vLLM does for its engine and its workers.
"""

import argparse
import array
import contextlib
import ctypes
import fcntl
import gc
import importlib
import json
import multiprocessing
import os
import runpy
import selectors
import shlex
import signal
import socket
import sys
import traceback
import types
from pathlib import Path

from grpo_launchpad.warm_workers import client

# What the processes of a verl run import: torch, transformers and vLLM, and what these two import on first use.
# Nothing here may import ray: it reads its settings (RAY_JOB_ID and others) from the environment when it is loaded.
PRELOAD = (
    "torch._dynamo",
    "torch.distributed.fsdp",
    "tensordict",
    "transformers.models.auto.modeling_auto",
    "datasets",
    "peft",
    "torchdata.stateful_dataloader",
    "hydra",
    "fastapi",
    "uvicorn",
    "wandb",
    "vllm.engine.arg_utils",
    "vllm.distributed",
    "vllm.outputs",
    "vllm.model_executor.layers.linear",
    "vllm.distributed.weight_transfer.clients",
    "vllm.entrypoints.openai.cli_args",
    "vllm.entrypoints.openai.responses.protocol",
    "vllm.entrypoints.pooling.embed.protocol",
    "vllm.entrypoints.pooling.scoring.protocol",
    "vllm.lora.lora_model",
    "vllm.model_executor.models.qwen3_next",
    "vllm.v1.structured_output",
)

PR_SET_PDEATHSIG = 1
MOST_FILES = 253  # that a message carries: SCM_MAX_FD of Linux


def write_executable(folder: Path, server_socket: Path) -> Path:
    """Write the script that Ray runs in place of Python. It falls back to Python itself if the server is gone."""
    script = folder / "python"
    command = [sys.executable, "-I", "-S", client.__file__, str(server_socket), sys.executable]
    script.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    script.chmod(0o755)
    return script


def receive_request(connection: socket.socket) -> tuple[dict, list[int]]:
    """Return the client's request and copies of its open files. See ``client.send_request``."""
    descriptors = array.array("i")
    space = socket.CMSG_SPACE(MOST_FILES * descriptors.itemsize)
    header, ancillary, _, _ = connection.recvmsg(8, space, socket.MSG_WAITALL)
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data)
    size = int.from_bytes(header, "big")
    body = bytearray()
    while len(body) < size:
        chunk = connection.recv(size - len(body))
        if not chunk:
            raise ConnectionError("the client went away in the middle of its request")
        body += chunk
    return json.loads(body), list(descriptors)


def take_files(targets: list[int], sources: list[int]) -> None:
    """Give files the numbers that they had in the client."""
    free = max(targets) + 1
    moved = [fcntl.fcntl(source, fcntl.F_DUPFD, free) for source in sources]
    for source in sources:
        os.close(source)
    for source, target in zip(moved, targets, strict=True):
        os.dup2(source, target)
        os.close(source)


def become(request: dict, files: list[int]) -> None:
    """Turn this forked process into ``python arguments...`` as the client was asked to run it."""
    take_files(request["files"], files)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    import numpy

    numpy.random.seed()  # its global generator was seeded at import, so every fork would draw the same numbers
    arguments = request["arguments"]
    while arguments and arguments[0].startswith("-") and arguments[0] != "-c":  # interpreter flags, such as -u
        arguments.pop(0)
    if arguments[0] == "-c":
        program = arguments.pop(1)
        sys.argv = arguments
        sys.modules["__main__"] = main_module = types.ModuleType("__main__")
        exec(compile(program, "<string>", "exec"), main_module.__dict__)
        return
    script = arguments[0]
    sys.argv = arguments
    sys.path.insert(0, str(Path(script).resolve().parent))
    runpy.run_path(script, run_name="__main__")


class Server:
    """Accepts requests, forks, and tells each client how its worker ended."""

    def __init__(self, listener: socket.socket):
        self.listener = listener
        self.selector = selectors.DefaultSelector()
        self.clients: dict[int, socket.socket] = {}  # worker's process id -> its client
        wake_up, self.signal_pipe = socket.socketpair()
        wake_up.setblocking(False)
        self.signal_pipe.setblocking(False)
        signal.set_wakeup_fd(wake_up.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.wake_up = wake_up

    def serve_forever(self) -> None:
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.selector.register(self.signal_pipe, selectors.EVENT_READ)
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.listener:
                    self.start_worker(self.listener.accept()[0])
                elif key.fileobj is self.signal_pipe:
                    self.signal_pipe.recv(4096)
                    self.reap_workers()
                else:
                    self.kill_worker_of(key.fileobj)

    def start_worker(self, connection: socket.socket) -> None:
        try:
            request, files = receive_request(connection)
        except (OSError, ValueError):
            connection.close()
            return
        pid = os.fork()
        if pid == 0:
            self.run_worker(connection, request, files)
        for descriptor in files:
            os.close(descriptor)
        self.clients[pid] = connection
        with contextlib.suppress(OSError):  # the client was killed: the selector says so next
            connection.sendall(pid.to_bytes(8, "big"))
        self.selector.register(connection, selectors.EVENT_READ)

    def kill_worker_of(self, connection: socket.socket) -> None:
        """A client sends one request and then says nothing: what can be read is that it is gone."""
        self.selector.unregister(connection)
        for pid, client_of_worker in self.clients.items():
            if client_of_worker is connection:
                os.kill(pid, signal.SIGKILL)

    def run_worker(self, connection: socket.socket, request: dict, files: list[int]) -> None:
        """Runs in the fork and never returns."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self.selector.close()
            for other in (self.listener, connection, self.signal_pipe, self.wake_up, *self.clients.values()):
                other.close()
            become(request, files)
            status = 0
        except SystemExit as exit_request:
            status = exit_request.code if isinstance(exit_request.code, int) else int(exit_request.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def reap_workers(self) -> None:
        while self.clients:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            connection = self.clients.pop(pid, None)
            if connection is not None:
                with contextlib.suppress(KeyError):  # its client was killed
                    self.selector.unregister(connection)
                code = os.waitstatus_to_exitcode(status)
                with contextlib.suppress(OSError):  # the client was killed; nobody wants to know
                    connection.sendall(code.to_bytes(8, "big", signed=True))
                connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="an existing folder, its path without spaces")
    folder = parser.parse_args().folder
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(folder / "socket"))
    listener.listen(64)
    executable = write_executable(folder, folder / "socket")

    gc.disable()
    for module in PRELOAD:
        importlib.import_module(module)
    # What was imported stays: out of reach of the garbage collector, a full collection of a fork takes milliseconds
    # instead of half a second, and the pages stay shared.
    gc.collect()
    gc.freeze()
    gc.enable()
    multiprocessing.set_executable(str(executable))
    Server(listener).serve_forever()


if __name__ == "__main__":
    main()
