"""Training end to end on the CPU: it learns, it survives kill -9, and trainer and rollout agree."""

import contextlib
import socket
import time

import pytest
import torch
from end_to_end_run import Run, export, kill_everything, processes_of

# Ray's usual ports and the dashboard's. A run must not need any of them.
USUAL_PORTS = (6379, 8265, 10001, 52365)
TRUSTED_DIFFERENCE = 0.01


@pytest.fixture(scope="module")
def occupied_ports():
    with contextlib.ExitStack() as stack:
        for port in USUAL_PORTS:
            listener = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):  # somebody else occupies it, which is as good
                listener.bind(("0.0.0.0", port))
                listener.listen()
        yield


@pytest.fixture(scope="module")
def killed_and_resumed(tmp_path_factory, arithmetic_data, occupied_ports):
    """Ten steps, a checkpoint every four; killed after step 5, started again."""
    folder = tmp_path_factory.mktemp("runs") / "killed and resumed"
    run = Run(folder, arithmetic_data, TRAIN_STEPS=10, SAVE_FREQ=4, TEST_FREQ=10)
    first = run.start()
    run.wait_for_step(attempt=1, step=1, launcher=first)
    second = run.start()
    run.second_launcher_said, _ = second.communicate(timeout=300)
    run.second_launcher_exit_code = second.returncode
    run.wait_for_step(attempt=1, step=5, launcher=first)
    kill_everything(first)
    deadline = time.monotonic() + 300
    while (left := processes_of(folder)) and time.monotonic() < deadline:
        time.sleep(0.5)
    run.left_after_kill = [process.cmdline() for process in left if process.is_running()]
    run.resumed_said = run.train()
    return run


def test_a_second_run_of_the_same_name_is_refused(killed_and_resumed):
    assert killed_and_resumed.second_launcher_exit_code == 2
    assert "in use by another run" in killed_and_resumed.second_launcher_said


def test_kill_minus_nine_leaves_no_process_behind(killed_and_resumed):
    assert killed_and_resumed.left_after_kill == []


def test_a_killed_run_resumes_from_its_checkpoint_with_the_same_step_numbers(killed_and_resumed):
    before, after = killed_and_resumed.metrics(1), killed_and_resumed.metrics(2)
    assert {1, 2, 3, 4, 5} <= before.keys()
    trained = [step for step, metrics in after.items() if "actor/pg_loss" in metrics]
    assert trained == [5, 6, 7, 8, 9, 10]
    assert "resuming from a checkpoint" in killed_and_resumed.resumed_said
    assert killed_and_resumed.summary()["attempts"] == 2


def test_resuming_does_not_lose_what_was_learnt(killed_and_resumed):
    before, after = killed_and_resumed.metrics(1), killed_and_resumed.metrics(2)
    at_start = before[0]["val-core/arithmetic/acc/mean@1"]
    at_resume = after[4]["val-core/arithmetic/acc/mean@1"]
    assert at_resume > at_start + 0.1


def test_held_out_accuracy_rises(killed_and_resumed):
    summary = killed_and_resumed.summary()
    assert summary["status"] == "completed"
    assert summary["steps"] == 10
    assert summary["accuracy_after"] >= 0.85
    assert summary["accuracy_after"] - summary["accuracy_before"] >= 0.2


def test_trainer_and_rollout_agree_in_every_step(killed_and_resumed):
    for attempt in (1, 2):
        for step, metrics in killed_and_resumed.metrics(attempt).items():
            if "training/rollout_probs_diff_mean" in metrics:
                assert metrics["training/rollout_probs_diff_mean"] < TRUSTED_DIFFERENCE, (attempt, step)


def test_a_finished_run_is_not_trained_again(killed_and_resumed):
    output = killed_and_resumed.train()
    assert "NEW_RUN=1 starts afresh" in output
    assert killed_and_resumed.summary()["attempts"] == 2


def test_the_model_is_exported_and_answers_as_the_run_recorded(killed_and_resumed):
    found = export(killed_and_resumed.folder)
    assert "Each is what the checkpoint of step 10 holds" in found
    assert "16 greedy answers of vLLM are those that the run recorded at step 10" in found
    assert "before the training the model answered 16 of them otherwise" in found


def test_a_run_leaves_the_documented_files(killed_and_resumed):
    folder = killed_and_resumed.folder
    for name in ("command.sh", "resolved.yaml", "env.txt", "run.json", "attempts.jsonl"):
        assert (folder / "launch" / name).stat().st_size > 0, name
    for name in ("summary.json", "report.html", "learning_curve.svg", "metrics.2.jsonl", "log.2.txt"):
        assert (folder / name).stat().st_size > 0, name
    assert (folder / "rollouts" / "train" / "10.jsonl").exists()
    assert (folder / "checkpoints" / "latest_checkpointed_iteration.txt").read_text() == "10"


def test_two_workers_with_a_reference_model(tmp_path, arithmetic_data):
    run = Run(tmp_path / "two workers", arithmetic_data, NGPUS_PER_NODE=2, KL_LOSS_COEF=0.001, TRAIN_STEPS=2)
    run.train(SAVE_FREQ=2, TEST_FREQ=2, REWARDS="correctness:1.0,length(target=2):-0.01")
    metrics = run.metrics(1)
    assert run.summary()["world_size"] == 2
    assert metrics[1]["actor/kl_loss"] < 1e-3  # the policy still is the reference
    assert metrics[2]["actor/kl_loss"] > metrics[1]["actor/kl_loss"]
    assert all(metrics[step]["training/rollout_probs_diff_mean"] < TRUSTED_DIFFERENCE for step in (1, 2))
    for step in (1, 2):
        assert metrics[step]["reward/scorer_error/mean"] == 0.0
        total = metrics[step]["reward/correctness/mean"] - 0.01 * metrics[step]["reward/length/mean"]
        assert metrics[step]["critic/rewards/mean"] == pytest.approx(total, abs=1e-5)
    assert "val-aux/arithmetic/length/mean@1" in metrics[2]
    shards = list((run.folder / "checkpoints" / "global_step_2" / "actor").glob("model_world_size_2_rank_*.pt"))
    assert len(shards) == 2
    assert "16 greedy answers of vLLM are those that the run recorded at step 2" in export(run.folder)


def test_lora_trains_an_adapter_that_the_rollout_uses(tmp_path, arithmetic_data):
    run = Run(tmp_path / "lora", arithmetic_data, LORA_RANK=8, ACTOR_LR=3e-3, TRAIN_STEPS=3, SAVE_FREQ=3, TEST_FREQ=3)
    run.train()
    metrics = run.metrics(1)
    # Had the adapter not reached the rollout engine, the two would drift apart after the first update.
    assert all(metrics[step]["training/rollout_probs_diff_mean"] < TRUSTED_DIFFERENCE for step in (1, 2, 3))
    assert metrics[3]["val-core/arithmetic/acc/mean@1"] != metrics[0]["val-core/arithmetic/acc/mean@1"]
    shard = run.folder / "checkpoints" / "global_step_3" / "actor" / "model_world_size_1_rank_0.pt"
    assert any("lora_A" in name for name in torch.load(shard, weights_only=False))
    found = export(run.folder)
    assert "14 differ from the base model; 12 are the base model's" in found
    assert "16 greedy answers of vLLM are those that the run recorded at step 3" in found


def test_gdpo_takes_the_components_by_their_names(tmp_path, arithmetic_data):
    run = Run(tmp_path / "gdpo", arithmetic_data, TRAIN_STEPS=1, TEST_FREQ=-1, SAVE_FREQ=-1)
    run.train(
        "algorithm.adv_estimator=gdpo",
        "+algorithm.gdpo_reward_keys=[correctness,format]",
        "+algorithm.gdpo_reward_weights=[1.0,0.1]",
        "trainer.use_v1=False",
        REWARDS="correctness:1.0,format:0.1",
    )
    metrics = run.metrics(1)[1]
    assert 0.0 < metrics["gdpo/correctness/mean"] < metrics["gdpo/format/mean"] <= 1.0
