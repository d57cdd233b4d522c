"""Answers made to hang, crash or fool a scorer, and what each scorer does with them."""

from typing import NamedTuple

from benchmarks.reward_score.isolation import IsolatedScorer
from benchmarks.reward_score.peers import BOXED, PEERS, Peer
from benchmarks.reward_score.tables import markdown

CAP = 20.0  # seconds of wall time, after which a call is killed and counts as hung


class Case(NamedTuple):
    """A hostile answer.

    Attributes:
        text: a bare answer, to be written in the scorer's own form; or the whole response.
        gold: the ground truth.
        verdict: the one right verdict, or None where there is none: a matter of policy or of strength.
        whole: the text is the whole response.
    """

    name: str
    text: str
    gold: str
    verdict: bool | None
    whole: bool = False

    def response_for(self, peer: Peer) -> str:
        """Return the response in the form that the scorer reads."""
        return self.text if self.whole else peer.write(self.text)

    def is_for(self, peer: Peer) -> bool:
        """Return whether the scorer reads this: GSM8K's ground truths are whole numbers, its answers not in boxes."""
        number = self.gold.removeprefix("-")
        is_gsm8k = number.isascii() and number.isdigit() and len(number) < 20
        return peer.math or (is_gsm8k and not (self.whole and "\\boxed" in self.text))

    @property
    def response(self) -> str:
        """The response with the answer in a box."""
        return self.text if self.whole else BOXED.replace("{answer}", self.text)


def _nested(opening: str, inside: str, closing: str, depth: int) -> str:
    return opening * depth + inside + closing * depth


TOWER = "9^{9^{9^{9}}}"
NINES = "9" * 100_000
DIGITS = "1234567890" * 500
MATRIX = r"\begin{pmatrix}" + r" \\ ".join(" & ".join(map(str, range(i, i + 60))) for i in range(60)) + r"\end{pmatrix}"
CONTINUED = r"\frac{1}{1+"
COT = "".join(f"Step {i}: we add {i} and {i + 1}, which gives {2 * i + 1}.\n" for i in range(1, 2000))

NUMBERS = [
    # Powers, factorials and floats beyond what fits into memory or a double.
    Case("tower", TOWER, "42", False),
    Case("tower_ascii", "9^9^9^9", "42", False),
    Case("tower_python", "9**9**9**9", "42", False),
    Case("tower_same", TOWER, TOWER, True),
    Case("tower_other", "9^{9^{9^{8}}}", TOWER, False),
    Case("tower_gold", "42", TOWER, False),
    Case("tower_cancels", f"{TOWER}-{TOWER}+42", "42", None),
    Case("tower_in_exponent_of_i", "i^{i^{i^{i}}}", "42", False),
    Case("tower_of_half", r"\left(\frac{1}{2}\right)^{9^{9^{9}}}", "0", False),
    Case("tower_mod", r"7^{7^{7^{7}}} \bmod 100", "43", None),
    Case("tower_sine", r"\sin(10^{10^{10}})", "0", False),
    Case("tower_root", r"\sqrt[9]{9^{9^{9^{9}}}}", "42", False),
    Case("power_2e6", r"2^{2000000}\cdot 3", "42", False),
    Case("negative_tower", "-2^{-2^{2^{100}}}", "0", False),
    Case("factorial_1e8", "(10^8)!", "42", False),
    Case("factorial_100000", "100000!", "42", False),
    Case("factorial_nested", "((9!)!)!", "42", False),
    Case("factorial_many", "9" + "!" * 1000, "42", False),
    Case("binom_huge", r"\binom{10^9}{5\cdot 10^8}", "42", False),
    Case("binom_nested", r"\binom{\binom{100}{50}}{\binom{50}{25}}", "42", False),
    Case("sum_1e9", r"\sum_{k=1}^{10^9} \frac{1}{k^2}", "42", False),
    Case("sum_of_sums", r"\sum_{i=1}^{10^6}\sum_{j=1}^{10^6}\sum_{k=1}^{10^6} \frac{1}{ijk+1}", "42", False),
    Case("prod_1e7", r"\prod_{k=1}^{10^7} k", "42", False),
    Case("integral_no_closed_form", r"\int_0^1 x^{x^{x}} \, dx", "42", False),
    Case("integral_oscillating", r"\int_0^{\infty} \sin(x^2)\cos(x^3) e^{-x} \, dx", "42", False),
    Case("limit", r"\lim_{n \to \infty} \left(1+\frac{1}{n}\right)^{n^{n}}", "42", False),
    Case("log_zero", r"\log_{0}(0)", "42", False),
    Case("divide_by_zero", r"\frac{42}{0}", "42", False),
    Case("zero_by_zero", r"\frac{0}{0}", "0", False),
    Case("1e400", "1e400", "1", False),
    Case("1e400_infinity", "1e400", r"\infty", False),
    Case("1e-400", "1e-400", "0", False),
    Case("1e999999999", "1e999999999", "42", False),
    Case("googol_plus_1", "10^{400}", "10^{400}+1", False),
    Case("near_one", r"\frac{10^{400}+1}{10^{400}}", "1", False),
    Case("nines_after_point", "0." + "9" * 10_000, "1", False),
    Case("nan", "nan", "nan", None),
    Case("nan_for_42", "nan", "42", False),
    Case("infinity_for_42", r"\infty", "42", False),
    Case("inf_for_42", "-inf", "42", False),
]

LENGTH = [
    # Size alone.
    Case("digits_100k_same", NINES, NINES, True),
    Case("digits_100k_last", NINES[:-1] + "8", NINES, False),
    Case("digits_100k_for_42", NINES, "42", False),
    Case("digits_100k_gold", "42", NINES, False),
    Case("digits_5000_same", DIGITS, DIGITS, True),
    Case("digits_5000_last", DIGITS + "1", DIGITS + "2", False),
    Case("root_of_5000_digits", rf"\sqrt{{{DIGITS}}}", "42", False),
    Case("quotient_of_5000_digits", rf"\frac{{{DIGITS}1}}{{{DIGITS}}}", "42", False),
    Case("letters_100k", "a" * 100_000, "42", False),
    Case("spaces_100k", " " * 100_000 + "42", "42", True),
    Case("newlines_100k", "43" + "\n" * 100_000, "42", False),
    Case("backslashes_100k", "\\" * 99_999, "42", False),
    Case("dollars_100k", "$" * 100_000, "42", False, whole=True),
    Case("minuses_100k", "-" * 100_001 + "42", "42", False),
    Case("carets_100k", "^" * 100_000, "42", False),
    Case("combining_marks_100k", "4" + "\u0301" * 100_000, "42", False),
    Case("plus_20k", "+".join("1" * 20_000), "20000", True),
    Case("plus_20k_off_by_one", "+".join("1" * 20_000), "20001", False),
    Case("x_20k", "+".join("x" * 20_000), "42", False),
    Case("times_20k", r"\cdot".join(["2"] * 20_000), "42", False),
    Case("list_20k", ", ".join(map(str, range(20_000))), "42", False),
    Case("set_2000", r"\{" + ", ".join(map(str, range(2000))) + r"\}", "42", False),
    Case("equals_20k", "=".join(["42"] * 20_000), "43", False),
    Case("long_cot_100k", COT + r"The final answer is $\boxed{42}$.", "42", True, whole=True),
    Case("long_cot_100k_wrong", COT + r"The final answer is $\boxed{43}$.", "42", False, whole=True),
    Case("long_cot_without_answer", COT, "42", False, whole=True),
]

NESTING = [
    # Depth and unbalanced brackets.
    Case("fracs_200", _nested(CONTINUED, "1", "}", 200), "42", False),
    Case("fracs_200_same", _nested(CONTINUED, "1", "}", 200), _nested(CONTINUED, "1", "}", 200), True),
    Case("fracs_2000", _nested(CONTINUED, "1", "}", 2000), "42", False),
    Case("fracs_2000_in_numerator", _nested(r"\frac{", "1", "}{2}", 2000), "42", False),
    Case("fracs_without_braces", r"\frac" * 20_000 + "12", "42", False),
    Case("roots_500", _nested(r"\sqrt{", "43", "}", 500), "42", False),
    Case("roots_5000", _nested(r"\sqrt{", "43", "}", 5000), "42", False),
    Case("braces_5000", _nested("{", "42", "}", 5000), "42", None),
    Case("braces_5000_wrong", _nested("{", "43", "}", 5000), "42", False),
    Case("parens_5000", _nested("(", "42", ")", 5000), "42", None),
    Case("parens_5000_wrong", _nested("(", "43", ")", 5000), "42", False),
    Case("left_parens_2000", _nested(r"\left(", "43", r"\right)", 2000), "42", False),
    Case("left_without_right", r"\left(" * 20_000, "42", False),
    Case("absolute_2000", _nested("|", "43", "|", 2000), "42", False),
    Case("braces_open_100k", r"\boxed{" + "{" * 100_000, "42", False, whole=True),
    Case("braces_close_100k", r"\boxed{43" + "}" * 100_000, "42", False, whole=True),
    Case("braces_close_after_42", r"\boxed{42" + "}" * 1000, "42", True, whole=True),
    Case("box_never_closed", r"The final answer is $\boxed{42", "42", None, whole=True),
    Case("matrices_opened_5000", r"\begin{pmatrix} 1" * 5000, "42", False),
    Case("matrix_60x60_same", MATRIX, MATRIX, True),
    Case("matrix_60x60_changed", MATRIX.replace("59 & 60", "59 & 61"), MATRIX, False),
]

ALGEBRA = [
    # Easy to write, costly to expand or simplify.
    Case("poly_eq", "(x+1)^2", "x^2+2x+1", True),
    Case("poly_ne", "(x+1)^2", "x^2+2x+2", False),
    Case("power_of_a_sum", "(x+1)^{1000000}", "x", False),
    Case("power_of_three_letters", "(x+y+z)^{400}", "1", False),
    Case("product_of_sums", "".join(f"(x+{i})" for i in range(1, 300)), "x", False),
    Case("symbolic_tower", "x^{x^{x^{x^{x^{x}}}}}", "x", False),
    Case("trigonometric_pile", r"\sin(\cos(\tan(" * 30 + "x" + ")))" * 30, r"\sin(x)", False),
    Case("many_letters", "".join(f"{chr(97 + i % 26)}_{{{i}}}+" for i in range(1000)) + "1", "42", False),
    Case("equation_degree_100", "x^{100}+x^{99}-7x^{3}+2=0", "x=42", False),
    # With a letter in the ground truth a scorer cannot dismiss a formula for not being a number.
    Case("integral_of_tower", r"\int_0^x t^{t^{t}} \, dt", "x^2+1", False),
    Case(
        "integrals_of_towers",
        r"\int_0^x t^{t^{t}} \, dt, \int_0^x 3^{t^{t}} \, dt, \int_0^x t! \, dt",
        "x, x^2, x^3",
        False,
    ),
    Case("integral_of_a_quotient", r"\int_0^x \frac{1}{t^{60}+t^{59}+t+7} \, dt", r"\frac{x^2}{2}", False),
    Case("integral_nested", r"\int_0^x \int_0^{y} \int_0^{z} e^{t^2 z} \sin(tyz) \, dt \, dz \, dy", "x^2", False),
    Case("integral_right", r"\int_0^x t \, dt", r"\frac{x^2}{2}", None),
    Case("sum_of_towers", r"\sum_{k=1}^{n} k^{k^{k}}", "n^2", False),
    Case("sum_of_1e9_powers", r"\sum_{k=1}^{10^9} x^k", "x", False),
    Case("product_of_powers", r"\prod_{k=1}^{n} (k^2+k+1)^{1000}", "n!", False),
    Case("factorial_and_letter", r"\sum_{k=1}^{n} (10^8)!", "n", False),
    Case("gold_sum_of_towers", "n^2", r"\sum_{k=1}^{n} k^{k^{k}}", False),
    # And where the ground truth is no closed form, only computer algebra could tell.
    Case("tower_for_an_integral", r"\int_0^x t^{t^{t}} \, dt", r"\int_0^x \sin(t^2) \, dt", False),
    Case("quotient_for_an_integral", r"\int_0^x \frac{1}{t^{60}+t^{59}+t+7} \, dt", r"\int_0^x \sin(t^2) \, dt", False),
    Case("factorial_for_a_sum", r"\sum_{k=1}^{n} (10^8)!", r"\sum_{k=1}^{n} k", False),
    Case("powers_for_a_sum", r"\sum_{k=1}^{10^9} x^k", r"\sum_{k=1}^{n} x^k", False),
    Case("set_builder", r"\{x : x^{1000000} - x - 1 = 0\}", r"\{42\}", False),
]

TEXT = [
    # Hedges, tags, and shapes on which a backtracking pattern is quadratic or worse.
    Case("hedge_both", r"42 \text{ or } 43", "42", False),
    Case("hedge_both_plain", "42 or 43", "42", False),
    Case("hedge_list", "42, 43", "42", False),
    Case("hedge_two_boxes", r"$\boxed{42}$ or $\boxed{43}$.", "42", False, whole=True),
    Case("boxes_20k_same", r"\boxed{42} " * 20_000, "42", True, whole=True),
    Case("boxes_20k", "".join(rf"\boxed{{{i}}} " for i in range(20_000, 0, -1)), "42", False, whole=True),
    Case("boxes_20k_nested", _nested(r"\boxed{", "43", "}", 20_000), "42", False, whole=True),
    Case("box_openings_20k", r"\boxed{" * 20_000, "42", False, whole=True),
    Case("hash_many", "#### 42\n" * 20_000, "42", True, whole=True),
    Case("hash_many_wrong", "#### 43\n" * 20_000, "42", False, whole=True),
    Case("answer_many_wrong", "Answer: 43\n" * 20_000, "42", False, whole=True),
    Case("answer_colon_many", "Answer:" * 20_000, "42", False, whole=True),
    Case("think_opened_20k", "<think>" * 20_000, "42", False, whole=True),
    Case("think_closed_20k", "</think>" * 20_000, "42", False, whole=True),
    Case("answer_tags_20k", "<answer>" * 20_000 + "43", "42", False, whole=True),
    Case("text_opened_20k", r"\text{" * 20_000, "42", False),
    Case("dollar_pairs_20k", "a$" * 20_000, "42", False),
    Case("commas_in_digits_20k", "1," * 20_000 + "1", "42", False),
    Case("slashes_20k", "1/" * 20_000 + "1", "42", False),
    Case("words_20k", "an a " * 20_000, "42", False),
    Case("degrees_20k", r"^\circ" * 20_000, "42", False),
    Case("percents_20k", r"\%" * 20_000, "42", False),
    Case("almost_a_number", "1" * 50_000 + "x", "42", False),
    Case("spaces_between_digits", "1 " * 50_000, "42", False),
    Case("empty_response", "", "42", False, whole=True),
    Case("empty_box", "", "42", False),
    Case("empty_both", "", "", None),
    Case("gold_of_dollars", "42", "$" * 20_000, False),
    Case("gold_of_text", "42", r"\text{" * 20_000, False),
]

ENCODING = [
    # Characters, and code for whoever evaluates an answer as Python or TeX.
    Case("nul", "4\x002", "42", None),
    Case("nuls_1000", "\x00" * 1000, "42", False),
    Case("lone_surrogate", "\ud800", "42", False),
    Case("right_to_left_mark", "\u202e42\u202c", "42", None),
    Case("zero_width_joiner", "4\u200d2", "42", None),
    Case("full_width_digits", "４２", "42", None),
    Case("arabic_digits", "٤٢", "42", None),
    Case("superscript_digit", "4²", "42", False),
    Case("circled_digit", "①", "42", False),
    Case("vulgar_half", "½", "0.5", None),
    Case("uni_minus", "−42", "-42", True),
    Case("uni_minus_lost", "−42", "42", False),
    Case("python_import", "__import__('os').abort()", "42", False),
    Case("python_exit", "exit()", "42", False),
    Case("python_lambda", "(lambda: 42)()", "43", False),
    Case("python_classes", "().__class__.__mro__[1].__subclasses__()", "42", False),
    Case("python_loop", "[x for x in range(10**12)]", "42", False),
    Case("sympy_call", "Integer(42).__class__(43)", "42", False),
    Case("tex_input", r"\input{/dev/zero}", "42", False),
    Case("tex_loop", r"\def\a{\a\a}\a", "42", False),
]

CASES: list[Case] = [*NUMBERS, *LENGTH, *NESTING, *ALGEBRA, *TEXT, *ENCODING]


def run(name: str, callers: tuple[str, ...], limit: int | None) -> dict:
    """Return for each caller each case's outcome: verdict, error and seconds."""
    result = {}
    for caller in callers:
        scorer = IsolatedScorer(name, caller, CAP)
        try:
            result[caller] = {
                case.name: scorer(case.response_for(PEERS[name]), case.gold)._asdict()
                for case in CASES[:limit]
                if case.is_for(PEERS[name])
            }
        finally:
            scorer.close()
    return result


def tables(result: dict) -> str:
    """Return one row per scorer and caller as Markdown."""
    rows = [
        [name, caller, *_summary(outcomes)] for name, callers in result.items() for caller, outcomes in callers.items()
    ]
    columns = ["scorer", "called from", "cases", f"over {CAP:.0f} s", "exception", "5-20 s", "1-5 s", "worst s"]
    return markdown([*columns, "right rejected", "wrong accepted", "which"], rows)


def _summary(outcomes: dict) -> list[object]:
    verdicts = {case.name: case.verdict for case in CASES}
    finished = [one for one in outcomes.values() if one["verdict"] is not None or one["error"]]
    seconds = [one["seconds"] for one in finished]
    answered = {name: one["verdict"] for name, one in outcomes.items() if one["verdict"] is not None}
    rejected = [name for name, verdict in answered.items() if verdicts[name] is True and not verdict]
    accepted = [name for name, verdict in answered.items() if verdicts[name] is False and verdict]
    return [
        len(outcomes),
        len(outcomes) - len(finished),
        sum(one["error"] is not None for one in finished),
        sum(value >= 5 for value in seconds),
        sum(1 <= value < 5 for value in seconds),
        f"{max((one['seconds'] for one in outcomes.values()), default=0):.2f}",
        len(rejected),
        len(accepted),
        ", ".join([f"rejects {name}" for name in rejected] + [f"accepts {name}" for name in accepted]) or "-",
    ]
