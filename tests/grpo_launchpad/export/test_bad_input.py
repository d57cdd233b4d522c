"""What cannot be exported: one message with the way out, exit code 2, nothing half-written."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from grpo_launchpad.export import CannotExport
from grpo_launchpad.export.__main__ import main
from grpo_launchpad.export.checkpoint import find
from grpo_launchpad.export.model_folder import check_space, needed_bytes
from grpo_launchpad.launch.plan import ROOT
from grpo_launchpad.models import TINY_FOLDER
from grpo_launchpad.runs.lock import take_lock

HOLDER = """
import sys
from pathlib import Path
from grpo_launchpad.runs.folder import RunFolder
from grpo_launchpad.runs.lock import take_lock
take_lock(RunFolder(Path(sys.argv[1])))
print(flush=True)
sys.stdin.read()
"""


@pytest.fixture
def refused(capsys):
    """Exports a run and returns what was said; the export must be refused and leave nothing."""

    def refused(run, *arguments: str) -> str:
        before = sorted(run.path.rglob("*"))
        assert main([str(run.path), *arguments]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("grpo-launchpad export: ")
        assert "Traceback" not in err
        left = {path.name for path in set(run.path.rglob("*")) - set(before)}
        assert left <= {"lock"}, left
        return err

    return refused


def actor(run) -> Path:
    return run.checkpoints / "global_step_2" / "actor"


def test_a_folder_that_no_launcher_wrote(run, refused, tmp_path):
    made = run()
    made.identity.unlink()
    assert "run.json: missing" in refused(made)


def test_a_run_without_its_configuration(run, refused):
    made = run()
    made.configuration.unlink()
    assert "Give the whole folder that the launcher wrote" in refused(made)


def test_no_checkpoint(run, refused):
    made = run()
    shutil.rmtree(made.checkpoints)
    said = refused(made)
    assert "no checkpoint. A run saves one every SAVE_FREQ steps" in said
    assert "Launch it again" in said


def test_a_checkpoint_whose_saving_was_interrupted(run, refused):
    made = run()
    (made.checkpoints / "latest_checkpointed_iteration.txt").unlink()
    assert "the saving of step 2 was interrupted, and no other checkpoint is there" in refused(made)
    (made.checkpoints / "latest_checkpointed_iteration.txt").write_text("1")
    (made.checkpoints / "global_step_1").mkdir()
    assert "step 2: its saving was interrupted (complete: 1)" in refused(made, "--step", "2")


def test_a_step_that_is_not_there(run, refused):
    assert "step 7: there is no such checkpoint (complete: 2).\n  Give --step one of" in refused(run(), "--step", "7")


def test_a_missing_shard(run, refused):
    made = run("full", 2)
    (actor(made) / "model_world_size_2_rank_1.pt").unlink()
    said = refused(made)
    assert "1 of 2 shards missing, such as model_world_size_2_rank_1.pt" in said
    assert "Copy those of every machine into one folder" in said


@pytest.mark.parametrize("kept", [0, 1000, -1000])
def test_a_torn_shard(run, refused, kept):
    made = run("full", 2)
    shard = actor(made) / "model_world_size_2_rank_1.pt"
    shard.write_bytes(shard.read_bytes()[:kept])
    assert f"{shard}: damaged" in refused(made)


def test_shards_of_two_steps(run, refused):
    made = run("full", 2)
    other = actor(made) / "extra_state_world_size_2_rank_1.pt"
    state = torch.load(other, weights_only=False)
    state["lr_scheduler"]["last_epoch"] = 7
    torch.save(state, other)
    said = refused(made)
    assert "its shards are of different steps (rank 0: after 2 updates; rank 1: after 7 updates)" in said


def test_shards_of_two_models(run, refused):
    made, other = run("full", 2), run("adapter", 2)
    shutil.copy(actor(other) / "model_world_size_2_rank_1.pt", actor(made))
    assert "the shards of rank 0 and rank 1 are of different models" in refused(made)


def test_a_checkpoint_of_another_verl(run, refused):
    made = run()
    (actor(made) / "fsdp_config.json").unlink()
    assert "The checkpoint is of another verl" in refused(made)
    made = run("full", 2)
    made.identity.write_text(json.dumps({"name": "x", "versions": {"verl": "0.8.0"}}))
    said = refused(made)
    assert "was trained with verl 0.8.0 and this is verl 0.9.1" in said
    assert "Export it in the environment that trained it" in said


def test_a_checkpoint_without_its_tokenizer_and_configuration(run, refused):
    made = run()
    shutil.rmtree(actor(made) / "huggingface")
    assert "no config.json. The checkpoint is damaged" in refused(made)


def test_a_base_model_that_is_gone(run, refused, tmp_path):
    made = run("full", 1, **{"actor_rollout_ref.model.path": str(tmp_path / "gone")})
    said = refused(made)
    assert f"model '{tmp_path / 'gone'}' was not found" in said
    assert "Fetch it first" in said


def test_an_adapter_whose_beginning_is_gone(run, refused, tmp_path):
    made = run("adapter", 1, **{"actor_rollout_ref.model.lora_adapter_path": str(tmp_path / "gone")})
    assert "the adapter that the run went on with is not there" in refused(made, "--adapter")


def test_an_adapter_of_a_run_without_one(run, refused):
    assert "all weights were trained, there is no adapter. Leave --adapter out" in refused(run(), "--adapter")


def test_a_folder_that_is_there_already(run, refused, tmp_path):
    (tmp_path / "mine").mkdir()
    assert f"{tmp_path / 'mine'}: is there already" in refused(run(), "--out", str(tmp_path / "mine"))
    assert not list((tmp_path / "mine").iterdir())


def test_a_run_that_is_still_going_on(run, refused):
    made = run()
    command = [sys.executable, "-c", HOLDER, str(made.path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        said = refused(made)
        process.stdin.close()
    assert "the run is still going on" in said
    assert "Export it when it has ended, or stop it" in said


def test_an_export_keeps_launches_away_and_then_lets_them(run):
    made = run()
    assert main([str(made.path), "--no-engine"]) == 0
    take_lock(made, wait_seconds=0)


def test_a_disk_without_room(tmp_path):
    with pytest.raises(CannotExport, match="are free and the model takes 1000000000.0 GB.\n  Free some, or give"):
        check_space(tmp_path / "not" / "yet", 10**18)


@pytest.mark.parametrize(("case", "world_size"), [("full", 1), ("full", 2), ("adapter", 2)])
def test_the_room_that_is_asked_for_is_what_the_weights_take(run, case, world_size):
    made = run(case, world_size)
    asked = needed_bytes(find(made), TINY_FOLDER, adapter_only=False)
    assert main([str(made.path), "--no-engine"]) == 0
    taken = (made.export(2) / "model.safetensors").stat().st_size
    assert taken <= asked <= 1.2 * taken, "the output layer, which is tied, is counted as well"


@pytest.mark.parametrize(
    ("repository", "variables", "said"),
    [
        ("no name", {}, "not a repository name (owner/name)"),
        ("name", {}, "not a repository name (owner/name)"),
        ("me/x", {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
        ("me/x", {"HF_TOKEN_PATH": "/nowhere"}, "no token: run `hf auth login`, or set HF_TOKEN"),
        ("me/x", {"HF_TOKEN": "hf_a"}, "http://127.0.0.1:9 cannot be reached"),
    ],
)
def test_a_push_that_cannot_be(run, repository, variables, said):
    made = run()
    clean = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(made.path),
        "PYTHONPATH": str(ROOT),
        "HF_ENDPOINT": "http://127.0.0.1:9",
    }
    command = [sys.executable, "-m", "grpo_launchpad", "export", str(made.path), "--push", repository]
    done = subprocess.run(command, cwd=ROOT, env=clean | variables, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2, done.stderr
    assert f"--push {repository}: {said}" in done.stderr
    assert "Or export without --push" in done.stderr
    assert not (made.path / "export").exists()


def test_a_moved_run_is_exported(run, tmp_path):
    made = run()
    moved = made.path.rename(tmp_path / "moved")
    assert main([str(moved), "--no-engine"]) == 0
    assert (moved / "export" / "step_2" / "config.json").is_file()


def test_an_export_of_an_earlier_checkpoint_of_the_step_is_not_taken_for_the_new_one(run):
    from grpo_launchpad.export.__main__ import export_model

    made = run()
    folder = export_model(made.path, engine=False)
    assert export_model(made.path, engine=False) == folder
    shard = actor(made) / "model_world_size_1_rank_0.pt"
    shard.touch()
    with pytest.raises(CannotExport, match="is there already. Remove it"):
        export_model(made.path, engine=False)


def test_megatrons_own_form_alone(run, refused):
    made = run()
    folder = actor(made)
    (folder / "fsdp_config.json").unlink()
    (folder / "model").mkdir()
    shutil.move(folder / "huggingface", folder / "model" / "huggingface")
    manifest = {"backend": {"peft": False}, "contents": {"model": {"format": "megatron_dist_checkpoint"}}}
    (folder / "ckpt_contents.json").write_text(json.dumps(manifest))
    said = refused(made)
    assert "the weights are in Megatron's own form only" in said
    assert f"--backend megatron --local_dir '{folder}' --target_dir '{folder / 'model' / 'huggingface'}'" in said
