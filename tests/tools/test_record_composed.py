import pytest

from grpo_launchpad import verification
from tools import launchers, record_composed
from tools.launchers import FOLDER, Launcher, LauncherError, all_launchers, find_launcher, overrides_of


@pytest.fixture
def changed(tmp_path):
    """A launcher of the project with another text, in a folder of its own."""

    def change(name, old, new):
        path = tmp_path / f"{name}.sh"
        text = find_launcher(name).text
        assert old in text
        path.write_text(text.replace(old, new))
        return Launcher(path)

    return change


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("PPO_MINI_BATCH_SIZE:-256", "PPO_MINI_BATCH_SIZE:-300", "does not divide"),
        ("ROLLOUT_N:-5", "ROLLOUT_N:-five", "ROLLOUT_N=five is not a whole number"),
        ('launch::run "$@"', 'launch::run "actor_rollout_ref.actor.no_such_key=1" "$@"', "no_such_key"),
        ('launch::run "$@"', 'launch::run "actor_rollout_ref.nccl_timeout=600" "$@"', "never reads"),
    ],
)
def test_what_is_wrong_is_said(changed, old, new, complaint):
    assert complaint in record_composed.complaint(changed("run_qwen2-7b_megatron_gsm8k", old, new))


def test_the_overrides_are_the_launchers_own(monkeypatch):
    """Nothing from the environment or cluster/env.sh is in them."""
    monkeypatch.setenv("ACTOR_LR", "7e-7")
    overrides = overrides_of(find_launcher("run_qwen2-7b_megatron_gsm8k"))
    assert "actor_rollout_ref.actor.optim.lr=1e-6" in overrides
    assert overrides[0] == "model_engine=megatron"


def test_records_what_composes_and_names_what_does_not(changed, monkeypatch, tmp_path, capsys):
    good = changed("run_tiny_cpu_arithmetic", "", "")
    changed("run_qwen2-7b_megatron_gsm8k", "ROLLOUT_N:-5", "ROLLOUT_N:-five")
    records = tmp_path / "verified.jsonl"
    monkeypatch.setattr(record_composed, "all_launchers", lambda: all_launchers(tmp_path))
    monkeypatch.setattr(record_composed, "read", lambda: verification.read(records))
    monkeypatch.setattr(record_composed, "write", lambda record: verification.write(record, records))
    monkeypatch.setattr("sys.argv", ["record_composed"])
    for printed in ("run_tiny_cpu_arithmetic: composes\n", ""):  # the second time the record still fits
        with pytest.raises(SystemExit) as end:
            record_composed.main()
        assert end.value.code == 1
        out, err = capsys.readouterr()
        assert out == printed
        assert "ROLLOUT_N=five" in err
    (record,) = verification.read(records)
    assert verification.level_of(good.path, [record]) == "C"


def test_an_unknown_launcher_is_named_with_its_neighbours():
    with pytest.raises(LauncherError, match="did you mean run_qwen2-7b_megatron_gsm8k"):
        find_launcher("run_qwen2-7b_megatron_gsm9k")
    assert find_launcher(str(FOLDER / "run_tiny_cpu_arithmetic.sh")).model == "tiny"
    assert launchers.find_launcher("run_tiny_cpu_arithmetic").architecture is None
