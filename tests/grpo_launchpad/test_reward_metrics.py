import inspect
import json
import subprocess
import sys

from grpo_launchpad.reward_metrics import component_means, group_metrics


def test_means_of_the_numbers_that_every_response_has():
    rows = [
        {"score": 1.2, "acc": 1.0, "format": 1.0, "note": "x", "length": 3},
        {"score": 0.0, "acc": 0.0, "format": 1.0, "note": "y"},
    ]
    assert component_means(rows) == {"reward/acc/mean": 0.5, "reward/format/mean": 1.0}
    assert component_means([{"acc": float("nan")}]) == {}
    assert component_means([]) == {}


def test_groups_without_signal_and_answers_that_are_missing():
    keys = [f"{prompt}_{answer}_0" for prompt in ("a-1", "b_2", "c") for answer in range(2)]
    assert group_metrics(keys, [1.0, 0.0, 1.0, 1.0, 0.0, 0.0], asked=6) == {
        "groups/without_signal": 2 / 3,
        "groups/missing_answers": 0.0,
    }
    assert group_metrics(keys[:3], [1.0, 0.0, 1.0], asked=6)["groups/missing_answers"] == 0.5


def test_an_answer_of_several_turns_counts_once_with_its_last_score():
    found = group_metrics(["a_0_1", "a_0_0", "a_1_0"], [1.0, 0.0, 1.0], asked=2)
    assert found == {"groups/without_signal": 1.0, "groups/missing_answers": 0.0}


def test_dumps_of_training_rollouts_get_the_lengths_and_others_nothing(tmp_path):
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer

    class Trainer(PPOTrainer):
        on_sample_end = on_step_end = None

    trainer = Trainer.__new__(Trainer)
    trainer.global_steps = 1
    trainer._init_dump_executor()
    trainer.response_tokens = {"a_0_0": 3, "a_1_0": 5}
    rows = {"inputs": ["q", "q"], "outputs": ["x", "y"], "gts": ["g", "g"], "scores": [1.0, 0.0]}
    for kind, keys in (("train", ["a_0_0", "a_1_0"]), ("validation", ["b_0_0", "b_1_0"])):
        trainer._dump_generations(**rows, reward_extra_infos_dict={"uid": keys}, dump_path=str(tmp_path / kind))
    trainer._shutdown_dump_executor()
    train, held_out = (
        [json.loads(line) for line in (tmp_path / kind / "1.jsonl").read_text().splitlines()]
        for kind in ("train", "validation")
    )
    assert [row["response_tokens"] for row in train] == [3, 5]
    assert "response_tokens" not in held_out[0]


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
