"""The tutorials' numbers, from the launchers and the scripts to TRL's configuration."""

import re

import gsm8k
import pytest
import smoltldr
from datasets import Dataset
from options import parse
from trl.trainer.utils import RepeatSampler

from tests.examples.trl_trainer.conftest import FOLDER, GSM8K, SMOLTLDR

SCRIPTS = [(GSM8K, gsm8k), (SMOLTLDR, smoltldr)]
NUMBER = "12"
TEXTS = {
    "model_name_or_path": "owner/name",
    "output_dir": "somewhere",
    "use_peft": "False",
    "lora_target_modules": "q_proj",
    "report_to": "wandb",
}


def parsed(script, argv: list[str]) -> dict:
    """Return all fields of the three data classes that an option sets."""
    fields = {}
    for part in parse("", script.SETTINGS, argv):
        fields |= {name: value for name, value in vars(part).items() if name != "distributed_state"}
    return fields


@pytest.mark.parametrize(("shell_script", "script"), SCRIPTS)
def test_launcher_and_script_by_itself_are_the_same_run(shell_script, script, launch):
    launched, default = parsed(script, launch(shell_script)), parsed(script, [])
    assert {name for name in default if launched[name] != default[name]} == {"output_dir"}


@pytest.mark.parametrize(("shell_script", "script"), SCRIPTS)
def test_each_knob_reaches_its_field(shell_script, script, launch):
    knobs = dict(re.findall(r'--(\w+) "\$\{(\w+)\}"', shell_script.read_text().split("\nexec ")[1]))
    assert len(knobs) > 12
    chosen = {knob: TEXTS.get(name, NUMBER) for name, knob in knobs.items()}
    fields = parsed(script, launch(shell_script, **chosen))
    for name, knob in knobs.items():
        assert str(fields[name]).strip("[]'").removesuffix(".0") == chosen[knob], name


def test_arguments_behind_the_launcher_win(launch):
    fields = parsed(gsm8k, launch(GSM8K, "--beta", "0.1", "--temperature", "0.5", BETA="0.2"))
    assert (fields["beta"], fields["temperature"]) == (0.1, 0.5)


def test_gsm8k_has_the_tutorials_arguments():
    fields = parsed(gsm8k, [])
    tutorial = {
        "learning_rate": 5e-6,
        "adam_beta1": 0.9,
        "adam_beta2": 0.99,
        "weight_decay": 0.1,
        "warmup_steps": 0.1,
        "lr_scheduler_type": "cosine",
        "logging_steps": 1,
        "gradient_accumulation_steps": 4,
        "num_generations": 16,
        "max_prompt_length": 256,
        "max_completion_length": 200,
        "num_train_epochs": 1,
        "save_steps": 100,
        "max_grad_norm": 0.1,
        "log_on_each_node": False,
        "use_vllm": False,
    }
    assert {name: fields[name] for name in tutorial} == tutorial


def test_gsm8k_takes_the_tutorials_1868_steps():
    args = parse("", gsm8k.SETTINGS, [])[1]
    prompts = args.generation_batch_size // args.num_generations
    sampler = RepeatSampler(
        Dataset.from_dict({"prompt": [""] * 7473}),
        mini_repeat_count=args.num_generations,
        batch_size=prompts,
        repeat_count=args.num_iterations * args.steps_per_generation,
    )
    micro_batches = len(sampler) / (args.per_device_train_batch_size * args.steps_per_generation)
    assert prompts == 4
    assert micro_batches / args.gradient_accumulation_steps == 1868


def test_smoltldr_has_the_tutorials_arguments():
    fields = parsed(smoltldr, [])
    tutorial = {
        "lora_r": 16,
        "lora_alpha": 32,
        "lora_target_modules": "all-linear",
        "learning_rate": 2e-5,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 2,
        "max_prompt_length": 512,
        "max_completion_length": 96,
        "num_generations": 4,
        "num_train_epochs": 1,
        "logging_steps": 1,
        "remove_unused_columns": False,
        "epsilon": 0.2,
        "num_iterations": 1,
    }
    assert {name: fields[name] for name in tutorial} == tutorial
    assert smoltldr.SAMPLING.to_diff_dict().items() >= {"temperature": 0.5, "min_p": 0.1, "max_new_tokens": 256}.items()


@pytest.mark.parametrize(("shell_script", "script"), SCRIPTS)
def test_smoke_is_two_small_steps_of_the_packaged_model(shell_script, script, launch, tmp_path):
    fields = parsed(script, launch(shell_script, SMOKE="1", OUTPUT_DIR=str(tmp_path / "out")))
    assert fields["max_steps"] == 2
    assert fields["model_name_or_path"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert fields["data"] == str(tmp_path / "out" / "data")
    assert (tmp_path / "out" / "data" / "test.parquet").is_file()


@pytest.mark.parametrize("script", [gsm8k, smoltldr])
def test_the_readme_says_what_the_script_sets(script):
    section = (FOLDER / "README.md").read_text().split(f"`{script.__name__}.py`: the arguments", 1)[1].split("\n## ")[0]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("| ") and "---" not in line]
    claimed = {name: value for row in rows for name, value in re.findall(r"`(\w+)=([^`]+)`", row[2])}
    fields = parsed(script, [])
    assert len(claimed) > 12
    for name, value in claimed.items():
        found = getattr(fields[name], "value", fields[name])
        assert value == str(found) or float(value) == float(found), name


@pytest.mark.parametrize("script", [gsm8k, smoltldr])
@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--learnin_rate", "1"], "no such option: --learnin_rate 1"),
        (["--learn", "1"], "no such option: --learn 1"),
        (["--learning_rate", "fast"], "invalid float value: 'fast'"),
        (["--num_generations", "3"], "must be divisible by num_generations (3)"),
    ],
)
def test_wrong_options_are_named_in_two_lines(script, argv, message, capsys):
    with pytest.raises(SystemExit) as stop:
        parse("", script.SETTINGS, argv)
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert message in error
    assert len(error.splitlines()) == 2
