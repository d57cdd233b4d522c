"""--push against a hub on this machine that answers as huggingface.co does."""

import base64
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from grpo_launchpad.launch.plan import ROOT


class Hub(BaseHTTPRequestHandler):
    """Takes every file in the commit itself; ``server.committed`` is what came, ``server.made`` how it was made."""

    def do_GET(self):
        self.answer({"name": "me", "type": "user", "auth": {"accessToken": {"role": "write"}}})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/api/repos/create":
            self.server.made = json.loads(body)
            self.answer({"url": f"http://127.0.0.1:{self.server.server_port}/me/x"})
        elif "/preupload/" in self.path:
            files = [{"path": f["path"], "uploadMode": "regular"} for f in json.loads(body)["files"]]
            self.answer({"files": [file | {"shouldIgnore": False} for file in files]})
        elif "/commit/" in self.path and self.server.full:
            self.answer({"error": "storage limit reached"}, 403)
        elif "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.server.committed[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            url = f"http://127.0.0.1:{self.server.server_port}/me/x/commit/1"
            self.answer({"success": True, "commitOid": "1", "commitUrl": url, "hookOutput": ""})
        else:
            self.answer({})

    def answer(self, content: dict, status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.committed, server.made, server.full = {}, None, False
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def push(hub):
    def push(run) -> subprocess.CompletedProcess:
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(run.path),
            "PYTHONPATH": str(ROOT),
            "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
            "HF_TOKEN": "hf_a",
        }
        command = [sys.executable, "-m", "grpo_launchpad", "export", str(run.path), "--no-engine", "--push", "me/x"]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)

    return push


def test_the_folder_goes_to_a_private_repository(run, hub, push):
    made = run()
    done = push(made)
    assert done.returncode == 0, done.stderr
    folder = made.export(2)
    assert done.stdout == f"{folder}\npushed to http://127.0.0.1:{hub.server_port}/me/x\n"
    assert (hub.made["name"], hub.made["visibility"]) == ("x", "private")
    assert hub.committed == {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_push_that_fails_leaves_the_folder_and_says_how_to_go_on(run, hub, push):
    hub.full = True
    made = run()
    done = push(made)
    assert done.returncode == 1
    assert "me/x: could not be uploaded: " in done.stderr
    assert f"The folder is whole; push it later: hf upload me/x '{made.export(2)}'" in done.stderr
    assert "Traceback" not in done.stderr
    assert (made.export(2) / "model.safetensors").is_file()
