"""What the formulas of grpo.py promise, whatever the numbers."""

import math

import pytest
import torch
from arguments import Aggregation
from grpo import clipped_objective, group_advantages, kl_k3, token_weights
from hypothesis import given, settings
from hypothesis import strategies as st

AGGREGATIONS = Aggregation.__args__
finite = st.floats(-100, 100, width=32)


def rows(values, shortest=1):
    """Lists of equally long lists."""
    return st.integers(shortest, 6).flatmap(
        lambda width: st.lists(st.lists(values, min_size=width, max_size=width), min_size=1, max_size=5)
    )


@settings(deadline=None)
@given(rows(finite, shortest=2))
def test_advantages_of_a_group_are_centred_and_bounded(rewards):
    advantages = group_advantages(torch.tensor(rewards, dtype=torch.float64))
    group = advantages.shape[1]
    assert advantages.mean(dim=1).abs().max() < 1e-6
    assert advantages.abs().max() <= (group - 1) / math.sqrt(group) + 1e-9


@settings(deadline=None)
@given(st.floats(-1e4, 1e4, width=32), st.integers(1, 16))
def test_a_group_of_equal_rewards_has_no_advantage(reward, group):
    assert (group_advantages(torch.full((1, group), reward)) == 0).all()


def test_an_advantage_is_clipped():
    advantages = group_advantages(torch.tensor([[1.0] + [0.0] * 15]), largest=2.0)
    assert advantages.max() == 2.0
    assert advantages.min() > -0.3


@settings(deadline=None)
@given(rows(finite))
def test_k3_is_never_negative_and_always_finite(log_probs):
    log_probs = torch.tensor(log_probs, dtype=torch.float64)
    kl = kl_k3(log_probs, log_probs.flip(1) - 1)
    assert (kl >= 0).all()
    assert torch.isfinite(kl).all()


def test_the_clip_takes_the_worse_of_the_two():
    ratio = torch.tensor([[0.5, 1.1, 2.0]])
    zeros = torch.zeros(1, 3)
    good, clipped = clipped_objective(ratio.log(), zeros, torch.tensor([1.0]), 0.2, 0.3)
    assert good.tolist()[0] == pytest.approx([0.5, 1.1, 1.3])
    assert clipped.tolist() == [[False, False, True]]
    bad, clipped = clipped_objective(ratio.log(), zeros, torch.tensor([-1.0]), 0.2, 0.3)
    assert bad.tolist()[0] == pytest.approx([-0.8, -1.1, -2.0])
    assert clipped.tolist() == [[True, False, False]]


def test_an_endless_ratio_has_a_finite_gradient():
    log_probs = torch.tensor([[500.0]], requires_grad=True)
    objective, _ = clipped_objective(log_probs, torch.zeros(1, 1), torch.tensor([-1.0]), 0.2, 0.2)
    objective.sum().backward()
    assert torch.isfinite(objective).all()
    assert torch.isfinite(log_probs.grad).all()


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=8).filter(any),
    st.sampled_from(AGGREGATIONS),
    st.integers(1, 8),
)
def test_weights_do_not_depend_on_how_the_responses_are_shared_out(lengths, aggregation, cut):
    mask = (torch.arange(5)[None] < torch.tensor(lengths)[:, None]).float()
    whole = token_weights(mask, aggregation, 5, total=lambda number: number.float())
    parts = [part for part in (mask[:cut], mask[cut:]) if len(part)]
    responses, tokens = (mask.sum(dim=1) > 0).sum().float(), mask.sum()

    def shared(part):
        totals = iter([responses, tokens])  # in the order in which they are asked for
        return token_weights(part, aggregation, 5, total=lambda _: next(totals))

    torch.testing.assert_close(torch.cat([shared(part) for part in parts]), whole)
    assert (whole[mask == 0] == 0).all()
    if aggregation in ("token-mean", "seq-mean-token-mean"):
        assert whole.sum() == pytest.approx(1.0, abs=1e-6)


def test_an_unknown_aggregation_is_refused():
    with pytest.raises(ValueError, match="no aggregation 'mean'"):
        token_weights(torch.ones(1, 1), "mean", 1, total=lambda number: number)
