import inspect
import subprocess
import sys

from grpo_launchpad.reward_metrics import component_means


def test_means_of_the_numbers_that_every_response_has():
    rows = [
        {"score": 1.2, "acc": 1.0, "format": 1.0, "note": "x", "length": 3},
        {"score": 0.0, "acc": 0.0, "format": 1.0, "note": "y"},
    ]
    assert component_means(rows) == {"reward/acc/mean": 0.5, "reward/format/mean": 1.0}
    assert component_means([{"acc": float("nan")}]) == {}
    assert component_means([]) == {}


def test_verl_loads_the_module_and_it_imports_nothing_of_the_trainer():
    check = (
        "import sys, verl; assert 'grpo_launchpad.reward_metrics' in sys.modules; "
        "assert 'verl.trainer.ppo.v1.trainer_base' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", check], check=True, capture_output=True)


def test_the_trainer_is_extended_and_still_needs_it():
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer

    assert type(PPOTrainer.__dict__["_compute_metrics"]).__name__ == "FunctionWrapper"
    # When this fails, verl logs the components itself and grpo_launchpad.reward_metrics can go.
    assert "reward_extra_info" not in inspect.getsource(inspect.unwrap(PPOTrainer._compute_metrics))
