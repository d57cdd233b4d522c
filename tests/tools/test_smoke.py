import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from grpo_launchpad import verification
from tools import smoke
from tools.launchers import ROOT, Launcher, all_launchers

COMPLETED = """\
mkdir -p "${RUN_DIR}.smoke/checkpoints/global_step_2"
echo report >"${RUN_DIR}.smoke/report.html"
echo '{"status": "completed", "steps": 2, "world_size": 2, "rollout_probs_diff_mean": 0.0030712}' \\
    >"${RUN_DIR}.smoke/summary.json"
"""
# What a launcher has for a reader of its text; bash leaves it out.
PAGE = """\
set -euo pipefail
: <<'END'
CLUSTER=(
    "trainer.nnodes=${NNODES:=1}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=%(workers)d}"
    "actor_rollout_ref.model.path=${MODEL_PATH:=Qwen/Qwen2-7B-Instruct}"
)
END
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "launchers").mkdir()
    return tmp_path


@pytest.fixture
def stub(project):
    """Writes a launcher that does something else."""

    def write(name, body, workers=2):
        path = project / "launchers" / f"{name}.sh"
        path.write_text(f"{PAGE % {'workers': workers}}[[ $SMOKE == 1 ]] || exit 9\n{body}")
        return Launcher(path)

    return write


@pytest.fixture
def smoke_each(project):
    return lambda *launchers: [each.name for each in smoke.smoke_each(list(launchers), project / "runs")]


@pytest.fixture
def records(project):
    return lambda: verification.read(project / "launchers" / "verified.jsonl")


def test_a_completed_run_is_recorded_and_shown(stub, smoke_each, records, project, capsys):
    launcher = stub("run_a_fsdp_b", COMPLETED)
    assert smoke_each(launcher) == []
    (record,) = records()
    assert verification.level_of(launcher.path, [record]) == "S"
    assert (record.status, record.steps, record.world_size) == ("completed", 2, 2)
    assert record.rollout_probs_diff_mean == 0.00307
    assert record.hardware == f"{len(os.sched_getaffinity(0))} CPU cores"
    assert 0 <= record.seconds < 30
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["launcher", "status", "world", "steps", "probs", "diff", "seconds"]
    assert row.split()[:5] == ["run_a_fsdp_b", "completed", "2", "2", "0.00307"]


def test_a_run_whose_engines_disagree_has_failed(stub, smoke_each, records):
    apart = COMPLETED.replace('"steps": 2', '"rollout_divergence_max": 0.5, "steps": 2')
    assert smoke_each(stub("run_a_fsdp_b", apart)) == ["run_a_fsdp_b"]
    assert records()[0].status == "disagree"
    assert not records()[0].reaches_level


def test_the_results_stay_and_the_checkpoints_go(stub, smoke_each, project):
    smoke_each(stub("run_a_fsdp_b", COMPLETED))
    names = {path.name for path in (project / "runs" / "run_a_fsdp_b.smoke").iterdir()}
    assert names == {"report.html", "summary.json"}


def test_goes_on_after_a_failure_and_lists_it_with_its_log(stub, smoke_each, records, project, capsys):
    failing = stub("run_a_fsdp_b", "echo the trainer broke; exit 1")
    assert smoke_each(failing, stub("run_b_fsdp_b", COMPLETED)) == ["run_a_fsdp_b"]
    assert [record.status for record in records()] == ["failed", "completed"]
    log = project / "runs" / "run_a_fsdp_b.smoke.log"
    assert log.read_text() == "the trainer broke\n"
    assert f"1 of 2 failed:\n  run_a_fsdp_b: {log}" in capsys.readouterr().out
    assert verification.level_of(failing.path, records()) == ""


def test_a_run_that_left_no_summary_failed(stub, smoke_each):
    assert smoke_each(stub("run_a_fsdp_b", "exit 0")) == ["run_a_fsdp_b"]


def test_the_summary_of_an_earlier_run_does_not_count(stub, smoke_each, project):
    smoke_each(stub("run_a_fsdp_b", COMPLETED))
    assert smoke_each(stub("run_a_fsdp_b", "exit 1")) == ["run_a_fsdp_b"]
    assert smoke_each(stub("run_a_fsdp_b", "exit 0")) == ["run_a_fsdp_b"]


def test_what_cannot_run_on_a_cpu_says_why_and_did_not_fail(stub, smoke_each, records, project, capsys):
    launcher = stub("run_qwen2.5-vl-7b_megatron_geo3k", "exit 0")
    assert smoke_each(launcher) == []
    (record,) = records()
    reason = "SMOKE=1 needs Megatron-Bridge for this model, which needs Python 3.12 and Transformer Engine"
    assert (record.reason, record.reaches_level) == (reason, False)
    assert f"1 cannot run on a CPU: {reason}" in capsys.readouterr().out
    assert not (project / "runs").exists()  # nothing was started to find that out


def test_any_other_refusal_is_a_failure(stub, smoke_each):
    assert smoke_each(stub("run_a_fsdp_b", "echo run_a_fsdp_b: ROLLOUT_N=x is not a number >&2; exit 2")) != []


def test_nothing_from_the_environment_changes_the_run(stub, smoke_each, monkeypatch, project):
    names = ("ACTOR_LR", "LORA_RANK", "NEW_RUN", "DRY_RUN", "CHECK", "GEN_TP", "EXPERIMENT_NAME", "CKPTS_DIR", "LOGGER")
    for name in names:
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("PYTHON", "kept")
    smoke_each(stub("run_a_fsdp_b", "".join(f'echo "{name}=${{{name}-}}"\n' for name in (*names, "PYTHON"))))
    assert (project / "runs" / "run_a_fsdp_b.smoke.log").read_text() == (
        "".join(f"{name}=\n" for name in names) + "PYTHON=kept\n"
    )


def test_the_record_is_of_the_command_that_ran(stub, smoke_each, records):
    edit = 'sed -i "s/Qwen2-7B-Instruct/Qwen2-0.5B-Instruct/" "$0"'
    launcher = stub("run_a_fsdp_b", COMPLETED + edit)
    smoke_each(launcher)
    assert "Qwen2-0.5B" in launcher.path.read_text()
    assert verification.level_of(launcher.path, records()) == ""


def test_the_record_says_how_far_engine_and_trainer_were_apart(stub, smoke_each, records):
    apart = COMPLETED.replace('"steps": 2', '"rollout_divergence_max": 0.0012345, "steps": 2')
    assert smoke_each(stub("run_a_fsdp_b", apart)) == []
    (record,) = records()
    assert (record.rollout_divergence_max, record.divergence_limit) == (0.00123, smoke.DIVERGENCE_LIMIT)


def test_a_run_without_an_end_is_stopped(stub, smoke_each, monkeypatch, project):
    monkeypatch.setattr(smoke, "TIME_LIMIT", 0.5)
    assert smoke_each(stub("run_a_fsdp_b", "sleep 1000")) == ["run_a_fsdp_b"]
    assert "no end after" in (project / "runs" / "run_a_fsdp_b.smoke.log").read_text()


def alive(pid: str) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rsplit(")")[1].split()[0] != "Z"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_at_once_with_all_that_was_started(stub, project, number):
    stub(
        "run_a_fsdp_b",
        'sleep 1000 &\necho $! >"${RUN_DIR}.pid.partial"; mv "${RUN_DIR}.pid.partial" "${RUN_DIR}.pid"; wait',
    )
    stub("run_b_fsdp_b", 'touch "${RUN_DIR}.started"')
    program = (
        "from pathlib import Path; import sys; from tools import smoke, launchers\n"
        "here = Path(sys.argv.pop())\n"
        "smoke.all_launchers = lambda: launchers.all_launchers(here / 'launchers')\n"
        "smoke.smoke_each.__defaults__ = (here / 'runs',)\n"
        "smoke.main()"
    )
    command = [sys.executable, "-c", program, "--all", project]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        pid_file = project / "runs" / "run_a_fsdp_b.pid"
        deadline = time.monotonic() + 300
        while not pid_file.exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "interrupted" in stderr
    assert not alive(pid_file.read_text().strip())
    assert not (project / "runs" / "run_b_fsdp_b.started").exists()


def test_one_per_architecture_covers_every_model_type_and_backend():
    def kinds(launchers):
        return sorted({(each.architecture.model_type, each.backend.removesuffix("-npu")) for each in launchers})

    published = [each for each in all_launchers() if each.architecture]
    chosen = smoke.one_per_architecture(published)
    assert kinds(chosen) == kinds(published)
    assert len(chosen) == len(kinds(published))


def test_one_per_architecture_prefers_a_launcher_that_shards(stub):
    alone = stub("run_qwen2-7b_fsdp_a", "", workers=1)
    sharded = stub("run_qwen2-7b_fsdp_b", "", workers=8)
    assert smoke.one_per_architecture([alone, sharded]) == [sharded]


@pytest.mark.parametrize("arguments", [[], ["run_tiny_cpu_arithmetic", "--all"], ["run_tiny_cpu_aritmetic"]])
def test_command_refuses_what_it_cannot_do(arguments):
    command = [sys.executable, "-m", "tools.smoke", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--all" in done.stderr
