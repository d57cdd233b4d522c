import pytest

from tools.launchers import all_launchers


def pytest_generate_tests(metafunc):
    if "launcher" in metafunc.fixturenames:
        launchers = all_launchers()
        metafunc.parametrize("launcher", launchers, ids=[each.name for each in launchers])


@pytest.fixture
def program(tmp_path):
    """Writes an executable file."""

    def write(name, text):
        path = tmp_path / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    return write
