"""Knobs: each one reaches verl, and arguments win over the environment over cluster/env.sh over the launcher."""

import re

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from grpo_launchpad.knobs import Knob, read_knobs
from grpo_launchpad.preflight.compose import compose
from tests.examples.launcher_file import Launcher
from tests.examples.sandbox import Result, Sandbox

NAMES = sorted({knob.name for knob in read_knobs()})


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


def assert_reaches_verl(result: Result, knob: Knob, value: str) -> None:
    settings = result.settings()
    for key in knob.keys:
        given = settings.get(key, "nothing")
        if given.startswith("'"):
            given = given[1:-1].replace("\\'", "'")
        assert given == value, f"{knob.name}={value} gives {key} {given}"


def test_every_default_reaches_verl(launcher, command):
    for knob in launcher.table():
        if knob.name in launcher.knobs:
            assert_reaches_verl(command(launcher), knob, launcher.knobs[knob.name])


def test_every_knob_of_a_launcher_is_alive(launcher, dry_sandbox):
    knobs = [knob for knob in launcher.table() if knob.name in launcher.knobs]
    values = {knob.name: value_of(knob, variant=2 if launcher.knobs[knob.name] == "True" else 1) for knob in knobs}
    result = dry_sandbox.print_command(launcher.name, **values)
    for knob in knobs:
        assert values[knob.name] != launcher.knobs[knob.name]
        assert_reaches_verl(result, knob, values[knob.name])


@pytest.mark.parametrize("variant", [1, 2])
def test_every_knob_of_the_table_is_alive_whether_named_or_not(launcher_of_engine, dry_sandbox, variant):
    values = {knob.name: value_of(knob, variant) for knob in launcher_of_engine.table()}
    result = dry_sandbox.print_command(launcher_of_engine.name, **values)
    for knob in launcher_of_engine.table():
        assert_reaches_verl(result, knob, values[knob.name])
    config = compose(result.printed_arguments())
    for knob in launcher_of_engine.table():
        for key in knob.keys:
            given = OmegaConf.select(config, key)
            assert str(given) in (values[knob.name], str(float(values[knob.name])) if knob.kind == "number" else "")


def test_an_empty_knob_that_the_launcher_does_not_name_sets_nothing(launcher_of_engine, command):
    unnamed = [knob for knob in launcher_of_engine.table() if knob.name not in launcher_of_engine.knobs]
    empty = command(launcher_of_engine, **{knob.name: "" for knob in unnamed})
    assert empty.printed_arguments() == command(launcher_of_engine).printed_arguments()


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
        assert_reaches_verl(from_cluster, knob, value_of(knob, 1))
        assert_reaches_verl(from_environment, knob, value_of(knob, 2))
        assert_reaches_verl(from_arguments, knob, str(index))


def test_what_follows_from_knobs_follows_them_wherever_they_come_from(launcher_of_branch, command):
    settings = command(
        launcher_of_branch, MAX_PROMPT_LENGTH="100", MAX_RESPONSE_LENGTH="23", KL_LOSS_COEF="0.5"
    ).settings()
    assert settings["actor_rollout_ref.rollout.max_model_len"] == "123"
    assert settings["actor_rollout_ref.actor.use_kl_loss"] == "True"
    without = command(launcher_of_branch, KL_LOSS_COEF="0.00").settings()
    assert "actor_rollout_ref.actor.use_kl_loss" not in without


def test_new_run_gets_a_folder_of_its_own(launcher_of_branch: Launcher, dry_sandbox):
    name = launcher_of_branch.name
    folder = dry_sandbox.print_command(name, NEW_RUN="1").settings()["trainer.default_local_dir"]
    assert re.fullmatch(rf"'{re.escape(str(dry_sandbox.runs / name))}-\d{{8}}-\d{{6}}/checkpoints'", folder)


def test_new_run_is_new_where_the_user_chose_the_folder_too(launcher_of_branch, dry_sandbox):
    chosen = {"RUN_DIR": "/runs/mine", "CHECKPOINT_DIR": "/runs/saved"}
    settings = dry_sandbox.print_command(launcher_of_branch.name, NEW_RUN="1", **chosen).settings()
    assert re.fullmatch(r"'/runs/saved-\d{8}-\d{6}'", settings["trainer.default_local_dir"])
    assert re.fullmatch(r"'/runs/mine-\d{8}-\d{6}/rollouts/train'", settings["trainer.rollout_data_dir"])


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
    arguments = dry_sandbox.print_command("run_tiny_cpu_arithmetic", REWARDS=rewards).printed_arguments()
    (override,) = [argument for argument in arguments if argument.startswith("++reward.")]
    assert OverridesParser.create().parse_override(override).value() == rewards


@pytest.mark.parametrize("files", ["/a folder/train.parquet", "[/a/1.parquet,/a/2.parquet]"])
def test_files_are_one_path_or_a_list(dry_sandbox, files):
    arguments = dry_sandbox.print_command("run_tiny_cpu_arithmetic", TRAIN_FILES=files).printed_arguments()
    (override,) = [argument for argument in arguments if argument.startswith("data.train_files=")]
    expected = files[1:-1].split(",") if files.startswith("[") else files
    assert OverridesParser.create().parse_override(override).value() == expected
