"""Stands in for Python where a process is started: asks the server to fork it, and lives as long as it does.

    client.py SOCKET PYTHON [arguments for Python...]

What it was given (arguments, environment, folder, open files) goes to the fork. If it is killed, so is the fork.

Standard library only, and little of it: this starts in milliseconds. If there is no server, or it ends before it has
forked the worker, as it does when an import of its fails, this process becomes PYTHON itself.
"""

import array
import json
import os
import signal
import socket
import sys


def inherited_files(connection: socket.socket) -> list[int]:
    """Return the open file descriptors that Python, in this process's place, would have."""
    listed = (int(name) for name in os.listdir("/proc/self/fd"))
    return sorted(fd for fd in listed if fd != connection.fileno() and is_inherited(fd))


def is_inherited(fd: int) -> bool:
    try:
        return fd <= 2 or os.get_inheritable(fd)
    except OSError:  # of the listing itself
        return False


def send_request(connection: socket.socket, arguments: list[str]) -> list[int]:
    """Send the command, environment and folder as JSON behind an 8-byte length, and the open files; return these."""
    files = inherited_files(connection)
    request = {"arguments": arguments, "environment": dict(os.environ), "cwd": os.getcwd(), "files": files}
    body = json.dumps(request, ensure_ascii=True).encode()
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))
    connection.sendmsg([len(body).to_bytes(8, "big")], [rights])
    connection.sendall(body)
    return files


def receive_number(connection: socket.socket) -> int | None:
    """Return the next 8-byte signed number, or None if the server is gone."""
    data = connection.recv(8, socket.MSG_WAITALL)
    return int.from_bytes(data, "big", signed=True) if len(data) == 8 else None


def main() -> int:
    server_socket, python, *arguments = sys.argv[1:]
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(server_socket)
        files = send_request(connection, arguments)
        worker = receive_number(connection)
    except OSError:
        worker = None
    if worker is None:
        os.execv(python, [python, *arguments])
    for fd in files:  # the other end of a pipe sees its end when the worker closes it
        if fd > 2:
            os.close(fd)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: os.kill(worker, received))
    code = receive_number(connection)
    if code is None:
        return 1
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
