"""The CPU as a verl platform: FSDP2 training and vLLM rollout without an accelerator.

verl loads this module through its entry-point group ``verl.plugins`` in every process. It acts only when
``VERL_PLATFORM=cpu`` asks for it; with any other value, or none, importing it changes nothing.

verl 0.9.1 has no CPU platform, but it has a registry for them (``verl/plugin/platform/platform_manager.py``).
:class:`PlatformCPU` is registered there. Two places of verl and PyTorch have no hook; each is replaced by one
function below, with the reason. The rollout side is in ``cpu_vllm.py``; docs/en/cpu.md lists what is faithful on a
CPU and what is not.
"""

import functools
import resource
from contextlib import contextmanager
from types import ModuleType

import psutil
import torch
import wrapt
from verl.plugin.platform import PlatformBase, PlatformRegistry

from grpo_launchpad.platforms import cpu_is_selected


class _CPUDeviceModule(ModuleType):
    """``torch.cpu`` with the names that verl expects of ``torch.cuda``. Memory is the process's, in bytes."""

    def __init__(self):
        super().__init__("torch.cpu")

    def __getattr__(self, name):
        return getattr(torch.cpu, name)

    def current_device(self) -> torch.device:
        return torch.device("cpu")

    def set_device(self, device) -> None:
        pass

    def get_device_name(self, device=None) -> str:
        return "cpu"

    def empty_cache(self) -> None:
        pass

    def memory_allocated(self, device=None) -> int:
        return psutil.Process().memory_info().rss

    def max_memory_allocated(self, device=None) -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    memory_reserved = memory_allocated
    max_memory_reserved = max_memory_allocated

    def mem_get_info(self, device=None) -> tuple[int, int]:
        memory = psutil.virtual_memory()
        return memory.available, memory.total

    def get_rng_state(self, device=None) -> torch.Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: torch.Tensor, device=None) -> None:
        torch.set_rng_state(state)

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    manual_seed_all = manual_seed


class PlatformCPU(PlatformBase):
    """Everything verl asks of a device, answered by the host. Source: ``verl/plugin/platform/platform_base.py``."""

    _device_module = _CPUDeviceModule()

    @property
    def device_name(self) -> str:
        return "cpu"

    @property
    def vendor_name(self) -> str:
        return "cpu"

    @property
    def device_module(self) -> ModuleType:
        return self._device_module

    def is_available(self) -> bool:
        return True

    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        # Never auto-detected: a GPU job whose driver is missing must fail, not crawl on the CPU.
        return cpu_is_selected()

    def current_device(self) -> torch.device:
        # verl calls tensor.to(get_device_id()); a bare index would mean an accelerator.
        return torch.device("cpu")

    def device_count(self) -> int:
        return 1

    def set_device(self, device_index: int) -> None:
        pass

    def synchronize(self, device_index: int | None = None) -> None:
        pass

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        torch.manual_seed(seed)

    def set_allocator_settings(self, settings: str) -> None:
        pass

    def empty_cache(self) -> None:
        pass

    def get_device_capability(self, device_index: int = 0) -> tuple[None, None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"

    @contextmanager
    def nvtx_range(self, msg: str):
        yield

    def profiler_start(self) -> None:
        pass

    def profiler_stop(self) -> None:
        pass

    def ray_resource_name(self) -> str:
        # verl's resource pool counts only Ray's "GPU" and "NPU"; the launcher gives Ray one "GPU" per worker.
        return "GPU"

    def ray_noset_envvars(self) -> list[str]:
        return ["RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"]

    def is_ipc_supported(self) -> bool:
        return False

    def cudart(self) -> None:
        return None


def _accept_repeated_gloo() -> None:
    """verl asks for ``cpu:gloo,<device>:<backend>``; on a CPU that names ``cpu`` twice, which PyTorch rejects.

    Needed for verl 0.9.1 (``verl/utils/distributed.py``) with torch 2.13.
    """
    original = torch.distributed.init_process_group

    @functools.wraps(original)
    def init_process_group(backend=None, *args, **kwargs):
        if backend == "cpu:gloo,cpu:gloo":
            backend = "gloo"
        return original(backend, *args, **kwargs)

    torch.distributed.init_process_group = init_process_group


def _leave_memory_unpinned() -> None:
    """FSDP2's CPU offload pins host memory for the copy to a device; without one, PyTorch refuses to pin.

    Needed for torch 2.13 (``torch/distributed/fsdp/_fully_shard``), used by verl's reference model.
    """
    torch.Tensor.pin_memory = lambda self, device=None: self


def _prepare_for_megatron(engine_module) -> None:
    """Let a process that builds a Megatron engine, and no other, see the stand-ins of ``megatron_cpu.py``."""

    @wrapt.patch_function_wrapper(engine_module, "MegatronEngine.__init__")
    def build_engine(wrapped, instance, args, kwargs):
        from grpo_launchpad.platforms.megatron_cpu import run_megatron_on_the_cpu

        run_megatron_on_the_cpu()
        return wrapped(*args, **kwargs)


if cpu_is_selected():
    PlatformRegistry.register(platform="cpu")(PlatformCPU)
    _accept_repeated_gloo()
    _leave_memory_unpinned()
    wrapt.when_imported("verl.workers.engine.megatron.transformer_impl")(_prepare_for_megatron)
