"""Transformer Engine's Adam for Megatron-Core on a CPU: PyTorch's update, one count of steps for a group of weights.

Megatron-Core 0.16.1 can do with PyTorch's own, but not continue with it: after a checkpoint all weights share one
counter, which each of them advances, and a rank without weights of one kind (a pipeline stage without experts) has no
counter to save.
"""

import torch
from torch.optim.adamw import adamw


class Adam(torch.optim.Optimizer):
    """``FusedAdam`` with decoupled weight decay (Loshchilov & Hutter, arXiv:1711.05101, algorithm 2)."""

    def __init__(
        self, params, lr: float, weight_decay: float, betas: tuple[float, float], eps: float, adam_w_mode: bool
    ):
        if not adam_w_mode:
            raise ValueError("on a CPU, Megatron's Adam has decoupled weight decay only")
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            steps_before = group.get("step", 0)
            group["step"] = steps_before + 1
            for weight in weights:
                if not self.state[weight]:
                    self.state[weight] = {name: torch.zeros_like(weight) for name in ("exp_avg", "exp_avg_sq")}
            beta1, beta2 = group["betas"]
            adamw(
                weights,
                [weight.grad for weight in weights],
                [self.state[weight]["exp_avg"] for weight in weights],
                [self.state[weight]["exp_avg_sq"] for weight in weights],
                [],
                [torch.tensor(float(steps_before)) for _ in weights],
                amsgrad=False,
                beta1=beta1,
                beta2=beta2,
                lr=group["lr"],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                maximize=False,
            )
