"""Command line: grpo-launchpad serve MODEL|RUN[:STEP]"""

import argparse
import json
import os
import socket
import sys

from grpo_launchpad.inference.arguments import add_model
from grpo_launchpad.inference.engine import is_cpu_build, prepare_environment
from grpo_launchpad.inference.model_argument import ModelArgument, ModelArgumentError, read_model_argument

HOST = "127.0.0.1"
PORT = 8000


class PortError(Exception):
    """The port cannot be used; the text says what to do."""


def main(arguments: list[str] | None = None) -> int:
    """Become vLLM's server; return 2 for a user's mistake."""
    parser = argparse.ArgumentParser(
        prog="grpo-launchpad serve",
        description=f"Serve a model, or a run's model, by vLLM on {HOST}, as OpenAI's interface. Ctrl-C ends it.",
    )
    add_model(parser)
    parser.add_argument("--port", type=int, default=PORT, help=f"default: {PORT}")
    args = parser.parse_args(arguments)
    try:
        model = read_model_argument(args.model)
        check_port(args.port)  # before an export, which takes longer
        command = server_command(model, args.port, args.tensor_parallel)
    except (ModelArgumentError, PortError) as error:
        print(f"error: {error}", file=sys.stderr)
        return getattr(error, "exit_code", 2)
    prepare_environment(in_process=False)
    name = command[command.index("--served-model-name") + 1]
    address = f"http://{HOST}:{args.port}/v1"
    print(
        f"{address}, model {name}. When it says that startup is complete, ask it from another terminal:\n"
        f"  curl -s {address}/chat/completions -H 'Content-Type: application/json' \\\n"
        f"""    -d '{{"model": "{name}", "messages": [{{"role": "user", "content": "..."}}]}}'""",
        file=sys.stderr,
        flush=True,
    )
    return os.execv(sys.executable, command)  # which does not come back


def server_command(model: ModelArgument, port: int, tensor_parallel: int) -> list[str]:
    """Return the command of vLLM's server for a model.

    Raises:
        ModelArgumentError: if there is no model.
    """
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model.folder())]
    command += ["--served-model-name", model.name, "--host", HOST, "--port", str(port)]
    command += ["--tensor-parallel-size", str(tensor_parallel), "--max-model-len", "auto"]
    if is_cpu_build():
        command.append("--enforce-eager")
    if model.settings:
        command += ["--dtype", model.settings.dtype]
        if model.settings.chat_template_kwargs:
            command += ["--default-chat-template-kwargs", json.dumps(model.settings.chat_template_kwargs)]
    return command


def check_port(port: int) -> None:
    """Check that a server can listen here.

    Raises:
        PortError: if something else does, or the number is no port.
    """
    if not 0 < port < 65536:
        raise PortError(f"--port {port}: a port is a number from 1 to 65535")
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((HOST, port))
        except PermissionError:
            raise PortError(f"--port {port}: ports below 1024 belong to root; give another: --port {PORT}") from None
        except OSError:
            raise PortError(
                f"--port {port}: something listens there already; give another: --port {port + 1}"
            ) from None


if __name__ == "__main__":
    sys.exit(main())
