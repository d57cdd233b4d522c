import os
import subprocess
import sys


def preflight(launch, *more):
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    command = [sys.executable, "-m", "grpo_launchpad.preflight", "--launcher", launch.launcher]
    command += ["--run-dir", launch.run_dir, "--"]
    return subprocess.run(
        [*command, *launch.overrides(*more)], capture_output=True, text=True, timeout=120, env=environment
    )


def test_good_launch_exits_0(launch):
    done = preflight(launch)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "preflight: ok\n")


def test_problems_exit_2_each_with_its_fix(launch):
    launch.train.unlink()
    done = preflight(launch, "actor_rollout_ref.rollout.n=1", "actor_rollout_ref.actor.grad_clip=1.0")
    assert done.returncode == 2
    assert done.stderr.startswith("preflight: 3 problems, nothing was started\n")
    assert done.stderr.count("    fix: ") == 3
    assert "Traceback" not in done.stderr


def test_unknown_key_exits_2_with_a_fix(launch):
    done = preflight(launch, "trainer.no_such_key=1")
    assert done.returncode == 2
    assert "argument trainer.no_such_key=1: verl 0.9.1 has no such key" in done.stderr
    assert done.stderr.count("    fix: ") == 1


def test_a_problem_names_the_argument_that_it_comes_from(launch):
    done = preflight(launch, "actor_rollout_ref.rollout.tensor_model_parallel_size=3")
    assert done.returncode == 2
    key = "actor_rollout_ref.rollout.tensor_model_parallel_size"
    assert f"  argument {key}=3: 8 devices cannot be split into rollout engines of TP 3" in done.stderr


def test_checks_import_nothing_heavy(launch):
    """Importing torch or verl takes longer than all checks together."""
    code = (
        "import sys; from pathlib import Path\n"
        "from grpo_launchpad.preflight.check import check\n"
        "from grpo_launchpad.preflight.compose import compose\n"
        "overrides = sys.argv[1:]\n"
        "assert check(compose(overrides), overrides, Path('run')) == []\n"
        "print(sorted({'torch', 'ray', 'verl', 'vllm', 'transformers'} & set(sys.modules)))\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(
        [sys.executable, "-c", code, *launch.overrides()], capture_output=True, text=True, timeout=120, env=environment
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
