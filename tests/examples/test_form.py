"""The launchers as files: which there are, how they are named, and that each is a page of the same form."""

import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path

from tests.examples.launcher_file import (
    ARRAY_LINE,
    ARRAYS,
    BY_NAME,
    ELEMENT_LINE,
    FOLDER,
    FRAME,
    KNOB_LINE,
    LAUNCHERS,
    ROOT,
    TASKS,
)

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


def test_is_a_page_of_knobs_and_arrays_and_one_call(launcher):
    start = launcher.lines.index(FRAME[0])
    assert tuple(launcher.lines[start : start + 3]) == FRAME
    expansions = "".join(f'"${{{name}[@]}}" ' for name in launcher.arrays)
    assert launcher.lines[-1] == f'launch::run {expansions}"$@"'
    assert set(launcher.arrays) <= set(ARRAYS)
    inside = False
    for line in launcher.body:
        comment = not line or line.lstrip().startswith("#")
        if inside:
            assert comment or line == ")" or ELEMENT_LINE.fullmatch(line), line
            inside = line != ")"
        else:
            array = ARRAY_LINE.fullmatch(line)
            assert comment or array or KNOB_LINE.fullmatch(line), line
            inside = array is not None and array["element"] is None
    assert not inside
    assert len(launcher.lines) <= 110


def test_names_each_knob_and_array_once_and_all_knobs_are_known(launcher):
    names = [match["name"] for match in launcher.knob_lines]
    assert len(names) == len(set(names))
    unknown = set(names) - {knob.name for knob in launcher.table()}
    assert not unknown, f"not in examples/lib/knobs.txt for {launcher.engine}: {unknown}"


def test_launchers_share_at_most_half_of_what_they_say_beside_their_knobs():
    def shared(pair) -> float:
        few, many = sorted(pair, key=lambda launcher: len(launcher.code))
        lines = list(many.code_beside_frame_and_knobs)
        equal = [lines.remove(line) for line in few.code_beside_frame_and_knobs if line in lines]
        return len(equal) / len(few.code)

    alike = sorted(((shared(pair), pair) for pair in combinations(LAUNCHERS, 2)), key=lambda found: -found[0])
    report = "\n".join(f"{share:.0%} {a.name} and {b.name}" for share, (a, b) in alike[:10])
    assert alike[0][0] <= 0.5, report


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
    # SC1091: the library is not read. SC2034: the knobs, which it uses; test_knobs.py shows that each is alive.
    assert complaints("shellcheck", "--norc", "--exclude=SC1091,SC2034", *launchers) == ""
