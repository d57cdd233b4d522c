"""Knobs: each one reaches verl, and arguments win over the environment over cluster/env.sh over the launcher."""

import re
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from grpo_launchpad.launch.knobs import Knob, read_knobs
from grpo_launchpad.launch.plan import Plan, Source
from grpo_launchpad.preflight.compose import compose
from tests.examples.launcher_file import BY_NAME, Launcher
from tests.examples.sandbox import Result, Sandbox, split_override

NAMES = sorted({knob.name for knob in read_knobs()})
TINY = BY_NAME["run_tiny_cpu_arithmetic"]
ROLLOUT, ACTOR = "actor_rollout_ref.rollout", "actor_rollout_ref.actor"


def value_of(knob: Knob, variant: int) -> str:
    """A value of the knob's kind that no other knob and no other variant has; flags have but two."""
    number = 100 * (1 + NAMES.index(knob.name)) + variant
    values = {
        "count": str(number),
        "integer": str(number),
        "number": f"0.{number:05d}",
        "flag": str(variant % 2 == 1),
        "word": f"word{number}",
        "text": f'text {number}, it\'s "quoted"',
        "files": f"/a folder/{number}.parquet",
    }
    return values[knob.kind]


def assert_reaches_verl(settings: dict[str, str], knob: Knob, value: str) -> None:
    for key in knob.keys:
        given = settings.get(key, "nothing")
        if given.startswith("'"):
            given = given[1:-1].replace("\\'", "'")
        assert given == value, f"{knob.name}={value} gives {key} {given}"


def test_every_default_reaches_verl(launcher):
    settings = launcher.settings()
    for knob in launcher.table():
        if knob.name in launcher.knobs:
            default = launcher.knobs[knob.name].replace("${DATA_DIR}", "/the project/data")
            assert_reaches_verl(settings, knob, default)


def test_every_knob_of_the_table_is_alive_in_every_launcher(launcher):
    for variant in (1, 2):
        values = {knob.name: value_of(knob, variant) for knob in launcher.table()}
        settings = launcher.settings(**values)
        for knob in launcher.table():
            assert_reaches_verl(settings, knob, values[knob.name])


def test_verl_reads_every_knob_of_the_table(launcher_of_engine):
    values = {knob.name: value_of(knob, 1) for knob in launcher_of_engine.table()}
    config = compose(launcher_of_engine.plan(**values).overrides)
    for knob in launcher_of_engine.table():
        for key in knob.keys:
            given = OmegaConf.select(config, key)
            assert str(given) in (values[knob.name], str(float(values[knob.name])) if knob.kind == "number" else "")


def test_every_other_name_of_a_knob_is_the_knob(launcher_of_engine):
    for knob in launcher_of_engine.table():
        for name in knob.also:
            plan = launcher_of_engine.plan(**{name: value_of(knob, 1)})
            assert_reaches_verl({key: each.value for key, each in plan.settings.items()}, knob, value_of(knob, 1))
            assert plan.settings[knob.keys[0]].origin.name == name


def test_an_empty_knob_that_the_launcher_does_not_name_sets_nothing(launcher_of_engine):
    unnamed = [knob for knob in launcher_of_engine.table() if knob.name not in launcher_of_engine.knobs]
    assert launcher_of_engine.settings(**{knob.name: "" for knob in unnamed}) == launcher_of_engine.settings()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, data) -> Sandbox:
    """A project whose cluster/env.sh sets every knob that all launchers have."""
    sandbox = Sandbox(tmp_path_factory.mktemp("cluster"), data)
    (sandbox.project / "cluster").mkdir()
    lines = [f': "${{{knob.name}:=$CLUSTER_{knob.name}}}"\n' for knob in common_knobs()]
    (sandbox.project / "cluster" / "env.sh").write_text("".join(lines))
    return sandbox


def common_knobs() -> list[Knob]:
    return [knob for knob in read_knobs() if knob.backend == "all"]


def test_arguments_win_over_environment_over_cluster_over_launcher(launcher_of_branch, cluster):
    def run(*overrides: str, **environment: str) -> Result:
        of_cluster = {f"CLUSTER_{knob.name}": value_of(knob, 1) for knob in common_knobs()}
        return cluster.print_command(launcher_of_branch.name, *overrides, **of_cluster, **environment)

    environment = {knob.name: value_of(knob, 2) for knob in common_knobs()}
    from_cluster, from_environment = run(), run(**environment)
    overrides = [f"{key}={index}" for index, knob in enumerate(common_knobs()) for key in knob.keys]
    from_arguments = run(*overrides, **environment)
    for index, knob in enumerate(common_knobs()):
        assert_reaches_verl(from_cluster.settings(), knob, value_of(knob, 1))
        assert_reaches_verl(from_environment.settings(), knob, value_of(knob, 2))
        assert_reaches_verl(from_arguments.settings(), knob, str(index))
    assert "cluster/env.sh:\n" in from_cluster.stderr
    assert "environment:\n" in from_environment.stderr


def test_a_cluster_file_with_windows_line_ends_is_named_with_its_cure(sandbox):
    (sandbox.project / "cluster").mkdir()
    (sandbox.project / "cluster" / "env.sh").write_bytes(b': "${NNODES:=4}"\r\n')
    result = sandbox.try_command(TINY.name)
    assert result.returncode == 2
    assert "Windows line ends" in result.stderr


@pytest.mark.parametrize("by", ["knob", "argument"])
def test_what_follows_from_lengths_and_coefficients_follows_whoever_set_them(launcher_of_branch, by):
    def settings(**values: str) -> dict[str, str]:
        if by == "knob":
            return launcher_of_branch.settings(**values)
        keys = {
            "MAX_PROMPT_LENGTH": "data.max_prompt_length",
            "MAX_RESPONSE_LENGTH": "data.max_response_length",
            "KL_LOSS_COEF": f"{ACTOR}.kl_loss_coef",
        }
        return launcher_of_branch.settings(*(f"{keys[knob]}={value}" for knob, value in values.items()))

    given = settings(MAX_PROMPT_LENGTH="100", MAX_RESPONSE_LENGTH="23", KL_LOSS_COEF="0.5")
    assert given[f"{ROLLOUT}.max_model_len"] == "123"
    assert given[f"{ACTOR}.use_kl_loss"] == "True"
    assert settings(KL_LOSS_COEF="0.00")[f"{ACTOR}.use_kl_loss"] == "False"


def test_nothing_that_follows_replaces_what_was_set(launcher_of_branch):
    for arguments, variables in (
        ((), {"MAX_MODEL_LEN": "999"}),
        ((f"{ROLLOUT}.max_model_len=999",), {}),
    ):
        settings = launcher_of_branch.settings(*arguments, MAX_PROMPT_LENGTH="100", **variables)
        assert settings[f"{ROLLOUT}.max_model_len"] == "999"
    settings = launcher_of_branch.settings(f"{ACTOR}.use_kl_loss=True", KL_LOSS_COEF="0")
    assert settings[f"{ACTOR}.use_kl_loss"] == "True"


def test_an_adapter_on_fsdp_reads_the_base_weights_from_the_files():
    plan = BY_NAME["run_qwen2-7b_fsdp_gsm8k"].plan(LORA_RANK="8")
    assert plan.value(f"{ROLLOUT}.load_format") == "safetensors"
    assert plan.settings[f"{ROLLOUT}.load_format"].origin.source is Source.ENVIRONMENT
    assert f"{ROLLOUT}.load_format" not in BY_NAME["run_qwen2-7b_megatron_gsm8k"].plan(LORA_RANK="8").settings


def test_new_run_gets_a_folder_of_its_own(launcher_of_branch: Launcher):
    name = launcher_of_branch.name
    folder = launcher_of_branch.plan(NEW_RUN="1").value("trainer.default_local_dir")
    assert re.fullmatch(rf"/the project/runs/{re.escape(name)}-\d{{8}}-\d{{6}}/checkpoints", folder)


def test_new_run_is_new_where_the_user_chose_the_folder_too(launcher_of_branch):
    plan = launcher_of_branch.plan(NEW_RUN="1", RUN_DIR="/runs/mine", CHECKPOINT_DIR="/runs/saved")
    assert re.fullmatch(r"/runs/saved-\d{8}-\d{6}", plan.value("trainer.default_local_dir"))
    assert re.fullmatch(r"/runs/mine-\d{8}-\d{6}/rollouts/train", plan.value("trainer.rollout_data_dir"))


@pytest.mark.parametrize(
    "rewards",
    [
        'correctness:1.0,length(target=200,unit="words"):-0.01,mark',
        "/a folder/rewards.yaml",
        "correctness",
        "it's",
        r"back\slash",
        r"quote\'d",
        "ends in \\",
        "$HOME `id`",
    ],
)
def test_a_text_reaches_verl_as_it_was_written(dry_sandbox, rewards):
    arguments = dry_sandbox.print_command(TINY.name, REWARDS=rewards).printed_arguments()
    (override,) = [argument for argument in arguments if argument.startswith("++reward.")]
    assert OverridesParser.create().parse_override(override).value() == rewards


@pytest.mark.parametrize("files", ["/a folder/train.parquet", "/it's/train.parquet", "[/a/1.parquet,/a/2.parquet]"])
def test_files_are_one_path_or_a_list(files):
    override = TINY.plan(TRAIN_FILES=files).settings["data.train_files"].override
    expected = files[1:-1].split(",") if files.startswith("[") else files
    assert OverridesParser.create().parse_override(override).value() == expected


def test_a_key_that_verls_tree_lacks_can_be_given_again_and_deleted():
    launcher = BY_NAME["run_qwen3-30b-a3b_megatron_math"]
    key = f"{ACTOR}.optim.override_optimizer_config.optimizer_cpu_offload"
    for argument in (f"{key}=False", f"+{key}=False", f"++{key}=False"):
        config = compose(launcher.plan(argument).overrides)
        assert OmegaConf.select(config, key) is False
    assert OmegaConf.select(compose(launcher.plan(f"~{key}").overrides), key) is None


def test_bash_and_the_reader_of_pages_see_the_same(launcher, dry_sandbox):
    """What bash hands over is what Page.overrides reads: tables, records and tests can do without bash."""
    result = dry_sandbox.print_command(launcher.name)
    root = dry_sandbox.project
    assert {split_override(text) for text in result.printed_arguments()} == {
        split_override(text) for text in of_page(launcher, root).overrides
    }


def of_page(launcher: Launcher, root: Path) -> Plan:
    from grpo_launchpad.launch.plan import plan_of_page

    return plan_of_page(launcher.path, {}, root)
