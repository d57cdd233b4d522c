"""`grpo-launchpad plan`: layouts that are legal and fit, as commands and as launchers."""

import json
import re

import pytest

from grpo_launchpad.architectures import of_model
from grpo_launchpad.estimate import plan_command, write_launcher
from grpo_launchpad.estimate.devices import device_of
from grpo_launchpad.estimate.layouts import Wanted, layouts
from grpo_launchpad.launch.page import Page
from grpo_launchpad.launch.plan import plan_of_page
from grpo_launchpad.preflight.check import check_configuration, check_values
from grpo_launchpad.preflight.compose import compose

SMALL, EXPERTS = "Qwen/Qwen2.5-3B-Instruct", "Qwen/Qwen3-30B-A3B"


def wanted(model: str, nodes: int, count: int, device: str, task: str, **more) -> Wanted:
    return Wanted(model, of_model(model), device_of(device), nodes, count, task, **more)


@pytest.fixture(
    scope="module",
    params=[
        (SMALL, 1, 4, "A100-40", "math", {"backends": ("fsdp",)}),
        ("Qwen/Qwen2.5-7B-Instruct", 1, 2, "4090", "gsm8k", {"backends": ("fsdp",), "lora": True}),
        ("Qwen/Qwen2.5-14B-Instruct", 1, 8, "H100", "math", {"backends": ("megatron",), "response": 2048}),
        (EXPERTS, 1, 8, "H200", "math", {"backends": ("megatron",)}),
        ("Qwen/Qwen3-8B", 1, 8, "910B", "gsm8k", {"backends": ("fsdp",)}),
    ],
    ids=lambda param: f"{param[0]} {param[2]}x{param[3]}",
)
def planned(request, tmp_path_factory):
    model, nodes, count, device, task, more = request.param
    if of_model(model) is None:  # a folder, as for a model that the table does not have
        folder = tmp_path_factory.mktemp("models") / model.rpartition("/")[2]
        folder.mkdir()
        shape = {"num_hidden_layers": 48, "hidden_size": 5120, "intermediate_size": 13824, "num_attention_heads": 40}
        more_shape = {"num_key_value_heads": 8, "vocab_size": 152064, "max_position_embeddings": 32768}
        (folder / "config.json").write_text(json.dumps({"model_type": "qwen2", **shape, **more_shape}))
        model = str(folder)
    asked = wanted(model, nodes, count, device, task, **more)
    return asked, layouts(asked)


def test_layouts_that_surely_fit_come_first_and_the_faster_before_the_slower(planned):
    _, found = planned
    assert found
    assert [each.order for each in found] == sorted(each.order for each in found)
    assert all(each.memory.verdict.word != "does not fit" for each in found)


def test_a_written_launcher_is_legal_and_fits(planned, tmp_path):
    asked, found = planned
    name = write_launcher.name_of(asked, found[0])
    assert re.fullmatch(r"run_[a-z0-9.-]+_(fsdp|megatron)(-lora)?(-npu)?_\w+", name)
    file = tmp_path / f"{name}.sh"
    file.write_text(write_launcher.page_of(asked, found[0]))
    overrides = plan_of_page(file).overrides
    config = compose(overrides)
    assert check_values(config, overrides) == []
    assert check_configuration(config, overrides, asked.architecture) == []
    assert config.actor_rollout_ref.model.path == asked.model
    assert (config.trainer.nnodes, config.trainer.n_gpus_per_node) == (asked.nodes, asked.per_node)
    if asked.response:
        assert config.data.max_response_length == asked.response
    for key, value in found[0].changes.items():
        assert value in (None, False) or str(value) in (str(each) for each in _values(config, key)), key
    lines = [line.key for line in Page(file).lines]
    assert len(lines) == len(set(lines))
    assert asked.device.name in file.read_text()


def _values(config, key: str) -> list[object]:
    node = config
    for part in key.split("."):
        node = node.get(part) if node is not None else None
    return [node, 1 if node is None else node]  # what is 1 by default need not stand on the page


def test_the_command_prints_recipes_with_their_knobs(capsys):
    arguments = ["--model", SMALL, "--gpus", "4xA100-40", "--task", "gsm8k", "--backend", "fsdp", "--top", "2"]
    assert plan_command.main(arguments) == 0
    text = capsys.readouterr().out
    assert f"MODEL_PATH={SMALL} NNODES=1 NGPUS_PER_NODE=4" in text
    assert "bash examples/grpo_trainer/run_" in text
    assert plan_command.main([*arguments, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert len(said) == 2
    assert said[0]["memory"]["verdict"] == "fits"


def test_what_fits_nowhere_is_said(capsys):
    arguments = ["--model", "deepseek-ai/DeepSeek-V3", "--gpus", "1x4090", "--task", "math", "--backend", "megatron"]
    assert plan_command.main(arguments) == 1
    assert "fits no layout" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"--gpus": "4xV100"}, "no device of the table"),
        ({"--gpus": "H100"}, "not of the form"),
        ({"--gpus": "0xH100"}, "machines of"),
        ({"--gpus": "9999x8xH100"}, "machines of"),
        ({"--model": "somebody/something"}, "table of architectures"),
        ({"--task": "cooking"}, "no data set"),
        ({"--max-response": "0"}, "above 0"),
    ],
)
def test_nonsense_is_one_message_and_exit_code_2(change, reason, capsys):
    arguments = {"--model": SMALL, "--gpus": "1x4090", "--task": "gsm8k"} | change
    assert plan_command.main([word for pair in arguments.items() for word in pair]) == 2
    assert reason in capsys.readouterr().err


def test_a_model_with_quantised_weights_is_refused(tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"model_type": "qwen2", "quantization_config": {"quant_method": "gptq"}}')
    assert plan_command.main(["--model", str(tmp_path), "--gpus", "1x4090", "--task", "gsm8k"]) == 2
    assert "gptq" in capsys.readouterr().err


def test_a_launcher_that_is_there_is_not_overwritten(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(plan_command, "FOLDER", tmp_path)
    arguments = ["--model", SMALL, "--gpus", "4xA100-40", "--task", "gsm8k", "--backend", "fsdp", "--write"]
    assert plan_command.main(arguments) == 0
    assert [file.name for file in tmp_path.iterdir()] == ["run_qwen2.5-3b_fsdp_gsm8k.sh"]
    assert plan_command.main(arguments) == 2
    assert "there already" in capsys.readouterr().err
