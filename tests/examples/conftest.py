import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

import pytest
from omegaconf import DictConfig

from data_prep import arithmetic
from data_prep.pipeline.verl_parquet import make_row
from tests.examples.launcher_file import LAUNCHERS, REPRESENTATIVES, WITHOUT_SMOKE, Launcher, one_of_each
from tests.examples.sandbox import Sandbox
from tests.examples.verl_acceptance import Examination, examine, read_yaml_in_c
from tests.verl_files import write_split

DATA_SOURCES = {"arithmetic": arithmetic.DATA_SET.splits[0].data_source, "gsm8k": "openai/gsm8k"}
ROWS = 1100  # above the train batch of each representative


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """Training and validation files for the representatives."""
    folder = tmp_path_factory.mktemp("the data")
    for task, source in DATA_SOURCES.items():
        rows = [
            make_row(
                data_source=source,
                messages=[{"role": "user", "content": f"{index}+1="}],
                ability="math",
                ground_truth=str(index + 1),
                extra_info={"split": "train", "index": index},
            )
            for index in range(ROWS)
        ]
        for split in ("train", "test"):
            write_split(folder / task, split, rows)
    return folder


@pytest.fixture
def sandbox(tmp_path, data) -> Sandbox:
    return Sandbox(tmp_path, data)


@pytest.fixture(scope="session")
def dry_sandbox(tmp_path_factory, data) -> Iterator[Sandbox]:
    """The sandbox of all dry runs, which leave no trace in it."""
    sandbox = Sandbox(tmp_path_factory.mktemp("dry"), data)
    untouched = sandbox.files()
    yield sandbox
    assert sandbox.files() == untouched, "a dry run left something behind"


@pytest.fixture(scope="session")
def examination(request) -> Iterator[Callable[..., Examination]]:
    """Show a launcher's command to verl; several tests look at the same answer.

    Two processes do it, on two cores, for all launchers of the session's tests at once.
    """
    with ProcessPoolExecutor(2, multiprocessing.get_context("fork"), read_yaml_in_c) as processes:
        begun: dict[tuple, Future[Examination]] = {}

        def begin(launcher: Launcher, **variables: str) -> Future[Examination]:
            key = (launcher.name, *variables)
            if key not in begun:
                begun[key] = processes.submit(examine, launcher.plan(**variables).overrides)
            return begun[key]

        for item in request.session.items:
            if "examination" in item.fixturenames:
                for name, launcher in item.callspec.params.items():
                    begin(launcher, **({"SMOKE": "1"} if name == "smoke_launcher" else {}))
        yield lambda launcher, **variables: begin(launcher, **variables).result()
        processes.shutdown(cancel_futures=True)


@pytest.fixture(scope="session")
def configuration(examination) -> Callable[..., DictConfig]:
    """A launcher's configuration."""

    def of(launcher: Launcher, **variables: str) -> DictConfig:
        answer = examination(launcher, **variables)
        assert answer.config is not None, answer.refusal
        return answer.config

    return of


def pytest_generate_tests(metafunc):
    sets = {
        "launcher": LAUNCHERS,
        "npu_launcher": [launcher for launcher in LAUNCHERS if launcher.device == "npu" and launcher.twin],
        "smoke_launcher": [launcher for launcher in LAUNCHERS if launcher.name not in WITHOUT_SMOKE],
        "launcher_of_engine": one_of_each("engine"),
        "launcher_of_branch": one_of_each("branch"),
    }
    for name, launchers in sets.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, launchers, ids=[launcher.name for launcher in launchers])
    if "representative" in metafunc.fixturenames:
        metafunc.parametrize("representative", REPRESENTATIVES)
