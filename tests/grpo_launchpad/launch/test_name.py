"""What a launcher's name says."""

from pathlib import Path

import pytest

from grpo_launchpad.launch.launchers import NoLauncherError, all_files, find_file
from grpo_launchpad.launch.name import LauncherName, LauncherNameError


@pytest.mark.parametrize(
    ("name", "fields", "engine", "device", "is_lora"),
    [
        ("run_qwen2-7b_fsdp_gsm8k", ("qwen2-7b", "fsdp", "gsm8k"), "fsdp", "cuda", False),
        ("run_qwen2.5-3b_fsdp-lora_gsm8k", ("qwen2.5-3b", "fsdp-lora", "gsm8k"), "fsdp", "cuda", True),
        ("run_a_megatron-npu_math", ("a", "megatron-npu", "math"), "megatron", "npu", False),
        ("run_a_fsdp-lora-npu_math", ("a", "fsdp-lora-npu", "math"), "fsdp", "npu", True),
        ("run_a_cpu-lora_smoltldr", ("a", "cpu-lora", "smoltldr"), "fsdp", "cpu", True),
        ("run_a_fsdp_hotpotqa_search", ("a", "fsdp", "hotpotqa_search"), "fsdp", "cuda", False),
    ],
)
def test_a_name_has_model_backend_and_task(name, fields, engine, device, is_lora):
    for spelling in (name, f"{name}.sh", f"/some where/{name}.sh", Path(f"{name}.sh")):
        parsed = LauncherName.parse(spelling)
        assert (parsed.model, parsed.backend, parsed.task) == fields
        assert (parsed.engine, parsed.device, parsed.is_lora) == (engine, device, is_lora)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "qwen2-7b_fsdp_gsm8k",
        "run_qwen2-7b_gsm8k",
        "run_qwen2-7b_fsdp",
        "run_qwen2-7b_fsdp_",
        "run__fsdp_gsm8k",
        "run_qwen2_7b_fsdp_gsm8k",
        "run_qwen2-7b_fsdp-npu-lora_gsm8k",
        "run_qwen2-7b_fsdp2_gsm8k",
        "run_qwen2-7b_vllm_gsm8k",
        "run_qwen2-7b_fsdp_gsm-8k",
        "run_qwen2-7b_fsdp_gsm8k\n",
    ],
)
def test_a_name_out_of_form_is_refused_with_an_example(name):
    with pytest.raises(LauncherNameError, match=r"run_<model>_<backend>_<task>\.sh.*such as run_qwen2-7b"):
        LauncherName.parse(name)


def test_every_launcher_has_a_name_and_is_found_by_each_spelling_of_it(tmp_path):
    assert len(all_files()) > 40
    for file in all_files():
        assert LauncherName.parse(file).task in file.stem
        for spelling in (file.name, file.stem, file.stem.removeprefix("run_"), f"gone/{file.name}", str(file)):
            assert find_file(spelling) == file


def test_a_file_elsewhere_is_found_by_its_path_only(tmp_path, monkeypatch):
    (tmp_path / "run_mine_fsdp_gsm8k.sh").touch()
    monkeypatch.chdir(tmp_path)
    assert find_file("./run_mine_fsdp_gsm8k.sh") == Path("run_mine_fsdp_gsm8k.sh")
    with pytest.raises(NoLauncherError):
        find_file("run_mine_fsdp_gsm8k.sh")


@pytest.mark.parametrize(
    ("name", "hint"),
    [("run_qwen2-7b_megatron_gsm9k", "did you mean run_qwen2-7b_megatron_gsm8k or"), ("!", "they are in /")],
)
def test_a_launcher_that_is_not_there_is_named_with_similar_ones(name, hint):
    with pytest.raises(NoLauncherError, match=f"there is no launcher '{name}'; {hint}"):
        find_file(name)
