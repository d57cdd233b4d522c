"""verl's Megatron engine on the CPU platform: Megatron-Core without CUDA and without Transformer Engine.

:func:`run_megatron_on_the_cpu` is called when a training worker builds its engine (``cpu.py``), and nowhere else: vLLM
must find PyTorch as it is. It replaces

- what Megatron-Core asks of CUDA (``torch.cuda.current_device()``, streams, random states), by the CPU's answers;
- Transformer Engine's layers, by those of ``megatron_layers.py``.

What then runs is the recipe's: verl's engine, the bridge, the parallel groups and what they exchange (over gloo), the
pipeline's schedule, the distributed optimizer, recomputation, checkpoints. What is not: the kernels, so neither speed
nor memory, and the last bits of the numbers; overlap of communication and computation, since there are no streams;
FP8, fused cross entropy and CUDA graphs. docs/en/cpu.md has the list for readers.

Written for Megatron-Core 0.16.1, mbridge 0.15.1 and verl 0.9.1.
"""

import contextlib
import functools

import torch

CPU = torch.device("cpu")


@functools.cache
def run_megatron_on_the_cpu() -> None:
    """Prepare this process for Megatron-Core. Calling it again changes nothing."""
    _answer_for_cuda()
    _build_on_the_cpu()
    _name_tensor_types_as_on_cuda()
    _keep_one_random_state()
    _count_exchanged_tokens_in_numpy()
    _exchange_parts_of_any_size()
    _use_layers_without_transformer_engine()
    _use_an_optimizer_that_continues()
    _read_settings_of_deepseek()


class _Stream:
    """A CUDA stream or event where everything happens at once."""

    def __init__(self, *_args, **_options):
        pass

    def __getattr__(self, name):
        return lambda *_args, **_options: self


def _answer_for_cuda() -> None:
    """Megatron-Core and the bridges call ``torch.cuda`` directly, not verl's platform."""

    def nothing(*_args, **_options):
        return None

    answers = {
        "current_device": lambda: CPU,
        "synchronize": nothing,
        "empty_cache": nothing,
        "set_device": nothing,
        "Stream": _Stream,
        "Event": _Stream,
        "current_stream": _Stream,
        "default_stream": _Stream,
        "stream": lambda stream: contextlib.nullcontext(),
        "manual_seed": lambda seed: torch.default_generator.manual_seed(seed),
        "manual_seed_all": nothing,  # torch.manual_seed calls it
        "get_rng_state": lambda device=None: torch.get_rng_state(),
        "set_rng_state": lambda state, device=None: torch.set_rng_state(state),
    }
    for name, answer in answers.items():
        setattr(torch.cuda, name, answer)
    torch.cuda.random.get_rng_state = torch.cuda.get_rng_state
    torch.Tensor.cuda = lambda self, *_args, **_options: self
    torch.nn.Module.cuda = lambda self, *_args, **_options: self


def _build_on_the_cpu() -> None:
    """Some tensors are made with ``device="cuda"``, a text that no stand-in of ``torch.cuda`` can answer for.

    Memory to be copied to a GPU is pinned, which PyTorch refuses without one.
    """
    for name in ("empty", "zeros", "tensor"):
        setattr(torch, name, _without_cuda(getattr(torch, name)))
    torch.Tensor.to = _without_cuda(torch.Tensor.to)


def _without_cuda(build):
    @functools.wraps(build)
    def build_on_the_cpu(*args, device=None, **options):
        args = [CPU if _is_cuda(arg) else arg for arg in args]
        options.pop("pin_memory", None)
        if device is not None:
            options["device"] = CPU if _is_cuda(device) else device
        return build(*args, **options)

    return build_on_the_cpu


def _is_cuda(value) -> bool:
    return isinstance(value, str | torch.device) and str(value).startswith("cuda")


def _name_tensor_types_as_on_cuda() -> None:
    """The distributed optimizer sorts weights by names such as ``torch.cuda.BFloat16Tensor``."""
    original = torch.Tensor.type

    @functools.wraps(original)
    def type_(self, dtype=None, **options):
        if dtype is not None:
            return original(self, dtype, **options)
        return original(self).replace("torch.", "torch.cuda.", 1)

    torch.Tensor.type = type_


def _keep_one_random_state() -> None:
    """Megatron-Core sets CUDA's random state in a callback that waits for CUDA to start."""
    from megatron.core.tensor_parallel import random

    random._set_cuda_rng_state = lambda new_state, device=-1, graph_safe=False: torch.set_rng_state(new_state)


def _count_exchanged_tokens_in_numpy() -> None:
    """The token dispatcher hands counts to ``all_to_all`` as NumPy arrays, but only those it fetched from a GPU."""
    from megatron.core.transformer.moe import token_dispatcher

    def move_to_cpu(tensor, as_numpy=False, record_stream=False):
        return tensor.numpy() if as_numpy and torch.is_tensor(tensor) else tensor

    token_dispatcher.maybe_move_tensor_to_cpu = move_to_cpu


def _exchange_parts_of_any_size() -> None:
    """Ranks that share an expert gather what each was sent of its tokens; gloo wants parts of one size."""
    from megatron.core.tensor_parallel import mappings

    gather, reduce_scatter = mappings._gather_along_first_dim, mappings._reduce_scatter_along_first_dim

    def fill(part: torch.Tensor, length: int) -> torch.Tensor:
        return torch.cat([part, part.new_zeros(length - len(part), *part.shape[1:])])

    def gather_any(input_, group, output_split_sizes=None, use_global_buffer=False):
        if output_split_sizes is None:
            return gather(input_, group, None, use_global_buffer)
        longest = max(output_split_sizes)
        parts = gather(fill(input_, longest), group).split(longest)
        return torch.cat([part[:size] for part, size in zip(parts, output_split_sizes, strict=True)])

    def reduce_scatter_any(input_, group, input_split_sizes=None, use_global_buffer=False):
        if input_split_sizes is None:
            return reduce_scatter(input_, group, None, use_global_buffer)
        longest = max(input_split_sizes)
        parts = [fill(part, longest) for part in input_.split(input_split_sizes)]
        return reduce_scatter(torch.cat(parts), group)[: input_split_sizes[group.rank()]]

    mappings._gather_along_first_dim = gather_any
    mappings._reduce_scatter_along_first_dim = reduce_scatter_any


def _use_an_optimizer_that_continues() -> None:
    """Megatron-Core's checkpoints are for Transformer Engine's Adam; ``megatron_adam.py`` says what PyTorch's lacks."""
    from megatron.core import optimizer
    from megatron.core.optimizer import distrib_optimizer

    from grpo_launchpad.platforms.megatron_adam import Adam

    optimizer.Adam = distrib_optimizer.Adam = Adam
    optimizer.USING_PYTORCH_OPTIMIZER = False
    distrib_optimizer.HAVE_APEX_OR_TE = distrib_optimizer.USING_TE_OPTIMIZER = True


def _use_layers_without_transformer_engine() -> None:
    """Both bridges ask for Transformer Engine's layers by the classes that Megatron-Core names here."""
    from megatron.core import utils
    from megatron.core.models.gpt import gpt_layer_specs, moe_module_specs
    from megatron.core.transformer import multi_latent_attention
    from megatron.core.transformer.moe import moe_utils
    from packaging.version import Version

    from grpo_launchpad.platforms import megatron_layers as layers

    utils.get_te_version = lambda: Version("0")  # older than anything asked for; it is None, which is not comparable
    gpt_layer_specs.TESpecProvider = layers.LayersForCPU
    gpt_layer_specs.TENorm = layers.RMSNorm
    moe_module_specs.TESpecProvider = layers.LayersForCPU
    multi_latent_attention.TELinear = layers.DuplicatedLinear
    moe_utils.te_general_gemm = None  # the router's product; None leads to PyTorch's. It has no value without TE


def _read_settings_of_deepseek() -> None:
    """mbridge looks for rotary settings where transformers 4 kept them, so it finds no base and misses YaRN.

    It passes over the groups that DeepSeek-V3 chooses before its experts, so that tokens go to other experts. And it
    names a field that Megatron-Core's configuration of latent attention has lost.
    """
    from mbridge.models.deepseek_v3 import DeepseekV3Bridge

    build_config, build_base_config = DeepseekV3Bridge._build_config, DeepseekV3Bridge._build_base_config
    same_names = ("mscale", "mscale_all_dim", "beta_fast", "beta_slow", "original_max_position_embeddings")

    def build_config_with_base(self):
        self.hf_config.rope_theta = self.hf_config.rope_parameters["rope_theta"]
        return build_config(self)

    def build_base_config_with_yarn_and_groups(self, *, max_position_embeddings: int, **settings):
        if self.hf_config.n_group > 1:
            settings["moe_router_num_groups"] = self.hf_config.n_group
            settings["moe_router_group_topk"] = self.hf_config.topk_group
        rope = self.hf_config.rope_parameters
        if rope["rope_type"] == "yarn":
            settings |= {"rope_type": "yarn", "rotary_scaling_factor": rope["factor"]}
            settings |= {name: rope[name] for name in same_names if name in rope}
        return build_base_config(self, **settings)

    DeepseekV3Bridge._build_config = build_config_with_base
    DeepseekV3Bridge._build_base_config = build_base_config_with_yarn_and_groups
