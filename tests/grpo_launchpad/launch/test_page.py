"""A launcher read as a text gives the overrides that bash makes of it."""

import os
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpo_launchpad.launch.launchers import all_files
from grpo_launchpad.launch.page import Page

# In the place of launch.sh: prints what it is given, each with a NUL behind it.
PRINTING = "launch::run() { printf '%s\\0' \"$@\"; }\n"
DATA = "/the data"
# An environment variable has no NUL, and Python's are UTF-8.
VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=12)
ODD = {
    "MODEL_PATH": '/my models/it\'s "one" \\ of $HOME `id` 模型',
    "TRAIN_FILES": "[/a b/1.parquet,/c/2.parquet]",
    "VAL_FILES": " ",
    "ROLLOUT_N": "*",
    "ACTOR_LR": "1e-6\n",
    "REWARDS": "correctness:1.0,format:0.2 # not a comment",
}
LAUNCHER = """\
#!/usr/bin/env bash
# GRPO | Model | FSDP2 | GSM8K
#
#   bash run_x_fsdp_gsm8k.sh
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"
# not of the header

CLUSTER=( # of this machine
    "trainer.nnodes=${NNODES:=1}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/gsm8k/train.parquet}" # 7,473 rows
    "data.train_files_again=${TRAIN_FILES}"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    # "algorithm.left=out"
    "++a.b=${NNODES:=2}" # the default of the first line holds by then
    "a.text=two words, ${NNODES} of ${DATA_DIR}"
    "a.empty="
    "a.url=http://x/?a=b"
)

launch::run "${CLUSTER[@]}" "${ALGORITHM[@]}" "$@"
"""


@pytest.fixture(scope="session")
def by_bash(tmp_path_factory):
    """Expands a launcher with bash and nothing else of the project."""
    folder = tmp_path_factory.mktemp("bash")
    for name in ("lib", "grpo_trainer"):
        (folder / name).mkdir()
    (folder / "lib" / "launch.sh").write_text(PRINTING)

    def expand(launcher, variables):
        copy = shutil.copy(launcher, folder / "grpo_trainer")
        environment = {"PATH": os.environ["PATH"], **variables}
        done = subprocess.run(["bash", copy], env=environment, capture_output=True, timeout=300, check=True)
        return done.stdout.decode().split("\0")[:-1]

    return expand


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "run_x_fsdp_gsm8k.sh"
    path.write_text(LAUNCHER)
    return Page(path)


def pytest_generate_tests(metafunc):
    if "launcher" in metafunc.fixturenames:
        metafunc.parametrize("launcher", all_files(), ids=lambda file: file.stem)


def test_a_launchers_overrides_are_those_of_bash(launcher, by_bash):
    page = Page(launcher)
    named = {knob: f"a {knob} it's" for knob in page.knobs}
    odd = {name: value for name, value in ODD.items() if name in named}
    for given_ in ({}, odd, named, dict.fromkeys(named, "")):
        variables = {"DATA_DIR": DATA} | given_
        assert page.overrides(variables) == by_bash(launcher, variables)


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_whatever_is_set_the_overrides_are_those_of_bash(by_bash, data):
    launcher = data.draw(st.sampled_from(all_files()))
    knobs = data.draw(st.dictionaries(st.sampled_from(sorted(Page(launcher).knobs)), VALUES))
    variables = {"DATA_DIR": DATA} | knobs
    assert Page(launcher).overrides(variables) == by_bash(launcher, variables)


def test_a_page_has_an_element_for_each_that_bash_finds(page, by_bash):
    for variables in ({"DATA_DIR": DATA}, {"DATA_DIR": DATA, "NNODES": "3", "TRAIN_FILES": "a'b c"}):
        assert page.overrides(variables) == by_bash(page.path, variables)
    assert page.overrides({"DATA_DIR": DATA}) == [
        "trainer.nnodes=1",
        "data.train_files=/the data/gsm8k/train.parquet",
        "data.train_files_again=/the data/gsm8k/train.parquet",
        "algorithm.adv_estimator=grpo",
        "++a.b=1",
        "a.text=two words, 1 of /the data",
        "a.empty=",
        "a.url=http://x/?a=b",
    ]


def test_a_line_says_where_it_stands_and_why(page):
    nodes, files = page.lines[:2]
    assert (nodes.number, nodes.array, nodes.key) == (11, "CLUSTER", "trainer.nnodes")
    assert (nodes.knob, nodes.default) == ("NNODES", "1")
    assert (files.default, files.reason) == ("${DATA_DIR}/gsm8k/train.parquet", "7,473 rows")
    estimator, added = page.lines[3:5]
    assert (estimator.array, estimator.knob, estimator.default) == ("ALGORITHM", "", "grpo")
    assert (added.prefix, added.key) == ("++", "a.b")
    assert page.path.read_text().splitlines()[added.number - 1].startswith('    "++a.b=')
    assert page.line_of("a.b") == added.number
    assert page.line_of("algorithm.left") == 0


def test_the_header_is_what_stands_above_the_code(page):
    assert page.header == ["GRPO | Model | FSDP2 | GSM8K", "", "  bash run_x_fsdp_gsm8k.sh"]


def test_a_page_knows_its_knobs(page):
    assert set(page.knobs) == {"NNODES", "TRAIN_FILES"}
    assert page.knobs["TRAIN_FILES"] == "${DATA_DIR}/gsm8k/train.parquet"
