"""The launchers as files: which there are, how they are named, and that each is a page of the same form."""

import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path

from grpo_launchpad.launch.knobs import knob_of
from grpo_launchpad.launch.page import ARRAY, ELEMENT, FRAME
from grpo_launchpad.launch.plan import Source
from tests.examples.launcher_file import ARRAYS, BY_NAME, FOLDER, LAUNCHERS, ROOT, TASKS, Launcher

SOURCE_LINES = (
    FRAME,
    "# shellcheck source=../lib/launch.sh",
    'source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"',
)
LONGEST_PAGE = 110
MOST_SHARED = 0.6
# What the library may set beside the page: it moves bytes, names, prints, or starts processes. The device's keys, which
# have one right value there, are in grpo_launchpad/launch/devices.py with their reasons.
OF_THE_LIBRARY = {
    "trainer.project_name",
    "trainer.experiment_name",
    "trainer.default_local_dir",
    "trainer.rollout_data_dir",
    "trainer.validation_data_dir",
    "trainer.logger",
    "hydra.run.dir",
    "hydra.output_subdir",
}
# What a reader of any recipe looks for: verl's key, with its value even where it is verl's own default.
ON_EVERY_PAGE = {
    "algorithm.adv_estimator",
    "actor_rollout_ref.rollout.n",
    "actor_rollout_ref.actor.ppo_mini_batch_size",
    "actor_rollout_ref.actor.optim.lr",
    "actor_rollout_ref.actor.use_kl_loss",
    "actor_rollout_ref.actor.kl_loss_coef",
    "data.train_files",
    "data.val_files",
    "data.train_batch_size",
    "data.max_prompt_length",
    "data.max_response_length",
    "data.filter_overlong_prompts",
    "reward.custom_reward_function.path",
    "reward.custom_reward_function.reward_kwargs.rewards",
    "actor_rollout_ref.model.path",
    "actor_rollout_ref.actor.use_dynamic_bsz",
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu",
    "actor_rollout_ref.rollout.name",
    "actor_rollout_ref.rollout.tensor_model_parallel_size",
    "actor_rollout_ref.rollout.max_model_len",
    "trainer.nnodes",
    "trainer.n_gpus_per_node",
    "trainer.total_epochs",
    "trainer.test_freq",
    "trainer.save_freq",
}

# What a reader can count on finding: model, backends, tasks (any of them for each backend).
REQUIRED = [
    ("qwen2-7b", ["fsdp", "megatron"], ["gsm8k"]),
    ("qwen2-7b", ["fsdp", "megatron", "megatron-lora"], ["math"]),
    ("qwen2.5-0.5b", ["fsdp"], ["gsm8k"]),
    ("qwen2.5-1.5b", ["fsdp-lora"], ["gsm8k"]),
    ("qwen2.5-3b", ["fsdp-lora"], ["gsm8k"]),
    ("qwen2.5-7b", ["fsdp", "fsdp-npu", "fsdp-lora-npu"], ["gsm8k"]),
    ("qwen2.5-32b", ["fsdp"], ["math"]),
    ("qwen2.5-32b", ["fsdp-npu"], ["gsm8k"]),
    ("qwen2.5-72b", ["fsdp-lora"], ["math"]),
    ("qwen3-4b", ["fsdp"], ["gsm8k"]),
    ("qwen3-8b", ["fsdp", "megatron", "fsdp-lora", "fsdp-npu", "megatron-npu"], ["gsm8k", "math"]),
    ("qwen3-30b-a3b", ["fsdp", "megatron", "megatron-lora", "megatron-npu"], ["math"]),
    ("qwen3-235b-a22b", ["megatron"], ["math"]),
    ("deepseek-llm-7b", ["fsdp", "megatron"], TASKS),
    ("deepseek-r1-distill-qwen-1.5b", ["fsdp-lora"], TASKS),
    ("deepseek-r1-distill-qwen-7b", ["fsdp", "fsdp-npu", "megatron"], TASKS),
    ("moonlight-16b-a3b", ["megatron"], TASKS),
    ("deepseek-v3-671b", ["megatron"], TASKS),
    ("glm4-9b", ["fsdp", "fsdp-lora", "fsdp-npu"], TASKS),
    ("glm4.5-air-106b-a12b", ["megatron"], TASKS),
    ("glm4.1v-9b", ["fsdp"], ["geo3k"]),
    ("qwen2.5-vl-7b", ["fsdp", "fsdp-lora", "megatron", "fsdp-npu"], ["geo3k"]),
    ("qwen3-vl-8b", ["fsdp", "megatron"], ["geo3k"]),
    ("qwen3-vl-30b-a3b", ["megatron"], ["geo3k"]),
    ("mistral-nemo-12b", ["fsdp"], ["gsm8k"]),
    ("llama3.1-8b", ["fsdp"], ["gsm8k"]),
    ("smollm2-135m", ["cpu"], ["gsm8k"]),
    ("smollm2-135m", ["cpu-lora"], ["smoltldr"]),
    ("tiny", ["cpu"], ["arithmetic"]),
]


def test_every_required_recipe_is_there():
    missing = [
        f"run_{model}_{backend}_{' or '.join(sorted(tasks))}.sh"
        for model, backends, tasks in REQUIRED
        for backend in backends
        if not any(f"run_{model}_{backend}_{task}" in BY_NAME for task in tasks)
    ]
    assert not missing, "\n".join(missing)
    assert len(LAUNCHERS) >= sum(len(backends) for _, backends, _ in REQUIRED)


def test_every_shell_file_of_the_folder_is_tested():
    assert {path for path in FOLDER.rglob("*") if path.suffix in (".sh", ".bash", "")} == {x.path for x in LAUNCHERS}


def test_name_says_model_backend_and_task(launcher):
    assert launcher.task in TASKS


def test_header_says_what_it_is_what_it_needs_where_from_and_how_to_call_it(launcher):
    header = launcher.header
    assert header[0] == "#!/usr/bin/env bash"
    title = re.fullmatch(r"# GRPO \| (.+) \| (.+) \| (.+)", header[1])
    assert title, header[1]
    words = {"fsdp": "FSDP2", "megatron": "Megatron", "cpu": "CPU", "lora": "LoRA", "npu": "NPU"}
    for part in launcher.backend.split("-"):
        assert words[part] in title[2]
    assert header[2].startswith("# Hardware: ")
    assert any(line.startswith(("# Source: ", "# Measured ")) for line in header)
    assert all(line.startswith("#") for line in header)
    text = "\n".join(header)
    assert set(re.findall(r"bash examples/grpo_trainer/(\S+)\.sh", text)) == {launcher.name}
    assert set(re.findall(r"python data_prep/(\S+)\.py", text)) <= {launcher.task}


def test_is_a_page_of_arrays_and_one_call(launcher):
    start = launcher.text_lines.index(FRAME)
    assert tuple(launcher.text_lines[start : start + 3]) == SOURCE_LINES
    arrays = []
    inside = False
    for line in launcher.text_lines[start + 3 : -1]:
        comment = not line or line.lstrip().startswith("#")
        if inside:
            assert comment or line == ")" or ELEMENT.fullmatch(line), line
            inside = line != ")"
        else:
            array = ARRAY.fullmatch(line)
            assert comment or array, line
            inside = array is not None
            arrays += [array["name"]] if array else []
    assert not inside
    assert arrays == [name for name in ARRAYS if name in arrays], "in the order of every other page"
    expansions = "".join(f'"${{{name}[@]}}" ' for name in arrays)
    assert launcher.text_lines[-1] == f'launch::run {expansions}"$@"'
    assert len(launcher.text_lines) <= LONGEST_PAGE


def test_each_key_stands_once_with_the_knob_that_the_table_has_for_it(launcher):
    keys = [line.key for line in launcher.page.lines]
    assert len(keys) == len(set(keys))
    for line in launcher.page.lines:
        knob = knob_of(line.key, launcher.engine)
        if knob is None:
            assert not line.knob, f"{line.key} has no row in knobs.txt"
        else:
            names = re.findall(r"\$\{([A-Z_]+)", line.text)
            assert knob.name in names, f"{line.key} without its knob: write ${{{knob.name}:={line.default}}}"
            assert line.prefix == knob.prefix


def test_what_changes_the_result_or_the_memory_stands_on_the_page_with_its_key(launcher):
    plan = launcher.plan()
    beside = {key for key, setting in plan.settings.items() if setting.origin.source is Source.PROJECT}
    beside |= {key for key, setting in plan.settings.items() if setting.origin.source is Source.TRACKER}
    assert beside == OF_THE_LIBRARY
    page = {line.key for line in launcher.page.lines}
    engine = "model_engine" if launcher.engine == "megatron" else "actor_rollout_ref.actor.strategy"
    assert page >= ON_EVERY_PAGE | {engine}
    if launcher.fields.is_lora and launcher.engine == "fsdp":
        assert "actor_rollout_ref.rollout.load_format" in page
    device = {key for key, setting in plan.settings.items() if setting.origin.source is Source.DEVICE}
    assert page | beside | device == set(plan.settings)


def test_numbers_that_follow_from_others_agree_with_them(launcher):
    settings = launcher.settings()
    lengths = [int(settings[f"data.max_{part}_length"]) for part in ("prompt", "response")]
    assert settings["actor_rollout_ref.rollout.max_model_len"] == str(sum(lengths))
    coefficient = float(settings["actor_rollout_ref.actor.kl_loss_coef"])
    assert settings["actor_rollout_ref.actor.use_kl_loss"] == str(coefficient > 0)
    for split in ("train", "val"):
        assert f"/{launcher.task}/" in settings[f"data.{split}_files"]


def words(launcher: Launcher) -> set[str]:
    """What a launcher says in its own words: sources, arithmetic, reasons; not its title, nor how it is called."""
    comments = [line.strip() for line in launcher.text_lines if line.strip().startswith("#")]
    comments += [line.reason for line in launcher.page.lines if line.reason]
    common = ("#!", "# GRPO |", "# shellcheck", "# ---", "#   ", "prompt + response")
    return {text for text in comments if not text.startswith(common) and text != "#"}


def shared(one: Launcher, other: Launcher) -> float:
    """The share of the fewer words that the other launcher has as well."""
    fewer, more = sorted((words(one), words(other)), key=len)
    return len(fewer & more) / len(fewer)


def test_no_launcher_is_a_copy_of_another():
    alike = sorted(((shared(a, b), a.name, b.name) for a, b in combinations(LAUNCHERS, 2)), reverse=True)
    assert alike[0][0] <= MOST_SHARED, "\n".join(f"{share:.0%} {a} and {b}" for share, a, b in alike[:10])


def test_a_copy_under_another_name_with_another_model_is_noticed(tmp_path):
    original = BY_NAME["run_qwen2-7b_fsdp_gsm8k"]
    copy = tmp_path / "run_qwen9-7b_fsdp_gsm8k.sh"
    copy.write_text(original.path.read_text().replace("Qwen2", "Qwen9").replace("qwen2", "qwen9"))
    assert shared(original, Launcher(copy)) > MOST_SHARED


def shell_files() -> list[Path]:
    found = [path for folder in ("examples", "requirements", "cluster") for path in (ROOT / folder).rglob("*.sh")]
    return found + [path for path in [ROOT / ".ci" / "run"] if path.exists()]


def complaints(program: str, *words: str | Path) -> str:
    command = [Path(sys.executable).parent / program, *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.stdout + done.stderr + (f"exit code {done.returncode}" if done.returncode else "")


def test_shell_files_are_formatted():
    assert complaints("shfmt", "-d", "-i", "4", "-ci", *shell_files()) == ""


def test_shell_files_have_no_fault_that_shellcheck_knows():
    launchers = {launcher.path for launcher in LAUNCHERS}
    assert launchers < set(shell_files())
    assert complaints("shellcheck", *set(shell_files()) - launchers) == ""
    # The launchers by themselves: reading the library again for each of them, as `make lint` does, takes 15 seconds.
    # SC1091: the library is not read. SC2153: DATA_DIR, which it sets.
    assert complaints("shellcheck", "--norc", "--exclude=SC1091,SC2153", *launchers) == ""
