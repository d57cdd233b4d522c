import subprocess
import sys

import pytest

ASK = "import verl; from verl.models.transformers.monkey_patch import is_trl_available as has; print(has())"


def verl_finds_trl(**options) -> bool:
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1] == "True"


def test_verl_passes_over_the_installed_trl():
    assert not verl_finds_trl()


def test_a_trl_with_value_heads_is_left_to_verl(tmp_path):
    value_heads = tmp_path / "trl" / "experimental" / "ppo"
    value_heads.mkdir(parents=True)
    (tmp_path / "trl" / "__init__.py").touch()
    assert verl_finds_trl(cwd=tmp_path)


class TestUpstreamStillNeeds:
    """Fails on the day the module can be removed."""

    def test_a_trl_without_value_heads(self):
        with pytest.raises(ImportError):
            from trl.experimental.ppo import AutoModelForCausalLMWithValueHead  # noqa: F401
        with pytest.raises(ImportError):
            from trl import AutoModelForCausalLMWithValueHead  # noqa: F401
