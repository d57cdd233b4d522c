"""verl's replay buffer, looking for finished rollouts ten times as often.

Plugged in through ``trainer.v1.sampler.custom_sampler``. verl polls every 2 s, which is nothing beside a step on GPUs
and most of a step for a tiny model on a CPU. What is sampled is the same.
"""

from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

POLL_INTERVAL_SECONDS = 0.2


class EagerReplayBuffer(ReplayBuffer):
    """``ReplayBuffer`` with a poll interval of 0.2 s instead of 2 s.

    verl gives a custom sampler no group filter, so preflight refuses ``algorithm.filter_groups`` together with it.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs, poll_interval=POLL_INTERVAL_SECONDS)
