"""The time that is promised, against the time that a simulated engine takes."""

import random
from statistics import mean

from grpo_launchpad.evaluate.pace import Pace


def simulate(lengths: list[int], at_a_time: int, max_tokens: int) -> list[tuple[float, float | None]]:
    """Run an engine that makes a token of each running answer a second; return (share of time, promised / true)."""
    clock, waiting, running = [0.0], list(lengths), []
    pace = Pace(len(lengths), max_tokens, clock=lambda: clock[0])
    told = []
    while waiting or running:
        while waiting and len(running) < at_a_time:
            running.append(waiting.pop())
        clock[0] += 1
        running = [left - 1 for left in running]
        finished = running.count(0)
        running = [left for left in running if left]
        pace.step(len(running) + finished, len(running) + min(len(waiting), at_a_time), finished)
        told.append((clock[0], pace.seconds_left()))
    total = clock[0]
    return [(at / total, None if left is None else left / (total - at)) for at, left in told if at < total]


def test_early_promises_are_not_too_small():
    """A mean over the answers that have finished promises a third of the time after 3 % of it."""
    draw = random.Random(0)
    early, naive = [], []
    for _ in range(20):
        lengths = [1 + int(draw.expovariate(1 / 400)) for _ in range(1000)]
        promised = simulate(lengths, 50, 4000)
        early.append(mean(ratio for share, ratio in promised if ratio is not None and 0.03 < share < 0.2))
        in_time = [length for length in lengths[-50:] if length <= 0.03 * sum(lengths) / 50]
        naive.append(mean(in_time) / 400)
    assert mean(naive) < 0.5
    assert 0.85 < mean(early) < 1.2
    assert min(early) > 0.7


def test_the_last_answers_are_not_promised_in_no_time():
    """At the end a few long answers run alone; the speed in tokens is low, and the promise is not."""
    draw = random.Random(1)
    late = []
    for _ in range(20):
        lengths = [1 + int(draw.expovariate(1 / 400)) for _ in range(300)]
        late += [ratio for share, ratio in simulate(lengths, 50, 4000) if ratio is not None and 0.6 < share < 0.9]
    assert 0.6 < mean(late) < 1.6


def test_nothing_is_promised_before_anything_has_finished():
    clock = [0.0]
    pace = Pace(10, 100, clock=lambda: clock[0])
    assert pace.seconds_left() is None
    clock[0] = 1.0
    pace.step(4, 4, 0)
    assert pace.seconds_left() is None
    assert pace.tokens_per_second == 4
    clock[0] = 2.0
    pace.step(4, 3, 10)
    assert pace.seconds_left() == 0.0
