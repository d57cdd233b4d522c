"""Transformer Engine's layers for Megatron-Core on a CPU: the same weights under the same names, in plain PyTorch.

The bridges between Hugging Face and Megatron-Core know weights by the names that Transformer Engine gives them
(``linear_qkv.layer_norm_weight``, ``experts.linear_fc1.weight3``). Megatron-Core's own layers have other names and
fewer abilities: its attention takes no packed sequences and no context parallelism, its norm no sequence parallelism.

Source of the interfaces: ``megatron/core/extensions/transformer_engine.py`` of Megatron-Core 0.16.1.
"""

import torch
from megatron.core.models.backends import BackendSpecProvider
from megatron.core.process_groups_config import ProcessGroupCollection
from megatron.core.tensor_parallel import (
    ColumnParallelLinear,
    RowParallelLinear,
    gather_from_sequence_parallel_region,
    set_tensor_model_parallel_attributes,
)
from megatron.core.transformer.enums import AttnMaskType
from megatron.core.transformer.mlp import MLPSubmodules
from megatron.core.transformer.moe.experts import TEGroupedMLP
from megatron.core.transformer.utils import make_sharded_tensors_for_checkpoint
from torch.nn import functional


def rms_norm(hidden: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
    """Return ``hidden`` [..., width] divided by its root mean square, times ``weight`` [width]; computed in fp32."""
    return functional.rms_norm(hidden.float(), weight.shape, weight.float(), epsilon).to(hidden.dtype)


class RMSNorm(torch.nn.Module):
    """``TENorm``. Under sequence parallelism each rank has a part of the tokens, so Megatron sums the gradient."""

    def __init__(self, config, hidden_size: int, eps: float = 1e-5, **_unused):
        super().__init__()
        self.epsilon = eps
        self.weight = torch.nn.Parameter(torch.ones(hidden_size, dtype=config.params_dtype))
        self.weight.sequence_parallel = config.sequence_parallel

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return rms_norm(hidden, self.weight, self.epsilon)


class LayerNormColumnParallelLinear(ColumnParallelLinear):
    """``TELayerNormColumnParallelLinear``: the norm before a linear layer is a weight of that layer."""

    def __init__(self, input_size: int, output_size: int, *, config, **options):
        super().__init__(input_size, output_size, config=config, **options)
        self.layer_norm_weight = torch.nn.Parameter(torch.ones(input_size, dtype=config.params_dtype))
        self.layer_norm_weight.sequence_parallel = config.sequence_parallel
        self.epsilon = config.layernorm_epsilon

    def forward(self, hidden: torch.Tensor, *args, **options):
        return super().forward(rms_norm(hidden, self.layer_norm_weight, self.epsilon), *args, **options)


class DuplicatedLinear(torch.nn.Linear):
    """``TELinear`` as latent attention uses it: every rank of the tensor parallel group has the whole weight."""

    def __init__(self, input_size: int, output_size: int, *, parallel_mode: str, config, init_method, **_unused):
        if parallel_mode != "duplicated":
            raise ValueError(f"parallel_mode is {parallel_mode!r}; only 'duplicated' has a stand-in on a CPU")
        super().__init__(input_size, output_size, bias=False, dtype=config.params_dtype)
        init_method(self.weight)
        self.weight.sequence_parallel = config.sequence_parallel

    def forward(self, hidden: torch.Tensor) -> tuple[torch.Tensor, None]:
        return super().forward(hidden), None


class _GroupedLinear(torch.nn.Module):
    """``TEGroupedLinear``: one weight for each expert of this rank; expert i's tokens are the i-th split of the input.

    What the ranks exchange, Megatron's token dispatcher exchanges.
    """

    PARTITION_DIM: int  # of a weight [output, input], over the expert tensor parallel group

    def __init__(
        self,
        num_gemms: int,
        input_size: int,
        output_size: int,
        *,
        config,
        init_method,
        bias: bool,
        pg_collection: ProcessGroupCollection,
        **_unused,
    ):
        if bias:
            raise ValueError("experts with biases have no stand-in on a CPU")
        super().__init__()
        self.num_gemms = num_gemms
        self.groups = pg_collection
        shape = [output_size, input_size]
        shape[self.PARTITION_DIM] //= pg_collection.expt_tp.size()
        for expert in range(num_gemms):
            weight = torch.nn.Parameter(torch.empty(shape, dtype=config.params_dtype))
            init_method(weight)
            set_tensor_model_parallel_attributes(weight, True, self.PARTITION_DIM, 1)
            # Else its gradient is reduced over the expert data parallel group.
            weight.allreduce = config.expert_model_parallel_size == 1
            self.register_parameter(f"weight{expert}", weight)

    def forward(self, tokens: torch.Tensor, tokens_per_expert: list[int]) -> tuple[torch.Tensor, None]:
        parts = tokens.split(tokens_per_expert)
        weights = (getattr(self, f"weight{expert}") for expert in range(self.num_gemms))
        return torch.cat([functional.linear(part, weight) for part, weight in zip(parts, weights, strict=True)]), None

    def sharded_state_dict(self, prefix: str = "", sharded_offsets: tuple = (), metadata: dict | None = None) -> dict:
        """Name each weight by its number among all ranks' experts, as the checkpoints of Transformer Engine do."""
        first = self.groups.ep.rank() * self.num_gemms
        experts = self.groups.ep.size() * self.num_gemms
        named = {}
        for expert in range(self.num_gemms):
            sharded = make_sharded_tensors_for_checkpoint(
                {"weight": getattr(self, f"weight{expert}")},
                prefix,
                {"weight": self.PARTITION_DIM},
                (*sharded_offsets, (len(sharded_offsets), first + expert, experts)),
                tp_group=self.groups.expt_tp,
                dp_cp_group=metadata["dp_cp_group"],
            )[f"{prefix}weight"]
            sharded.replica_id = (*sharded.replica_id[:2], self.groups.expt_dp.rank())
            named[f"{prefix}weight{expert}"] = sharded
        return named


class ColumnParallelGroupedLinear(_GroupedLinear):
    """``TEColumnParallelGroupedLinear``."""

    PARTITION_DIM = 0


class RowParallelGroupedLinear(_GroupedLinear):
    """``TERowParallelGroupedLinear``."""

    PARTITION_DIM = 1


class DotProductAttention(torch.nn.Module):
    """``TEDotProductAttention``: causal or full, padded (sbhd) or packed (thd), with context parallelism.

    Under context parallelism every sequence is cut into 2 x CP chunks, and rank r has the chunks r and 2 CP - 1 - r.
    Each rank gathers all keys and values, and lets its queries see those before them.
    """

    def __init__(
        self,
        config,
        layer_number: int,
        attn_mask_type: AttnMaskType,
        attention_type: str,
        softmax_scale: float | None = None,
        pg_collection: ProcessGroupCollection | None = None,
        **_unused,
    ):
        super().__init__()
        if config.attention_dropout:
            raise ValueError("attention dropout has no stand-in on a CPU")
        self.softmax_scale = softmax_scale
        self.mask_type = attn_mask_type
        self.context_parallel_group = (pg_collection or ProcessGroupCollection.use_mpu_process_groups()).cp

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        attn_mask_type: AttnMaskType | None = None,
        attention_bias: torch.Tensor | None = None,
        packed_seq_params=None,
    ) -> torch.Tensor:
        """Return [tokens, heads, width] for packed input [tokens, heads, width], else [length, batch, heads x width].

        ``attention_mask`` only marks padding. Rows are padded on the right, where a causal mask hides it already.
        """
        causal = (attn_mask_type or self.mask_type) in (AttnMaskType.causal, AttnMaskType.padding_causal)
        if packed_seq_params is None:
            length, batch = query.shape[:2]
            lengths = [length] * batch
            packed = (part.transpose(0, 1).flatten(0, 1) for part in (query, key, value))
            mixed = self._attend(*packed, lengths, causal)
            return mixed.unflatten(0, (batch, length)).transpose(0, 1).flatten(2)
        ends = packed_seq_params.cu_seqlens_q_padded
        ends = packed_seq_params.cu_seqlens_q if ends is None else ends
        lengths = (ends.diff() // self.context_parallel_group.size()).tolist()
        return self._attend(query, key, value, lengths, causal)

    def _attend(self, query, key, value, lengths: list[int], causal: bool) -> torch.Tensor:
        """Return the mixed values [tokens, heads, width]; ``lengths`` are of this rank's part of each sequence."""
        ranks, rank = self.context_parallel_group.size(), self.context_parallel_group.rank()
        if ranks > 1:
            key, value = (
                gather_from_sequence_parallel_region(part, group=self.context_parallel_group) for part in (key, value)
            )
        keys, values = (part.chunk(ranks) for part in (key, value))
        mixed, start = [], 0
        for length in lengths:
            own = slice(start, start + length)
            start += length
            mask = None
            if causal:
                positions = [_positions(length, ranks, other) for other in range(ranks)]
                mask = positions[rank][:, None] >= torch.cat(positions)
            mixed.append(
                functional.scaled_dot_product_attention(
                    query[own].transpose(0, 1),
                    torch.cat([part[own] for part in keys]).transpose(0, 1),
                    torch.cat([part[own] for part in values]).transpose(0, 1),
                    attn_mask=mask,
                    scale=self.softmax_scale,
                    enable_gqa=True,
                ).transpose(0, 1)
            )
        mixed.append(query.new_zeros(len(query) - start, *mixed[0].shape[1:]))  # rows that belong to no sequence
        return torch.cat(mixed)


def _positions(length: int, ranks: int, rank: int) -> torch.Tensor:
    """Return the positions in a whole sequence of the ``length`` tokens that a context parallel rank has of it."""
    if ranks == 1:
        return torch.arange(length)
    chunk = torch.arange(length // 2)
    return torch.cat([rank * len(chunk) + chunk, (2 * ranks - 1 - rank) * len(chunk) + chunk])


class LayersForCPU(BackendSpecProvider):
    """Which layers Megatron-Core builds a model of; ``TESpecProvider``."""

    def linear(self) -> type:
        return DuplicatedLinear

    def column_parallel_linear(self) -> type:
        return ColumnParallelLinear

    def row_parallel_linear(self) -> type:
        return RowParallelLinear

    def fuse_layernorm_and_linear(self) -> bool:
        return True

    def column_parallel_layer_norm_linear(self) -> type:
        return LayerNormColumnParallelLinear

    def layer_norm(self, rms_norm: bool = False, for_qk: bool = False) -> type:
        return RMSNorm

    def core_attention(self) -> type:
        return DotProductAttention

    def grouped_mlp_modules(self, moe_use_grouped_gemm: bool, moe_use_legacy_grouped_gemm: bool):
        return TEGroupedMLP, MLPSubmodules(linear_fc1=ColumnParallelGroupedLinear, linear_fc2=RowParallelGroupedLinear)

    def activation_func(self) -> None:
        return None
