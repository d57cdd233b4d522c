"""The scorers that are compared, each behind the same call: (response, ground truth) -> right or wrong."""

import importlib.util
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass

Scorer = Callable[[str, str], bool]

# How a bare answer is written for a scorer; {answer} is replaced.
HASH = "#### {answer}"
ANSWER = "Answer: {answer}"
BOXED = r"The final answer is $\boxed{{answer}}$."


@dataclass(frozen=True)
class Peer:
    """One scorer.

    Attributes:
        load: imports what the scorer needs and returns it.
        form: how a bare answer is written for it: HASH, ANSWER or BOXED.
        needs: modules that have to be importable.
        math: False for a scorer that reads numbers only, which gets the GSM8K sets alone.
        wrong_rows: how many rows with others' golds it gets at most, where a wrong answer takes it long.
    """

    load: Callable[[], Scorer]
    form: str
    needs: tuple[str, ...]
    math: bool = True
    wrong_rows: int | None = None

    def write(self, answer: str) -> str:
        """Return a response that consists of this answer only."""
        return self.form.replace("{answer}", answer)

    def missing(self) -> list[str]:
        """Return the modules that are not installed; heavy packages are not imported for that."""
        return [name for name in self.needs if not _importable(name)]


def _importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _own_gsm8k(method: str) -> Scorer:
    from reward_score import gsm8k

    return lambda response, gold: gsm8k.score(response, gold, method=method)["acc"] == 1.0


def _own_math() -> Scorer:
    from reward_score import math

    return lambda response, gold: math.score(response, gold)["acc"] == 1.0


def _own_entry() -> Scorer:
    from reward_score import compute_score

    return lambda response, gold: compute_score("lighteval/MATH", response, gold)["acc"] == 1.0


def _verl_gsm8k(method: str) -> Scorer:
    from verl.utils.reward_score import gsm8k

    return lambda response, gold: gsm8k.compute_score(response, gold, method=method) == 1.0


def _verl_math_reward() -> Scorer:
    from verl.utils.reward_score import math_reward

    return lambda response, gold: math_reward.compute_score(response, gold) == 1.0


def _verl_math_dapo() -> Scorer:
    from verl.utils.reward_score import math_dapo

    return lambda response, gold: bool(math_dapo.compute_score(response, gold)["acc"])


def _verl_prime_math() -> Scorer:
    from verl.utils.reward_score import prime_math

    return lambda response, gold: bool(prime_math.compute_score(response, gold)[0])


def _verl_geo3k() -> Scorer:
    from verl.utils.reward_score import geo3k

    return lambda response, gold: geo3k.compute_score(response, gold, format_score=0.0) == 1.0


def _verl_math_verify() -> Scorer:
    from verl.utils.reward_score import math_verify

    return lambda response, gold: math_verify.compute_score(response, gold) == 1.0


def _in_math_mode(gold: str) -> str:
    """Return the gold between dollars, as math-verify's README asks for LaTeX, unless it brings its own delimiters."""
    return gold if re.search(r"(?<!\\)\$|\\\(|\\\[|\\boxed|\\begin\{(?:equation|align)", gold) else f"${gold}$"


def _math_verify() -> Scorer:
    from math_verify import parse, verify

    return lambda response, gold: verify(parse(_in_math_mode(gold)), parse(response))


def _trl() -> Scorer:
    """TRL's accuracy_reward (huggingface/trl, trl/rewards/accuracy_rewards.py at 010eddf): the same calls and settings.

    Its time limits hold in the main thread only; in any other it switches them off.
    """
    from latex2sympy2_extended import NormalizationConfig
    from math_verify import LatexExtractionConfig, parse, verify

    strict_latex = LatexExtractionConfig(
        normalization_config=NormalizationConfig(units=True), boxed_match_priority=0, try_extract_without_anchor=False
    )

    def score(response: str, gold: str) -> bool:
        main = threading.current_thread() is threading.main_thread()
        parsing_timeout, timeout_seconds = (10, 5) if main else (None, None)
        truth = parse(_in_math_mode(gold), parsing_timeout=parsing_timeout)
        if not truth:
            return False
        answer = parse(
            response,
            extraction_config=[strict_latex],
            extraction_mode="first_match",
            parsing_timeout=parsing_timeout,
        )
        return verify(truth, answer, timeout_seconds=timeout_seconds)

    return score


def _understand_r1_zero(fast: bool) -> Scorer:
    from understand_r1_zero import math_grader

    return lambda response, gold: math_grader.boxed_reward_fn(response, gold, fast=fast)[1] == 1.0


_R1_ZERO = ("understand_r1_zero.math_grader", "math_verify", "latex2sympy2_extended")

PEERS: dict[str, Peer] = {
    "reward_score.gsm8k": Peer(lambda: _own_gsm8k("flexible"), HASH, ("reward_score.gsm8k",), math=False),
    "reward_score.gsm8k strict": Peer(lambda: _own_gsm8k("strict"), HASH, ("reward_score.gsm8k",), math=False),
    "reward_score.math": Peer(_own_math, BOXED, ("reward_score.math",)),
    "reward_score.compute_score": Peer(_own_entry, BOXED, ("reward_score.verl_reward", "reward_score.math")),
    "verl gsm8k strict": Peer(lambda: _verl_gsm8k("strict"), HASH, ("verl",), math=False),
    "verl gsm8k flexible": Peer(lambda: _verl_gsm8k("flexible"), HASH, ("verl",), math=False),
    "verl math_reward": Peer(_verl_math_reward, BOXED, ("verl",)),
    "verl math_dapo": Peer(_verl_math_dapo, ANSWER, ("verl",)),
    "verl math_dapo boxed": Peer(_verl_math_dapo, BOXED, ("verl",)),
    "verl prime_math": Peer(_verl_prime_math, BOXED, ("verl", "sympy", "pylatexenc"), wrong_rows=1000),
    "verl geo3k": Peer(_verl_geo3k, BOXED, ("verl", "mathruler")),
    "verl math_verify": Peer(_verl_math_verify, BOXED, ("verl", "math_verify")),
    "math-verify": Peer(_math_verify, BOXED, ("math_verify",)),
    "TRL accuracy_reward": Peer(_trl, BOXED, ("math_verify", "latex2sympy2_extended")),
    "understand-r1-zero fast": Peer(lambda: _understand_r1_zero(True), BOXED, _R1_ZERO),
    "understand-r1-zero": Peer(lambda: _understand_r1_zero(False), BOXED, _R1_ZERO),
}
