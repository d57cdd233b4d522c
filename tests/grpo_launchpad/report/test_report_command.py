"""The whole command: what it writes, prints and returns, and that a page is safe whatever a model wrote."""

import base64
import hashlib
import json
import os
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from grpo_launchpad.report.__main__ import main
from grpo_launchpad.report.page import duration
from tests.run_folders import START, RunFolder, training, validation

INJECTION = "</pre></td></table><script>alert('x')</script><img src=http://evil.example/a onerror=alert(1)>"


class Tags(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def page_of(run_folder):
    assert main([str(run_folder.path)]) == 0
    return (run_folder.path / "report.html").read_text(encoding="utf-8")


def test_what_is_written_and_printed(healthy, capsys):
    before = set(os.listdir(healthy.path))
    page = page_of(healthy)
    assert set(os.listdir(healthy.path)) - before == {"summary.json", "report.html", "learning_curve.svg"}
    assert json.loads((healthy.path / "summary.json").read_text())["accuracy_after"] == 0.75
    assert (healthy.path / "learning_curve.svg").read_text().startswith("<svg")
    for text in (
        "25.0% → 75.0%",
        "Nothing unusual was found",
        "bash run.sh",
        "PATH=/bin",
        "a: 1",
        "all with their text",
    ):
        assert text in page
    assert capsys.readouterr().out == (
        "run_tiny_cpu_arithmetic: completed\n"
        "  accuracy   25.0% -> 75.0%\n"
        "  steps      3\n"
        "  wall time  1 min 00 s\n"
        f"  report     {healthy.path}/report.html\n"
    )


def test_nothing_a_run_holds_becomes_markup(run_folder):
    run_folder.identity(name=INJECTION, model=INJECTION, task=INJECTION, backend=INJECTION, world_size=INJECTION)
    run_folder.metrics(
        {0: validation(0.1, INJECTION) | validation(0.2), 1: training(**{INJECTION: None}) | validation(0.2)}
    )
    run_folder.launch_files(INJECTION, INJECTION, INJECTION)
    for step in (0, 1):
        run_folder.dump("validation", step, [(INJECTION, INJECTION, INJECTION, 0)])
    run_folder.dump("train", 1, [(INJECTION, INJECTION, INJECTION, 0)])
    page = page_of(run_folder)
    tags = Tags(page).found
    assert [attributes.get("id") for tag, attributes in tags if tag == "script"] == ["data", None]
    assert not [tag for tag, _ in tags if tag in ("img", "link", "iframe")]
    assert not [attributes for _, attributes in tags if any(name.startswith("on") for name in attributes)]
    assert page.count("&lt;script&gt;") >= 12
    assert INJECTION not in page


def test_the_pages_policy_runs_its_own_script_and_no_other(healthy):
    page = page_of(healthy)
    (policy,) = [attributes["content"] for tag, attributes in Tags(page).found if "http-equiv" in attributes]
    script = page.rpartition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_the_page_loads_nothing(healthy):
    page = page_of(healthy)
    for _, attributes in Tags(page).found:
        for name in ("src", "href", "xlink:href"):
            assert attributes.get(name, "#").startswith("#")
    assert "@import" not in page
    assert "url(http" not in page


def test_a_run_without_a_step(run_folder):
    run_folder.attempt(ended_at=START + 2, exit_code=1)
    run_folder.metrics({})
    page = page_of(run_folder)
    for text in ("no training step was finished", "Neither accuracy nor reward was recorded", "ended with exit code 1"):
        assert text in page
    assert not (run_folder.path / "learning_curve.svg").exists()


def test_a_folder_with_spaces_and_unicode(tmp_path):
    folder = RunFolder(tmp_path / "lauf mit ü 数学")
    folder.metrics({0: validation(0.1), 1: training()})
    folder.dump("validation", 0, [("数学 ∑", "\ud800 half a pair", "ñ", 1)])
    page = page_of(folder)
    assert "lauf mit ü 数学" in page
    assert "数学 ∑" in page
    assert "? half a pair" in page


def test_long_answers_keep_their_ends(run_folder):
    run_folder.dump("validation", 0, [("q", "BEGIN" + "x" * 5000 + "END", "g", 1)])
    page = page_of(run_folder)
    assert "BEGIN" in page
    assert "xEND</pre>" in page
    assert "3,508 characters left out" in page


def test_a_rerun_replaces_the_report(healthy):
    page_of(healthy)
    healthy.metrics({0: validation(0.25), 1: training() | validation(0.5)})
    assert "25.0% → 50.0%" in page_of(healthy)


def test_no_run_folder_is_the_users_mistake(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert f"{tmp_path}/launch/run.json: missing" in capsys.readouterr().err
    assert os.listdir(tmp_path) == []


def test_a_report_that_cannot_be_written_is_a_failure(healthy, capsys):
    (healthy.path / "report.html").mkdir()
    assert main([str(healthy.path)]) == 1
    assert "report.html" in capsys.readouterr().err
    assert not [name for name in os.listdir(healthy.path) if name.startswith(".")]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0.5, "0.5 s"), (59.9, "59.9 s"), (125, "2 min 05 s"), (3599.9, "1 h 00 min"), (11220, "3 h 07 min")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colour_on_a_terminal_only_and_never_against_the_users_wish(healthy, capsys, monkeypatch, no_color, coloured):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", no_color)
    assert main([str(healthy.path)]) == 0
    assert ("\033[" in capsys.readouterr().out) is coloured


def test_the_module_runs_as_a_command(healthy):
    command = [sys.executable, "-m", "grpo_launchpad.report"]
    done = subprocess.run([*command, str(healthy.path)], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert "completed" in done.stdout
    assert "\033" not in done.stdout
    assert subprocess.run(command, capture_output=True, timeout=300).returncode == 2
