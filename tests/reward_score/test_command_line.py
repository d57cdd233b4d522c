import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from data_prep.pipeline.verl_parquet import make_row
from reward_score.__main__ import main
from tests.verl_files import write_split

ROOT = Path(__file__).resolve().parents[2]
GRADING = ROOT / "tests" / "samples" / "grading"
GSM8K = "openai/gsm8k"


def write(path: Path, *rows: dict) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def run(capsys):
    """Run the command; returns its exit code and what it printed on both streams."""

    def run(*arguments) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def dump(tmp_path):
    """A rollout dump as verl writes it."""
    row = {"input": "5+13?", "gts": "18", "score": 0.0, "step": 1, "uid": "x_0_0"}
    outputs = ("#### 18", "It is 18.", "It is 17.", "")
    return write(tmp_path / "1.jsonl", *(row | {"output": output} for output in outputs))


@pytest.fixture
def data(tmp_path):
    """A parquet file as data_prep writes it."""

    def make(*golds, data_source=GSM8K):
        rows = [
            make_row(
                data_source=data_source,
                messages=[{"role": "user", "content": "?"}],
                ability="math",
                ground_truth=gold,
                extra_info={"split": "train", "index": index},
            )
            for index, gold in enumerate(golds)
        ]
        return write_split(tmp_path, "train", rows)

    return make


class TestScoring:
    def test_a_rollout_dump(self, run, dump):
        code, out, err = run("--data", dump, "--data-source", GSM8K, "--rewards", "correctness:1.0,format:0.2")
        assert (code, err) == (0, "")
        assert "4 responses scored with correctness:1.0,format:0.2" in out
        means = dict(line.split() for line in out.splitlines() if len(line.split()) == 2)
        assert means == {
            "component": "mean",
            "score": "0.5500",
            "acc": "0.5000",
            "correctness": "0.5000",
            "format": "0.2500",
        }
        assert "scorer errors: 0 of 4 (0.00%)" in out
        assert "label" not in out

    def test_every_row_is_written_with_its_rewards(self, run, dump, tmp_path):
        out = tmp_path / "scored.jsonl"
        assert run("--data", dump, "--data-source", GSM8K, "--out", out)[0] == 0
        rows = read(out)
        assert [{key: row[key] for key in row if key != "rewards"} for row in rows] == read(dump)
        assert rows[1]["rewards"] == {"score": 1.0, "acc": 1.0, "format": 0.0, "scorer_error": 0.0}
        assert [name for name in os.listdir(tmp_path) if name.startswith(".")] == []

    def test_parquet_with_several_responses_a_row(self, run, data, tmp_path):
        import pyarrow as pa
        import pyarrow.parquet as pq

        file = data("18", "7")
        responses = pa.array([["#### 18", "#### 17"], ["#### 7", "#### 6"]])
        pq.write_table(pq.read_table(file).append_column("responses", responses), file)
        code, out, _ = run("--data", file, "--out", tmp_path / "scored.jsonl")
        assert code == 0
        assert "4 responses" in out
        assert out.count("0.5000") == 2
        assert [[result["acc"] for result in row["rewards"]] for row in read(tmp_path / "scored.jsonl")] == [[1, 0]] * 2

    def test_labels_give_a_confusion_table_and_disagreements(self, run, tmp_path):
        labelled = [
            ("#### 18", 1),
            ("#### 17", 1),
            ("#### 18", 0),
            ("#### 16", 0),
            ("#### 15", False),
            ("#### 18", None),
        ]
        rows = [{"pred": pred, "gold": "18", "label": label} for pred, label in labelled]
        rows.append({"pred": "#### 1", "gold": "18", "label": 1, "soft": True})
        code, out, _ = run("--data", write(tmp_path / "a.jsonl", *rows), "--data-source", GSM8K, "--show", 1)
        assert code == 0
        for line in (
            "labels of 5 responses, 1 soft ones left out",
            "true positive  1 of 2 labelled right (50.00%)",
            "false negative 1 of 2 labelled right (50.00%)",
            "false positive 1 of 3 labelled wrong (33.33%)",
            "true negative  2 of 3 labelled wrong (66.67%)",
            "disagreements: 1 of 2",
            "row 2       false negative  gold '18'  answer '#### 17'",
        ):
            assert line in out
        assert "row 3 " not in out

    def test_columns_can_be_named(self, run, tmp_path):
        file = write(tmp_path / "a.jsonl", {"mine": "#### 18", "truth": 18, "ok": "true", "data_source": GSM8K})
        columns = ("--response-column", "mine", "--truth-column", "truth", "--label-column", "ok")
        code, out, _ = run("--data", file, *columns)
        assert code == 0
        assert "true positive  1 of 1" in out

    def test_chats_and_whole_solutions_are_read(self, run, tmp_path):
        chat = [{"role": "assistant", "content": "#### 18"}]
        file = write(tmp_path / "a.jsonl", {"completion": chat, "answer": "5+13\n#### 18"})
        code, out, _ = run("--data", file, "--data-source", GSM8K, "--truth-column", "answer")
        assert code == 0
        assert "1.0000" in out

    def test_an_option_reaches_the_scorer(self, run, dump):
        code, out, _ = run("--data", dump, "--data-source", GSM8K, "--option", "method=strict")
        assert code == 0
        assert "0.2500" in out

    def test_what_fails_is_counted(self, run, tmp_path):
        file = write(tmp_path / "a.jsonl", {"pred": None, "gold": "1"}, {"pred": "1", "gold": "1"})
        code, out, _ = run("--data", file, "--data-source", "arithmetic")
        assert code == 0
        assert "scorer errors: 1 of 2 (50.00%)" in out

    def test_control_characters_do_not_reach_the_terminal(self, run, tmp_path):
        row = {"pred": "\x1b[31m\ud800 #### 17", "gold": "18", "label": 1}
        code, out, _ = run("--data", write(tmp_path / "a.jsonl", row), "--data-source", GSM8K)
        assert code == 0
        assert "\x1b" not in out
        assert r"\x1b[31m\ud800 #### 17" in out

    def test_columns_called_kind_and_soft_mean_nothing_without_a_labelled_answer(self, run, tmp_path):
        row = {"output": "It is 18.", "gts": "18", "kind": "answer", "soft": True, "label": 1}
        out = tmp_path / "out.jsonl"
        code, printed, _ = run("--data", write(tmp_path / "a.jsonl", row), "--data-source", GSM8K, "--out", out)
        assert code == 0
        assert "labels of 1 responses\n" in printed
        assert read(out)[0]["rewards"]["format"] == 0.0  # the response is scored as it stands
        labelled = {"pred": "18", "gold": "18", "kind": "answer", "label": 1}
        write(tmp_path / "b.jsonl", labelled, labelled | {"soft": True})
        code, printed, _ = run("--data", tmp_path / "b.jsonl", "--data-source", GSM8K, "--out", out)
        assert "labels of 1 responses, 1 soft ones left out" in printed
        assert read(out)[0]["rewards"]["format"] == 1.0

    def test_labelled_gsm8k_solutions(self, run):
        code, out, _ = run("--data", GRADING / "gsm8k_openai_solutions.jsonl", "--data-source", GSM8K)
        assert code == 0
        assert "false positive 0 of 58" in out
        assert "false negative 0 of 22" in out

    @pytest.mark.parametrize("name", ["hacks", "metamorphic", "hendrycks_tests", "nemo_skills_tests"])
    def test_bare_answers_are_boxed(self, run, name):
        code, out, _ = run("--data", GRADING / f"{name}.jsonl", "--data-source", "lighteval/MATH")
        assert code == 0
        format_line = next(line for line in out.splitlines() if line.strip().startswith("format"))
        assert float(format_line.split()[1]) > 0.7


class TestMistakes:
    def wrong(self, run, *arguments) -> str:
        """Run the command, which must fail as a user's mistake, and return what it says."""
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith("error: ")
        assert "Traceback" not in err
        return err

    def test_truncated_json_names_the_line(self, run, dump):
        with dump.open("a") as file:
            file.write('{"input": "cut')
        err = self.wrong(run, "--data", dump, "--data-source", GSM8K)
        assert f"{dump}, line 5: not valid JSON" in err
        assert "fix: copy the file again if it is truncated" in err

    def test_nothing_is_left_of_an_output_that_failed(self, run, dump, tmp_path):
        with dump.open("a") as file:
            file.write("[]\n")
        err = self.wrong(run, "--data", dump, "--data-source", GSM8K, "--out", tmp_path / "scored.jsonl")
        assert "line 5: list instead of an object" in err
        assert os.listdir(tmp_path) == ["1.jsonl"]

    @pytest.mark.parametrize("command", ["--data", "--self-test"])
    def test_files_that_cannot_be_used(self, run, tmp_path, command):
        assert "cannot be read (No such file" in self.wrong(run, command, tmp_path / "none.jsonl")
        assert "cannot be read (No such file" in self.wrong(run, command, tmp_path / "none.parquet")
        assert "give .jsonl or .parquet" in self.wrong(run, command, tmp_path / "a.csv")
        assert "has no rows" in self.wrong(run, command, write(tmp_path / "empty.jsonl"))
        assert f"{tmp_path}: is a folder" in self.wrong(run, command, tmp_path)
        (tmp_path / "folder.jsonl").mkdir()
        assert "is a folder" in self.wrong(run, command, tmp_path / "folder.jsonl")
        (tmp_path / "a.parquet").write_bytes(b"no parquet")
        assert "not readable as parquet" in self.wrong(run, command, tmp_path / "a.parquet")

    def test_columns_that_are_missing(self, run, tmp_path):
        file = write(tmp_path / "a.jsonl", {"text": "18", "gold": "18"})
        assert "row 1: has no column 'data_source'" in self.wrong(run, "--data", file)
        source = ("--data-source", "arithmetic")
        err = self.wrong(run, "--data", file, *source)
        assert "no column for the response (response, output" in err
        assert "only 'text', 'gold'" in err
        assert "--response-column" in err
        err = self.wrong(run, "--data", file, *source, "--truth-column", "x")
        assert "no column 'x', only" in err
        response = ("--response-column", "text")
        err = self.wrong(run, "--data", file, *source, *response, "--label-column", "x")
        assert "no column 'x'" in err

    def test_values_that_are_none(self, run, tmp_path):
        row = {"pred": "1", "gold": "1", "data_source": "arithmetic"}
        err = self.wrong(run, "--data", write(tmp_path / "a.jsonl", row, row | {"label": "maybe"}))
        assert "row 2, column 'label': 'maybe' is no label" in err
        err = self.wrong(run, "--data", write(tmp_path / "a.jsonl", row | {"data_source": "wiki"}))
        assert "no scorer for data_source 'wiki'" in err
        assert "docs/en/rewards.md" in err
        err = self.wrong(run, "--data", write(tmp_path / "a.jsonl", row | {"data_source": ["arithmetic"]}))
        assert "row 1: no scorer for data_source ['arithmetic']" in err
        err = self.wrong(run, "--self-test", write(tmp_path / "a.jsonl", row | {"data_source": "arithmetics"}))
        assert "did you mean 'arithmetic'" in err

    @pytest.mark.parametrize(
        ("data_source", "reason"),
        [
            ("countdown", "countdown needs"),
            ("mlabonne/smoltldr", "the task has no ground truth"),
            ("code_tests", "a set of tests, not a solution"),
        ],
    )
    def test_an_answer_that_the_task_has_no_form_for(self, run, tmp_path, data_source, reason):
        file = write(tmp_path / "a.jsonl", {"pred": "7", "gold": "8", "label": 0, "kind": "answer"})
        allowed = ["--option", "execute=true"] if data_source == "code_tests" else []
        err = self.wrong(run, "--data", file, "--data-source", data_source, *allowed)
        assert "row 1, of kind 'answer': the answer '7' cannot be written as a response of" in err
        assert reason in err
        assert "fix: correct --data-source" in err

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--rewards", "corectness"], "did you mean 'correctness'"),
            (["--rewards", ""], "names no component"),
            (["--option", "method"], "write NAME=VALUE"),
            (["--option", "metod=strict"], "has no option 'metod'"),
            (["--option", "method=loose"], "method='loose'"),
        ],
    )
    def test_a_wrong_configuration(self, run, dump, arguments, message):
        assert message in self.wrong(run, "--data", dump, "--data-source", GSM8K, *arguments)

    def test_outputs_that_cannot_be_written(self, run, dump, tmp_path):
        source = ("--data-source", GSM8K)
        assert "cannot be written" in self.wrong(run, "--data", dump, *source, "--out", tmp_path / "no" / "out.jsonl")
        before = dump.read_bytes()
        assert "is the file that is read" in self.wrong(run, "--data", dump, *source, "--out", dump)
        assert dump.read_bytes() == before

    def test_outputs_that_are_no_files(self, run, dump, tmp_path):
        folder, link, pipe = tmp_path / "folder", tmp_path / "link", tmp_path / "pipe"
        folder.mkdir()
        link.symlink_to(tmp_path / "nothing")
        os.mkfifo(pipe)
        for out, what in (
            (folder, "is a folder"),
            (link, "is a symbolic link"),
            (pipe, "is no regular file"),
            ("/dev/null", "is a device"),
        ):
            mode = os.lstat(out).st_mode
            err = self.wrong(run, "--data", dump, "--data-source", GSM8K, "--out", out)
            assert f"--out {out}: {what}\n    fix: name a file" in err
            assert os.lstat(out).st_mode == mode
        assert sorted(os.listdir(tmp_path)) == ["1.jsonl", "folder", "link", "pipe"]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ([], "one of the arguments --data --self-test is required"),
            (["--data", "a", "--self-test", "b"], "not allowed with argument"),
            (["--data", "a", "--show", "x"], "--show: 'x' is no count"),
            (["--data", "a", "--show", "-1"], "--show: '-1' is no count"),
            (["--data", ""], "--data: an empty text names no file"),
            (["--data", "a", "--out", ""], "--out: an empty text names no file"),
            (["--self-test", "a", "--out", "b"], "--out has no effect on --self-test"),
            (["--self-test", "a", "--response-column", "b"], "--response-column has no effect on --self-test"),
            (["--self-test", "a", "--label-column", "b"], "--label-column has no effect on --self-test"),
        ],
    )
    def test_a_wrong_command_line(self, run, capsys, arguments, message):
        with pytest.raises(SystemExit) as caught:
            run(*arguments)
        assert caught.value.code == 2
        assert message in capsys.readouterr().err


class TestSelfTest:
    def test_good_data_passes(self, run, data):
        code, out, err = run("--self-test", data("18", "7", "3"), "--rewards", "correctness:1,format:0.2")
        assert (code, err) == (0, "")
        assert "self-test passed, 3 rows" in out

    def test_failing_rows_are_listed_with_their_gold(self, run, data):
        code, out, _ = run("--self-test", data("18", "many", "7", "few", ""), "--show", 2)
        assert code == 1
        assert "self-test failed in 3 of 5 (60.00%) rows" in out
        assert "row 2 (openai/gsm8k, gold 'many'): its own gold scores acc 0" in out
        assert "row 4 (openai/gsm8k, gold 'few')" in out
        assert "row 5 " not in out
        assert "and 1 more; --show 3 lists them all" in out

    def test_rows_that_cannot_be_tested_are_said(self, run, data):
        code, out, _ = run("--self-test", data("x", data_source="mlabonne/smoltldr"))
        assert code == 0
        assert "1 rows of mlabonne/smoltldr are not tested: the task has no ground truth" in out

    def test_json_lines_work_as_well(self, run, tmp_path):
        file = write(tmp_path / "a.jsonl", {"answer": "#### 18"}, {"answer": "#### 7"})
        code, out, _ = run("--self-test", file, "--data-source", GSM8K, "--truth-column", "answer")
        assert code == 0
        assert "2 rows" in out


def test_the_module_runs_as_a_command_without_a_bar(dump):
    command = [sys.executable, "-m", "reward_score", "--data", str(dump), "--data-source", GSM8K]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(("command", "code"), [("--data", 0), ("--self-test", 1)])
def test_a_reader_that_has_gone_is_no_error(tmp_path, command, code):
    file = write(tmp_path / "a.jsonl", *({"output": "x", "gts": "y", "data_source": GSM8K} for _ in range(5000)))
    arguments = [sys.executable, "-m", "reward_score", command, str(file), "--show", "5000"]
    process = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == code


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_streams_may_be_closed(dump, closed):
    command = f'exec "$0" -m reward_score --data "$1" --data-source "$2" {closed}'
    for source, code in ((GSM8K, 0), ("wiki", 2)):
        arguments = ["sh", "-c", command, sys.executable, str(dump), source]
        done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=300)
        assert done.returncode == code
        assert "Traceback" not in done.stdout + done.stderr


def test_a_terminal_gets_a_bar(dump):
    """The bar goes to the error stream, so that the output can be piped on."""
    terminal, error = pty.openpty()
    command = [sys.executable, "-m", "reward_score", "--data", str(dump), "--data-source", GSM8K]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "80"}
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=error, text=True, timeout=300, env=environment
    )
    os.close(error)
    shown = os.read(terminal, 100_000).decode()
    os.close(terminal)
    assert done.returncode == 0
    assert "4/4" in shown
    assert "\x1b" not in done.stdout
