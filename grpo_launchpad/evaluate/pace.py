"""How long the rest will take, from the tokens sampled so far: also from those of answers that are not finished.

The answers that finish first are the short ones. A mean over them promises too little, at the start several times too
little. Here an unfinished answer counts with the tokens it has: the mean length is all tokens / finished answers, the
estimate for lengths cut off by the moment of looking (a constant chance to end at each token).
"""

import time
from collections import deque
from collections.abc import Callable

# Seconds over which the speed is measured.
WINDOW = 30.0
RECENT_STEPS = 16


class Pace:
    """Progress of sampling, and the seconds that are left."""

    def __init__(self, wanted: int, max_tokens: int, clock: Callable[[], float] = time.monotonic):
        """Begin.

        Args:
            wanted: answers to sample.
            max_tokens: that an answer may have.
            clock: of seconds.
        """
        self.wanted, self.finished, self.tokens = wanted, 0, 0
        self._max_tokens, self._running, self._clock = max_tokens, 0, clock
        self._at_a_time: deque[int] = deque(maxlen=RECENT_STEPS)
        self._steps: deque[tuple[float, int]] = deque([(clock(), 0)])

    def step(self, tokens: int, running: int, finished: int) -> None:
        """Count a step of the engine: tokens sampled in it, answers still in it, and those that finished."""
        self.tokens += tokens
        self.finished += finished
        self._at_a_time.append(tokens)
        # An answer that is begun makes a token a step; the others wait in the engine.
        self._running = min(running, max(self._at_a_time))
        now = self._clock()
        self._steps.append((now, self.tokens))
        while len(self._steps) > 2 and now - self._steps[0][0] > WINDOW:
            self._steps.popleft()

    @property
    def tokens_per_second(self) -> float:
        (started, before), (now, after) = self._steps[0], self._steps[-1]
        return (after - before) / (now - started) if now > started else 0.0

    @property
    def mean_length(self) -> float | None:
        """Tokens that an answer will have on average, None before any has finished."""
        return min(self.tokens / self.finished, self._max_tokens) if self.finished else None

    def seconds_left(self) -> float | None:
        """Return the seconds left, None while nothing can be said.

        What waits takes its tokens at the present speed. Of the answers in the engine the last to end decides: of r
        with a constant chance to end, it has 1 + 1/2 + ... + 1/r times the mean length to go, at most the limit.
        """
        speed, length = self.tokens_per_second, self.mean_length
        if not speed or length is None:
            return None
        left = self.wanted - self.finished
        if not left:
            return 0.0
        running = max(1, min(self._running, left))
        last = min(length * sum(1 / rank for rank in range(1, running + 1)), self._max_tokens)
        return (left - running) * length / speed + last * running / speed
