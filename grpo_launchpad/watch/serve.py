"""The report of a run as a page that keeps itself up to date, served to this machine alone.

The address holds a token that only this terminal shows; whoever does not know it gets 404 for everything. The page asks
for news every three seconds and gets them as JSON; it is reloaded only for a picture that it had no place for.
"""

import json
import secrets
import signal
import sys
import threading
import time
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from grpo_launchpad.report.page import Page, render
from grpo_launchpad.report.rollouts import LONGEST_ANSWER, groups_of, shortened
from grpo_launchpad.report.run_folder import RunFolderError, read_run
from grpo_launchpad.report.summary import summarize
from grpo_launchpad.runs.folder import RunFolder

HOST = "127.0.0.1"
SECONDS = 2.0  # a report that is asked for more often is not made anew


class LivePage:
    """The report of a run, made anew when the run has written something since.

    Attributes:
        version: counts the reports; a page says which one it shows.
    """

    def __init__(self, folder: Path, path: str):
        self.folder, self.path = folder, path
        self.version = 0
        self._seen: object = None
        self._made = 0.0
        self._page: Page | None = None
        self._lock = threading.Lock()

    def page(self) -> Page:
        """Return the newest report.

        Raises:
            RunFolderError: if the folder is no run, or none yet.
        """
        with self._lock:
            written = self._written()
            if self._page is None or written != self._seen and time.monotonic() - self._made > SECONDS:
                run = read_run(self.folder)
                page = render(run, summarize(run), live=self.path)
                self.version += 1
                self._page, self._seen, self._made = page, written, time.monotonic()
            return self._page

    def news(self, version: int, charts: int) -> dict | None:
        """Return what is new for a page that shows a version with so many pictures, or None."""
        page = self.page()
        if version == self.version:
            return None
        frame = page.html.replace(page.data, "")
        return {"version": self.version, "reload": charts != len(page.charts), "html": frame, "data": page.data}

    def texts(self, step: int, group: int) -> list[str]:
        """Return the answers of a group of a training step, in the order of its dump.

        Raises:
            LookupError: if there is none.
        """
        path = RunFolder(self.folder).rollouts_by_step("train")[step]
        return [shortened(answer.sample.output, 20 * LONGEST_ANSWER) for answer in groups_of(path, [])[group]]

    def _written(self) -> tuple:
        run = RunFolder(self.folder)
        paths = [run.attempts, *(run.metrics(number) for number in run.numbers_of_attempts())]
        return tuple((path.stat().st_mtime_ns, path.stat().st_size) for path in paths if path.exists())


class Handler(BaseHTTPRequestHandler):
    """Answers GET /<token>/ and what its page asks for."""

    live: LivePage
    protocol_version = "HTTP/1.1"

    @cached_property
    def hosts(self) -> set[str]:
        return {f"{name}:{self.server.server_port}" for name in (HOST, "localhost")}

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        # A name that another site gave this address must not open it (DNS rebinding).
        known = self.headers.get("Host") in self.hosts
        token, _, what = address.path.lstrip("/").partition("/")
        if not known or not secrets.compare_digest(f"/{token}".encode(), self.live.path.encode()):
            return self.answer(HTTPStatus.NOT_FOUND, "text/plain", b"not found\n")
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        try:
            if what == "":
                return self.answer(HTTPStatus.OK, "text/html", self.live.page().html.encode("utf-8", "replace"))
            if what == "data":
                news = self.live.news(int(query.get("version", 0)), int(query.get("charts", 0)))
                if news is None:
                    return self.answer(HTTPStatus.NO_CONTENT, "application/json", b"")
                return self.answer(HTTPStatus.OK, "application/json", json.dumps(news).encode("utf-8", "replace"))
            if what == "texts":
                texts = self.live.texts(int(query["step"]), int(query["group"]))
                return self.answer(HTTPStatus.OK, "application/json", json.dumps(texts).encode("utf-8", "replace"))
        except (RunFolderError, OSError) as error:
            return self.answer(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", f"{error}\n".encode())
        except (LookupError, ValueError):
            pass
        return self.answer(HTTPStatus.NOT_FOUND, "text/plain", b"not found\n")

    def answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_) -> None:
        """Say nothing: the token is part of every address."""


def server(folder: Path, port: int) -> tuple[ThreadingHTTPServer, str]:
    """Return a server for the report of a run, and the address that opens it.

    Raises:
        OSError: if the port is taken.
    """
    path = f"/{secrets.token_urlsafe(16)}"
    handler = type("RunHandler", (Handler,), {"live": LivePage(folder, path)})
    made = ThreadingHTTPServer((HOST, port), handler)
    return made, f"http://{HOST}:{made.server_port}{path}/"


def serve(folder: Path, port: int) -> int:
    """Serve the report of a run until Ctrl-C; return the exit code."""
    try:
        read_run(folder)
        made, address = server(folder, port)
    except RunFolderError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (OSError, OverflowError) as error:
        print(f"error: port {port}: {error}. Leave --port out for a free one.", file=sys.stderr)
        return 2
    print(f"{address}\nopens the report of {folder}, on this machine only; Ctrl-C ends it", flush=True)
    print(f"from elsewhere: ssh -L {made.server_port}:{HOST}:{made.server_port} <this machine>", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        made.serve_forever()
    except (KeyboardInterrupt, SystemExit):
        return 0
    finally:
        made.server_close()
    return 0
