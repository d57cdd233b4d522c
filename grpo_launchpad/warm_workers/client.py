"""Stands in for Python where Ray starts a worker: asks the server to fork it, and lives as long as the worker does.

    client.py SOCKET PYTHON [arguments for Python...]

Standard library only, and little of it: this starts in milliseconds. If there is no server, or it ends before it has
forked the worker, as it does when an import of its fails, this process becomes PYTHON itself.
"""

import array
import json
import os
import signal
import socket
import sys


def send_request(connection: socket.socket, arguments: list[str]) -> None:
    """Send the command, environment and folder as JSON behind an 8-byte length, with the three standard streams."""
    body = json.dumps(
        {"arguments": arguments, "environment": dict(os.environ), "cwd": os.getcwd()}, ensure_ascii=True
    ).encode()
    streams = array.array("i", [0, 1, 2])
    connection.sendmsg([len(body).to_bytes(8, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
    connection.sendall(body)


def receive_number(connection: socket.socket) -> int | None:
    """Return the next 8-byte signed number, or None if the server is gone."""
    data = connection.recv(8, socket.MSG_WAITALL)
    return int.from_bytes(data, "big", signed=True) if len(data) == 8 else None


def main() -> int:
    server_socket, python, *arguments = sys.argv[1:]
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(server_socket)
        send_request(connection, arguments)
        worker = receive_number(connection)
    except OSError:
        worker = None
    if worker is None:
        os.execv(python, [python, *arguments])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: os.kill(worker, received))
    code = receive_number(connection)
    if code is None:
        return 1
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
