"""Time of a launch from its configuration, and what a run corrects in it."""

import json
import math
from dataclasses import replace

import pytest
from omegaconf import OmegaConf

from grpo_launchpad.estimate import calibration, duration
from grpo_launchpad.estimate.calibration import Measured, add, calibrated, measure, nearest, read
from grpo_launchpad.estimate.devices import device_of
from grpo_launchpad.estimate.duration import Lengths, assumed_lengths, duration_of, work_of
from grpo_launchpad.estimate.of_config import shape_of_model
from grpo_launchpad.estimate.verl import launch_of
from grpo_launchpad.launch.plan import ROOT, plan_of_page
from grpo_launchpad.preflight.compose import compose
from grpo_launchpad.runs.folder import RunFolder

RECIPES = ROOT / "examples" / "grpo_trainer"
H100, A100 = device_of("H100"), device_of("A100-80")


def composed(name, *overrides):
    plan = plan_of_page(RECIPES / f"{name}.sh")
    return compose([*(setting.override for setting in plan.settings.values()), *overrides])


@pytest.fixture(scope="module")
def fsdp():
    return composed("run_qwen2-7b_fsdp_gsm8k")


def launch(config, npu=False):
    return launch_of(config, shape_of_model(config), npu=npu)


def estimated(config, device=A100, rows=(7473, 1319), **options):
    lengths = options.pop("lengths", assumed_lengths(config))
    return duration_of(config, launch(config), device, lengths, work_of(config, *rows), **options)


def seconds(found):
    return {phase.key: phase.seconds for phase in found.phases}


def test_phases_are_those_of_a_step(fsdp):
    assert set(seconds(estimated(fsdp))) == {"gen", "old_log_prob", "ref", "update_actor", "update_weights", "other"}
    without = OmegaConf.merge(fsdp, {"actor_rollout_ref": {"actor": {"use_kl_loss": False}}})
    assert "ref" not in seconds(estimated(without))
    bypassed = OmegaConf.merge(fsdp, {"algorithm": {"rollout_correction": {"bypass_mode": True}}})
    assert "old_log_prob" not in seconds(estimated(bypassed))


def test_the_published_run_is_within_a_factor_of_two(fsdp):
    # verl's log of this recipe on 8 H20: 166 s a step with responses of 154 to 208 tokens (preflight's row 1).
    lengths = Lengths(80, 181, 1024, "the published log")
    found = estimated(fsdp, device_of("H20"), lengths=lengths)
    assert 0.5 < found.step / 166 < 2


@pytest.mark.parametrize(
    ("overrides", "steps", "validations", "saves"),
    [
        ({"total_epochs": 15, "test_freq": 5, "save_freq": 20, "val_before_train": True}, 105, 22, 6),
        ({"total_epochs": 1, "test_freq": -1, "save_freq": -1, "val_before_train": True}, 7, 1, 0),
        ({"total_training_steps": 10, "test_freq": 10, "save_freq": 10, "val_before_train": False}, 10, 1, 1),
    ],
)
def test_how_often_what_is_done(fsdp, overrides, steps, validations, saves):
    config = OmegaConf.merge(fsdp, {"trainer": overrides})
    work = work_of(config, 7473, 1319)
    assert (work.steps, work.validations, work.saves) == (steps, validations, saves)
    assert work.validation_samples == 1319 * config.actor_rollout_ref.rollout.val_kwargs.n


def test_without_data_there_is_a_step_and_no_total(fsdp):
    found = estimated(fsdp, rows=(None, None))
    assert found.step > 0
    assert found.total is None
    assert found.device_hours is None
    assert "steps" not in duration.line(found)
    assert duration.as_object(found)["total"] is None


def test_the_total_is_the_sum_of_its_parts(fsdp):
    found = estimated(fsdp)
    parts = found.step * 105 + found.validation.seconds * found.work.validations + found.save.seconds * found.work.saves
    assert found.total == pytest.approx(parts)
    assert found.device_hours == pytest.approx(parts * 8 / 3600)
    said = duration.as_object(found, price=2.0)
    assert said["cost"] == pytest.approx(2 * found.device_hours, abs=0.01)
    assert f"{2 * found.device_hours:,.0f} at 2 an hour" in duration.line(found, price=2.0)
    assert json.loads(json.dumps(said)) == said


def test_a_table_has_every_phase_with_floor_and_estimate(fsdp):
    lines = duration.table(estimated(fsdp)).splitlines()
    for name in duration.NAMES.values():
        (line,) = [line for line in lines if line.strip().startswith(name + " ")]
        floor, estimate = (float(word.replace(",", "")) for word in line.removeprefix(f"  {name}").split()[:2])
        assert floor <= estimate


# Each trainer on each kind of device, with and without adapters, experts, latent and linear attention, images.
KINDS = (
    "run_deepseek-v3-671b_megatron_math",
    "run_qwen3.5-35b-a3b_megatron_geo3k",
    "run_qwen2-7b_megatron-lora_math",
    "run_qwen3-30b-a3b_megatron-npu_math",
    "run_qwen2.5-vl-7b_fsdp-lora_geo3k",
    "run_qwen3-8b_fsdp-npu_gsm8k",
    "run_qwen2.5-0.5b_fsdp_gsm8k",
)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_recipe_has_a_time(name):
    config = composed(name)
    npu = "npu" in name
    device = device_of("910B" if npu else "H100")
    found = duration_of(config, launch(config, npu), device, assumed_lengths(config), work_of(config, 7473, 1319))
    assert all(math.isfinite(phase.seconds) and phase.seconds >= phase.floor >= 0 for phase in found.phases)
    assert found.step > 0


# ------------------------------------------------------------------------------------------------- calibration


def write_run(folder, config, steps, response=300.0):
    files = RunFolder(folder)
    files.launch.mkdir(parents=True)
    files.identity.write_text(json.dumps({"name": folder.name}))
    files.configuration.write_text(OmegaConf.to_yaml(config))
    lines = []
    for step, timing in enumerate(steps, 1):
        data = {f"timing_s/{key}": value for key, value in timing.items()}
        data |= {"timing_s/step": sum(timing.values()), "response_length/mean": response}
        data |= {"response_length/max": 1024.0, "prompt_length/mean": 100.0}
        lines.append(json.dumps({"step": step, "data": data}) + "\n")
    files.metrics(1).write_text("".join(lines))


def test_the_last_run_corrects_each_phase(fsdp, tmp_path):
    timing = {"gen": 80.0, "old_log_prob": 30.0, "ref": 25.0, "update_actor": 200.0, "update_weights": 8.0}
    first = {key: 9 * value for key, value in timing.items()}  # it compiles
    write_run(tmp_path / "run", fsdp, [first, timing, timing])
    run = measure(tmp_path / "run")
    assert (run.steps, run.lengths.response, run.lengths.longest) == (2, 300.0, 1024.0)
    found = calibrated(fsdp, launch(fsdp), A100, 7473, 1319, tmp_path / "run", runs=[])
    assert {key: round(value, 3) for key, value in seconds(found).items() if key in timing} == timing
    assert (found.band, found.origin) == (duration.BAND_AFTER_A_RUN, "calibrated by 2 steps of run")
    # Half as many prompts: what scales with samples halves, from what was measured.
    half = OmegaConf.merge(fsdp, {"data": {"train_batch_size": 512}})
    smaller = seconds(calibrated(half, launch(half), A100, 7473, 1319, tmp_path / "run", runs=[]))
    assert smaller["old_log_prob"] == pytest.approx(15, rel=0.1)
    assert smaller["update_actor"] == pytest.approx(100, rel=0.1)


def test_a_run_without_steps_or_configuration_corrects_nothing(fsdp, tmp_path):
    assert measure(tmp_path / "nowhere") is None
    write_run(tmp_path / "begun", fsdp, [])
    assert measure(tmp_path / "begun") is None
    write_run(tmp_path / "strange", fsdp, [{"gen": 5.0}])
    RunFolder(tmp_path / "strange").configuration.write_text("a: 1\n")
    found = calibrated(fsdp, launch(fsdp), A100, last_run=tmp_path / "strange", runs=[])
    assert (found.band, found.origin) == (2.0, "not calibrated")
    assert found.lengths.response == 300.0  # what it says of lengths holds all the same


def run_of(fsdp, **changes):
    base = Measured("a", "somewhere", "2026-01-01", "A100-80", "fsdp", False, 7e9, {"gen": 1.5, "testing": 9.0})
    return replace(base, **changes)


def test_the_nearest_run_is_of_the_same_kind(fsdp):
    near, far = run_of(fsdp), run_of(fsdp, id="b", parameters=3e9)
    others = [run_of(fsdp, device="H100"), run_of(fsdp, trainer="megatron"), run_of(fsdp, adapters=True)]
    assert nearest([*others, far, near], launch(fsdp), A100).id == "a"
    assert nearest([*others, far], launch(fsdp), A100).id == "b"
    assert nearest(others, launch(fsdp), A100) is None
    assert nearest([run_of(fsdp, parameters=1e8)], launch(fsdp), A100) is None


def test_a_published_run_corrects_phases_and_not_validation(fsdp):
    plain = calibrated(fsdp, launch(fsdp), A100, 7473, 1319, runs=[])
    found = calibrated(fsdp, launch(fsdp), A100, 7473, 1319, runs=[run_of(fsdp)])
    assert seconds(found)["gen"] == pytest.approx(1.5 * seconds(plain)["gen"])
    assert seconds(found)["update_actor"] == seconds(plain)["update_actor"]
    assert found.validation.seconds == plain.validation.seconds
    assert found.origin == "calibrated by a"


def test_rows_are_added_and_replaced(fsdp, tmp_path):
    file = tmp_path / "cache" / "measured.jsonl"
    add(run_of(fsdp), file)
    add(run_of(fsdp, id="b"), file)
    add(run_of(fsdp, parameters=1.0), file)
    assert [(each.id, each.parameters) for each in read(file)] == [("b", 7e9), ("a", 1.0)]
    file.write_text(file.read_text() + "no row\n{}\n")
    assert len(read(file)) == 2
    assert read(tmp_path / "nowhere") == []


def test_published_runs_are_cited_and_of_known_devices():
    runs = read(calibration.PUBLISHED)
    assert runs
    assert len({run.id for run in runs}) == len(runs)
    for run in runs:
        assert device_of(run.device).name == run.device
        assert run.source
        assert all(0.2 < ratio < 5 for ratio in run.phases.values())


def test_sequences_that_are_padded_take_as_long_as_the_longest(fsdp):
    padded = OmegaConf.merge(fsdp, {"actor_rollout_ref": {"model": {"use_remove_padding": False}}})
    lengths = Lengths(100, 200, 1024, "a test")
    plain, filled = (seconds(estimated(config, lengths=lengths))["update_actor"] for config in (fsdp, padded))
    assert filled > 3 * plain  # 1,536 tokens in place of 300
