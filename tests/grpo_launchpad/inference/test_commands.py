"""predict, chat and serve, with an engine that needs no model; and what is said to bad input."""

import io
import json
import socket

import pytest
from transformers import AutoTokenizer

from grpo_launchpad.inference import chat, predict, serve
from grpo_launchpad.inference.engine import Answer, Step
from grpo_launchpad.inference.model_argument import ModelArgumentError, read_model_argument, read_settings
from grpo_launchpad.models import TINY_FOLDER

RESOLVED = """
data:
  max_response_length: 8
  val_files: [{data}]
  apply_chat_template_kwargs: {{enable_thinking: false}}
actor_rollout_ref:
  model: {{path: tiny-arithmetic}}
  rollout: {{dtype: bfloat16, response_length: "${{oc.select:data.max_response_length,512}}"}}
reward:
  custom_reward_function:
    path: pkg://reward_score
    name: compute_score
    reward_kwargs: {{rewards: "correctness:1.0"}}
"""


class Adder:
    """Adds the last sum that it is asked, one token after the other."""

    def __init__(self, folder, **options):
        self.tokenizer, self.options = AutoTokenizer.from_pretrained(folder), options
        self.asked = []

    def _answer(self, request) -> list[int]:
        text = self.tokenizer.decode(request.prompt, skip_special_tokens=True)
        self.asked.append(text)
        a, b = text[text.rfind("?") + 1 :].rstrip("=").split("+")
        return [*self.tokenizer.encode(str(int(a) + int(b))), self.tokenizer.eos_token_id][: request.max_tokens]

    def stream(self, request, sampling):
        answer = self._answer(request)
        for end in range(1, len(answer) + 1):
            yield answer[:end]

    def run(self, requests, sampling):
        for request in reversed(list(requests)):
            yield Step(3, 0, [Answer(request.key, self._answer(request), False)])


@pytest.fixture
def run(tmp_path):
    """A run of sums, as a launcher leaves it."""
    data = tmp_path / "data" / "test.jsonl"
    data.parent.mkdir()
    rows = [{"prompt": [{"role": "user", "content": f"{a}+{a}="}], "data_source": "arithmetic"} for a in range(20)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    launch = tmp_path / "runs" / "sums" / "launch"
    launch.mkdir(parents=True)
    (launch / "run.json").write_text('{"name": "sums"}')
    (launch / "resolved.yaml").write_text(RESOLVED.format(data=data))
    return launch.parent


def test_settings_of_a_run(run):
    settings = read_settings(run)
    assert settings.base_model == "tiny-arithmetic"
    assert settings.max_response_length == 8
    assert settings.chat_template_kwargs == {"enable_thinking": False}
    assert settings.reward_kwargs == {"rewards": "correctness:1.0"}
    assert settings.dtype == "bfloat16"


def test_what_an_argument_names(run):
    assert read_model_argument(f"{run}:40").step == 40
    assert read_model_argument(f"{run}:40").name == "sums:40"
    assert read_model_argument(str(run)).step is None
    assert read_model_argument("Qwen/Qwen2-7B").name == "Qwen/Qwen2-7B"
    assert read_model_argument("smoke:tiny-arithmetic").run is None


def test_predict_asks_as_the_run_was_trained(run, monkeypatch, capsys):
    monkeypatch.setattr("grpo_launchpad.inference.model_argument.ModelArgument.folder", lambda self: TINY_FOLDER)
    assert predict.main([str(run), "3+4"], load=Adder) == 0
    out, err = capsys.readouterr()
    assert out == "7\n"
    assert "asked as in training: <question>=" in err


def test_predict_a_file_in_its_order(tmp_path, capsys):
    questions = tmp_path / "questions.txt"
    questions.write_text("1+1=\n\n2+2=\n3+3=\n")
    assert predict.main(["tiny-arithmetic", "--file", str(questions)], load=Adder) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["answer"] for row in rows] == ["2", "4", "6"]
    assert rows[0]["prompt"] == [{"role": "user", "content": "1+1="}]


def test_predict_reads_the_standard_input(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("20+22=\n"))
    assert predict.main(["tiny-arithmetic", "-"], load=Adder) == 0
    assert capsys.readouterr().out == "42\n"


def test_chat_remembers_and_begins_afresh(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("1+2=\n?3+4=\n/new\n5+6=\n"))
    engines = []

    def load(*args, **options):
        engines.append(Adder(*args, **options))
        return engines[0]

    assert chat.main(["tiny-arithmetic"], load=load) == 0
    assert capsys.readouterr().out == "3\n7\n11\n"
    assert engines[0].asked == ["1+2=", "1+2=3?3+4=", "5+6="]


def test_chat_says_when_the_model_can_read_no_more(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("1+2=" * 20 + "\n3+4=\n"))
    assert chat.main(["tiny-arithmetic"], load=Adder) == 0
    assert "the model reads 64; /new begins afresh" in capsys.readouterr().out


@pytest.mark.parametrize("verb", [predict, chat, serve])
def test_a_model_that_is_nowhere(verb, capsys):
    question = ["1+1="] if verb is predict else []
    assert verb.main(["./no-such-model", *question]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_bad_questions(tmp_path, capsys):
    empty = tmp_path / "empty.txt"
    empty.touch()
    assert predict.main(["tiny-arithmetic", "--file", str(empty)], load=Adder) == 2
    assert "has no questions" in capsys.readouterr().err
    assert predict.main(["tiny-arithmetic", "--file", str(tmp_path / "none.txt")], load=Adder) == 2
    assert "No such file" in capsys.readouterr().err
    assert predict.main(["tiny-arithmetic", "7+" * 40], load=Adder) == 2
    assert "reads 64; shorten it" in capsys.readouterr().err
    for arguments, message in (
        ([], "give a question, or --file FILE"),
        (["1+1=", "--temperature", "-1"], "'-1' is no temperature"),
        (["1+1=", "--temperature", "nan"], "'nan' is no temperature"),
        (["1+1=", "--max-tokens", "0"], "'0' is not a whole number above 0"),
    ):
        with pytest.raises(SystemExit, match="2"):
            predict.main(["tiny-arithmetic", *arguments], load=Adder)
        assert message in capsys.readouterr().err


def test_a_run_without_configuration_and_an_adapter_alone(run, tmp_path):
    (run / "launch" / "resolved.yaml").unlink()
    with pytest.raises(ModelArgumentError, match="nobody knows how the run was trained"):
        read_model_argument(str(run))
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelArgumentError, match="an adapter without its base model"):
        read_model_argument(str(tmp_path))


def test_serve_refuses_a_port_in_use_before_anything_starts(capsys):
    with socket.socket() as taken:
        taken.bind((serve.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert serve.main(["tiny-arithmetic", "--port", str(port)]) == 2
    assert f"something listens there already; give another: --port {port + 1}" in capsys.readouterr().err
    assert serve.main(["tiny-arithmetic", "--port", "70000"]) == 2
    assert "from 1 to 65535" in capsys.readouterr().err


def test_serve_listens_here_only_with_the_runs_template(run, monkeypatch):
    monkeypatch.setattr("grpo_launchpad.inference.model_argument.ModelArgument.folder", lambda self: TINY_FOLDER)
    command = serve.server_command(read_model_argument(str(run)), 8123, 1)
    options = dict(zip(command[3::2], command[4::2], strict=False))
    assert options["--host"] == "127.0.0.1"
    assert options["--port"] == "8123"
    assert options["--served-model-name"] == "sums"
    assert json.loads(command[command.index("--default-chat-template-kwargs") + 1]) == {"enable_thinking": False}
