"""Print how far vLLM's mixture of experts is from a plain one, before and after its weights are replaced.

    VERL_PLATFORM=cpu python expert_update.py WIDTH

The difference is relative to the largest output, once for each of three sets of weights. Without VERL_PLATFORM, vLLM
is as it comes. Its kernel pads experts whose width is no multiple of 32.
"""

import sys
from types import SimpleNamespace

import torch
from torch.nn.functional import silu
from vllm.model_executor.layers.fused_moe import unquantized_fused_moe_method as methods
from vllm.model_executor.layers.fused_moe.activation import MoEActivation
from vllm.model_executor.layers.fused_moe.config import FusedMoEQuantConfig
from vllm.model_executor.layers.fused_moe.experts.cpu_moe import CPUUnquantizedExperts

from grpo_launchpad.platforms.cpu_vllm import keep_weights_reloadable

EXPERTS, CHOSEN, HIDDEN, TOKENS = 4, 2, 64, 5


def main(width: int) -> None:
    keep_weights_reloadable()
    torch.manual_seed(0)
    config = SimpleNamespace(
        intermediate_size_per_partition=width, experts_per_token=CHOSEN, activation=MoEActivation.SILU
    )
    layer = torch.nn.Module()
    layer.moe_config, layer.activation = config, MoEActivation.SILU
    layer.use_grouped_topk, layer.custom_routing_function = False, None
    layer.renormalize, layer.scoring_func = True, "softmax"
    layer.register_parameter("w13_weight", weight(EXPERTS, 2 * width, HIDDEN))
    layer.register_parameter("w2_weight", weight(EXPERTS, HIDDEN, width))
    experts = object.__new__(CPUUnquantizedExperts)
    experts.moe_config, experts.quant_config = config, FusedMoEQuantConfig.make()
    method = object.__new__(methods.UnquantizedFusedMoEMethod)
    method.__dict__ |= {"unquantized_backend": methods.UnquantizedMoeBackend.CPU, "moe_kernel": None}
    method.__dict__ |= {"moe": config, "experts_cls": CPUUnquantizedExperts}
    method.get_fused_moe_quant_config = lambda layer: experts.quant_config
    layer._expert_routing_tables = lambda: None
    methods.make_unquantized_moe_kernel = lambda **settings: SimpleNamespace(fused_experts=experts)

    for _ in range(3):
        with torch.no_grad():  # what a weight loader does
            layer.w13_weight.copy_(torch.randn(EXPERTS, 2 * width, HIDDEN))
            layer.w2_weight.copy_(torch.randn(EXPERTS, HIDDEN, width))
        w13, w2 = layer.w13_weight.clone(), layer.w2_weight.clone()
        method._setup_kernel(layer, layer.w13_weight, layer.w2_weight)
        hidden, router = weight(TOKENS, HIDDEN), weight(TOKENS, EXPERTS)
        found = experts.apply(
            hidden, layer.w13_weight, layer.w2_weight, router, MoEActivation.SILU, EXPERTS, None, None, False
        )
        expected = plain(hidden.float(), router.float(), w13.float(), w2.float())
        print(f"{(found - expected).abs().max() / expected.abs().max():.4f}", end=" ")


def weight(*shape: int) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.randn(*shape, dtype=torch.bfloat16), requires_grad=False)


def plain(hidden, router, w13, w2):
    logits, chosen = router.topk(CHOSEN)
    gate, up = torch.einsum("th,tcwh->tcw", hidden, w13[chosen]).chunk(2, dim=-1)
    return torch.einsum("tc,tcw,tchw->th", logits.softmax(-1), silu(gate) * up, w2[chosen])


if __name__ == "__main__":
    main(int(sys.argv[1]))
