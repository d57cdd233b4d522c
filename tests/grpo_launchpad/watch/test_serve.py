import base64
import gzip
import http.client
import json
import subprocess
import sys
import threading
import time
from urllib.parse import urlsplit

import pytest

from grpo_launchpad.watch import serve
from tests.run_folders import training, validation


@pytest.fixture
def served(healthy, monkeypatch):
    monkeypatch.setattr(serve, "SECONDS", 0.0)
    made, address = serve.server(healthy.path, 0)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield address
    made.shutdown()
    made.server_close()
    thread.join()


def get(address: str, path: str | None = None, host: str | None = None) -> tuple[int, bytes]:
    url = urlsplit(address)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
    connection.request("GET", url.path if path is None else path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_the_address_is_of_this_machine_and_holds_a_token(served):
    url = urlsplit(served)
    assert url.hostname == "127.0.0.1"
    assert len(url.path.strip("/")) >= 22
    status, page = get(served)
    assert status == 200
    assert b"Held-out accuracy" in page


def test_without_the_token_there_is_nothing(served):
    for path in ("/", "/data", "/x" + urlsplit(served).path, "/%2e%2e/", urlsplit(served).path + "../launch/env.txt"):
        assert get(served, path)[0] == 404
    assert get(served, host="evil.example:80")[0] == 404


def test_news_come_when_the_run_has_written_something(served, healthy):
    charts = get(served)[1].count(b"data-chart=")
    path = urlsplit(served).path
    assert get(served, f"{path}data?version=1&charts={charts}")[0] == 204
    healthy.metrics({0: validation(0.25), 1: training(), 2: training(), 3: training() | validation(0.9)})
    status, body = get(served, f"{path}data?version=1&charts={charts}")
    assert status == 200
    news = json.loads(body)
    assert news["version"] == 2
    assert not news["reload"]
    assert "90.0%" in news["html"]
    assert len(news["html"]) < len(get(served)[1])
    data = json.loads(gzip.decompress(base64.b64decode(news["data"])))
    assert data["charts"][0]["lines"][-1]["values"][-1] == 0.9


def test_texts_that_the_page_lacks(served):
    path = urlsplit(served).path
    assert json.loads(get(served, f"{path}texts?step=3&group=0")[1]) == ["6", "7"]
    for query in ("step=4&group=0", "step=3&group=9", "step=x", ""):
        assert get(served, f"{path}texts?{query}")[0] == 404


def test_a_port_in_use_is_said(served, healthy):
    port = urlsplit(served).port
    command = [sys.executable, "-m", "grpo_launchpad", "watch", str(healthy.path), "--serve", "--port", str(port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert f"port {port}" in done.stderr
    assert "Leave --port out" in done.stderr


def test_the_command_says_the_address_and_ends_when_told(healthy):
    command = [sys.executable, "-m", "grpo_launchpad", "watch", str(healthy.path), "--serve"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        address = process.stdout.readline().strip()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if get(address)[0] == 200:
                break
        assert get(address)[0] == 200
    finally:
        process.terminate()
    assert process.wait(timeout=30) == 0
