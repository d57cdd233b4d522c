"""docs/en/grpo.md and docs/zh/grpo.md: what they quote stands there, what they claim is so, and both say the same."""

import ast
import dataclasses
import itertools
import math
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from markdown_it import MarkdownIt
from omegaconf import OmegaConf
from verl.experimental.reward_loop.reward_manager import get_reward_manager_cls

from grpo_launchpad.launch.knobs import read_knobs
from grpo_launchpad.preflight.compose import compose

ROOT = Path(__file__).resolve().parents[1]
TRAINER = ROOT / "examples" / "torch_trainer"
PAGES = {language: ROOT / "docs" / language / "grpo.md" for language in ("en", "zh")}
FORMULA = re.compile(r"\$\$\n(.+?)\n\$\$|\$([^$\n]+)\$", re.DOTALL)
CODE = re.compile(r"`([^`]+)`")
VERL_KEY = re.compile(r"(?:actor_rollout_ref|algorithm|data|reward|trainer)\.[\w.]+")
SETTING = re.compile(r"([a-z]\w*)(?:=(.+))?")
METRICS = {"frac_reward_zero_std", "groups_with_a_signal"}
NEAR = ((0.5, 0.3, 0.2), (0.4, 0.35, 0.25))
FAR = ((0.9, 0.09, 0.01), (0.1, 0.3, 0.6))


def page(language: str) -> str:
    return PAGES[language].read_text()


def formulas(text: str) -> list[str]:
    return [display or inline for display, inline in FORMULA.findall(re.sub(CODE, "", text))]


def tables(text: str) -> list[list[list[str]]]:
    """Every table as rows of cells; the row below the header is left out."""
    found, rows = [], []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif rows:
            found.append([rows[0], *rows[2:]])
            rows = []
    return found


def table(language: str, *header: str) -> list[list[str]]:
    """The rows of the table whose header, from its second cell on, is this one."""
    (found,) = [rows for rows in tables(page(language)) if rows[0][1:] == list(header)]
    return found[1:]


def code(text: str) -> list[str]:
    return [fragment.replace(r"\|", "|") for fragment in CODE.findall(text)]


def value_of(text: str) -> object:
    if text in ("None", "null"):
        return None
    return ast.literal_eval(text) if re.fullmatch(r"True|False|[-\d.e]+|\".*\"", text) else text


@pytest.fixture(scope="module")
def formulas_of_the_trainer():
    """examples/torch_trainer/grpo.py, whose modules find each other as in a run: beside the script."""
    sys.path.insert(0, str(TRAINER))
    try:
        import grpo
    finally:
        sys.path.remove(str(TRAINER))
    return grpo


@pytest.fixture(scope="module")
def core_algos():
    from verl.trainer.ppo import core_algos

    return core_algos


@pytest.fixture(scope="module")
def actor():
    from verl.workers.config import ActorConfig

    return lambda **settings: ActorConfig(strategy="fsdp2", rollout_n=1, use_dynamic_bsz=True, **settings)


# ---------------------------------------------------------------- the two pages


def test_both_languages_have_the_same_structure():
    english, chinese = page("en"), page("zh")
    levels = [re.findall(r"^(#+) ", text, re.MULTILINE) for text in (english, chinese)]
    assert levels[0] == levels[1]
    assert len(levels[0]) > 20
    shapes = [[[len(row) for row in rows] for rows in tables(text)] for text in (english, chinese)]
    assert shapes[0] == shapes[1]
    assert len(shapes[0]) == 9
    assert all(len(set(widths)) == 1 for widths in shapes[0])
    items = [len(re.findall(r"^- ", text, re.MULTILINE)) for text in (english, chinese)]
    assert items[0] == items[1]


def test_both_languages_have_the_same_formulas():
    displayed = [re.findall(r"\$\$\n(.+?)\n\$\$", page(language), re.DOTALL) for language in PAGES]
    assert displayed[0] == displayed[1]
    assert len(displayed[0]) > 10
    assert set(formulas(page("en"))) == set(formulas(page("zh")))


def test_both_languages_quote_the_same_in_the_same_cells():
    for english, chinese in zip(tables(page("en")), tables(page("zh")), strict=True):
        for row in zip(english, chinese, strict=True):
            for cells in zip(*row, strict=True):
                quotes, math_in_cell, figures = (
                    [sorted(find(cell)) for cell in cells] for find in (code, formulas, re.compile(r"\d[\d.]*").findall)
                )
                assert quotes[0] == quotes[1]
                assert math_in_cell[0] == math_in_cell[1]
                assert figures[0] == figures[1]
    assert set(code(page("en"))) == set(code(page("zh")))
    assert set(re.findall(r"https?://[^)\s]+", page("en"))) == set(re.findall(r"https?://[^)\s]+", page("zh")))


@pytest.mark.parametrize("language", PAGES)
def test_links_lead_to_files(language):
    for link in re.findall(r"\]\(([^)#]+)", page(language)):
        assert link.startswith("http") or (PAGES[language].parent / link).resolve().is_file(), link


@pytest.mark.parametrize("language", PAGES)
def test_no_formula_is_broken_by_markdown(language):
    """Markdown must leave a formula one piece of text, and GitHub wants blanks before it, and lines of its own."""
    text = page(language)
    for formula in formulas(text):
        # an escape, a table's bar or a tag
        assert not re.search(r"\\[^A-Za-z]|[|<>*]", formula), formula
    for display in re.finditer(r"\$\$\n.+?\n\$\$", text, re.DOTALL):
        assert text[: display.start()].endswith("\n\n")
        assert text[display.end() :].startswith("\n\n")
    without = re.sub(CODE, "x", re.sub(r"\$\$\n.+?\n\$\$", "", text, flags=re.DOTALL))
    for inline in re.finditer(r"\$[^$\n]+\$", without):
        assert without[inline.start() - 1] in " \n", inline.group()
        assert re.match(r"[\s.,;:)，。；：、）]", without[inline.end()]), inline.group()
        assert not re.match(r"\$\s|.*\s\$$", inline.group()), inline.group()
    assert without.count("$") == 2 * len(re.findall(r"\$[^$\n]+\$", without))
    pieces = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "inline":
            pieces += "".join(
                "\n" if child.type == "softbreak" else child.content if child.type == "text" else "\0"
                for child in token.children
            ).split("\0")
    whole = "\n".join(pieces)
    for formula in formulas(text):
        assert formula in whole, formula
    assert "**" not in whole, "emphasis that Markdown does not see"


# ---------------------------------------------------------------- what is quoted


@pytest.mark.parametrize("language", PAGES)
def test_quoted_lines_stand_in_grpo_py(language):
    source = (TRAINER / "grpo.py").read_text()
    lines = source.splitlines()
    functions = {
        node.name: {line.strip() for line in lines[node.lineno - 1 : node.end_lineno]}
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
    }
    quoted = 0
    for row in table(language, "`grpo.py`", "verl", "TRL"):
        function, *fragments = code(row[1])
        assert fragments
        for fragment in fragments:
            assert fragment in functions[function.removesuffix("()")], f"{function}: {fragment}"
        quoted += len(fragments)
    assert quoted > 20


@pytest.mark.parametrize("language", PAGES)
def test_functions_and_files_exist(language):
    packages = {name: Path(find_spec(name).submodule_search_locations[0]) for name in ("verl", "trl")}
    cited = [fragment for fragment in code(page(language)) if re.fullmatch(r"(verl|trl)/[\w/.]+", fragment)]
    assert len(cited) == 10
    sources = [TRAINER / "grpo.py"]
    for fragment in cited:
        name, _, path = fragment.partition("/")
        sources.append(packages[name] / path)
    text = "\n".join(source.read_text() for source in sources)
    for fragment in code(page(language)):
        if re.fullmatch(r"\w+\(\)", fragment):
            assert re.search(r"^ *def " + re.escape(fragment[:-1]), text, re.MULTILINE), fragment
    for metric in METRICS:
        assert f'"{metric}"' in text


@pytest.fixture(scope="module")
def verl_defaults():
    return compose([])


def verl_keys(text: str) -> list[tuple[str, str]]:
    """Key and value, which may be empty, of what looks like a key of verl."""
    found = [fragment.partition("=") for fragment in code(text) if VERL_KEY.match(fragment)]
    return [(key, value) for key, _, value in found]


@pytest.mark.parametrize("language", PAGES)
def test_verls_keys_exist(language, verl_defaults):
    keys = verl_keys(page(language))
    assert len(keys) > 60
    for key, _ in keys:
        parent, _, name = key.rpartition(".")
        assert name in OmegaConf.select(verl_defaults, parent), key


@pytest.mark.parametrize("language", PAGES)
def test_verl_knows_the_values_of_its_keys(language, core_algos):
    tried = set()
    for key, value in verl_keys(page(language)):
        name = key.rpartition(".")[2]
        if not value:
            continue
        if name == "loss_mode":
            core_algos.get_policy_loss_fn(value)
        elif name == "adv_estimator":
            core_algos.AdvantageEstimator(value)
        elif name == "loss_agg_mode":
            core_algos.agg_loss(torch.ones(1, 1), torch.ones(1, 1), value)
        elif name in ("kl_loss_type", "kl_penalty"):
            core_algos.kl_penalty(torch.zeros(1), torch.zeros(1), value)
        elif key == "reward.reward_manager.name":
            get_reward_manager_cls(value)
        else:
            assert value == "reward" or not isinstance(value_of(value), str), value
            continue
        tried.add(value)
    assert len(tried) == 11


SETTINGS = ("knob", "verl", "TRL", "torch_trainer")


@pytest.mark.parametrize("language", PAGES)
def test_knobs_set_the_keys_beside_them(language):
    knobs = {knob.name: knob.keys for knob in read_knobs()}
    beside = re.findall(r"`([\w.]+)(?:=[^`]*)?` \(`([A-Z_]+)`\)", page(language))
    beside += [(verl_keys(row[2])[0][0], code(row[1])[0]) for row in table(language, *SETTINGS) if code(row[1])]
    assert len(beside) > 25
    for key, knob in beside:
        assert key == "overlong" or key in knobs[knob], knob


@pytest.mark.parametrize("language", PAGES)
def test_verls_defaults(language, verl_defaults):
    for row in table(language, *SETTINGS):
        for key, value in verl_keys(row[2]):
            assert OmegaConf.select(verl_defaults, key) == value_of(value), key


def trl_settings(language: str) -> list[tuple[str, str | None]]:
    """Names and values in the columns for TRL, and the settings that the text names with a value."""
    found = []
    for rows in tables(page(language)):
        if "TRL" in rows[0]:
            found += itertools.chain.from_iterable(code(row[rows[0].index("TRL")]) for row in rows[1:])
    found += [each for each in code(page(language)) if re.fullmatch(r"[a-z]\w*=[^,]+", each)]
    found += ["delta", "beta", "num_iterations", "steps_per_generation", "gradient_accumulation_steps"]
    settings = [SETTING.fullmatch(each) for each in found if each not in METRICS and not each.endswith("()")]
    return [match.groups() for match in settings]


@pytest.mark.parametrize("language", PAGES)
def test_trls_arguments_exist(language):
    from trl import GRPOConfig

    fields = {field.name for field in dataclasses.fields(GRPOConfig)}
    settings = trl_settings(language)
    assert len(settings) > 60
    assert {name for name, _ in settings} <= fields
    source = (Path(find_spec("trl").submodule_search_locations[0]) / "trainer" / "grpo_trainer.py").read_text()
    for name, value in settings:
        if name in ("loss_type", "importance_sampling_level", "scale_rewards") and value:
            assert value in source


@pytest.mark.parametrize("language", PAGES)
def test_trls_defaults(language):
    from trl import GRPOConfig

    defaults = {field.name: field.default for field in dataclasses.fields(GRPOConfig)}
    for row in table(language, *SETTINGS):
        for fragment in code(row[3]):
            name, _, value = fragment.partition("=")
            assert defaults[name] == value_of(value), name


@pytest.mark.parametrize("language", PAGES)
def test_settings_of_torch_trainer(language, formulas_of_the_trainer):
    defaults = {field.name: field.default for field in dataclasses.fields(formulas_of_the_trainer.GRPOArguments)}
    named = [each.removeprefix("--").partition("=")[0] for each in code(page(language)) if each.startswith("--")]
    assert len(named) > 20
    assert set(named) <= defaults.keys()
    for row in table(language, *SETTINGS):
        for fragment in code(row[4]):
            name, _, value = fragment.removeprefix("--").partition("=")
            assert defaults[name] == value_of(value), name


def test_what_is_said_of_trls_loss_stands_in_its_source():
    source = (Path(find_spec("trl").submodule_search_locations[0]) / "trainer" / "grpo_trainer.py").read_text()
    for line in (
        "std_rewards = nanstd(rewards.view(-1, num_generations), dim=1)",
        "advantages = advantages / (std_rewards + 1e-4)",
        "if self.args.gradient_accumulation_steps % generate_every != 0 or (",
        "old_per_token_logps = per_token_logps.detach() if old_per_token_logps is None else old_per_token_logps",
        "coef_1 = torch.exp(log_importance_weights)",
        "coef_1 = torch.clamp(coef_1, max=self.args.delta)",
        "per_token_kl = per_token_kl * coef_1",
        'per_token_loss = per_token_loss * inputs["importance_sampling_ratio"]',
        "loss = (per_token_loss * mask).sum() / (per_token_loss.size(0) * self.max_completion_length)",
        "loss = (per_token_loss * mask).sum(-1).mean()",
    ):
        assert line in source, line


# ---------------------------------------------------------------- advantages


def test_no_advantage_is_beyond_the_bound(formulas_of_the_trainer):
    random = torch.Generator().manual_seed(0)
    for group in (2, 3, 8, 16, 101, 102):
        bound = (group - 1) / math.sqrt(group)
        rewards = torch.randn(1000, group, generator=random, dtype=torch.float64) ** 5
        assert formulas_of_the_trainer.group_advantages(rewards).abs().max() < bound
        odd_one_out = torch.zeros(1, group, dtype=torch.float64)
        odd_one_out[0, 0] = 1
        assert formulas_of_the_trainer.group_advantages(odd_one_out)[0, 0] == pytest.approx(bound, rel=1e-4)
        assert (bound > 10) == (group >= 102)
    for language in PAGES:
        assert "2.47" in page(language)
        assert "3.75" in page(language)
    assert (round(7 / math.sqrt(8), 2), 15 / math.sqrt(16)) == (2.47, 3.75)


@pytest.mark.parametrize("right", range(1, 8))
def test_advantages_of_right_and_wrong(formulas_of_the_trainer, right):
    group = 8
    rewards = torch.tensor([[1.0] * right + [0.0] * (group - right)], dtype=torch.float64)
    advantages = formulas_of_the_trainer.group_advantages(rewards)[0]
    assert advantages[0] == pytest.approx(math.sqrt((group - right) * (group - 1) / (right * group)), rel=1e-4)
    assert advantages[-1] == pytest.approx(-math.sqrt(right * (group - 1) / ((group - right) * group)), rel=1e-4)
    assert advantages.square().sum() == pytest.approx(group - 1, rel=1e-4)


def verl_advantages(core_algos, rewards: list[float], **settings) -> torch.Tensor:
    each = torch.tensor(rewards)[:, None]
    group = np.array(["group"] * len(rewards))
    return core_algos.compute_grpo_outcome_advantage(each, torch.ones_like(each), group, **settings)[0][:, 0]


def test_equal_rewards_and_groups_of_one(core_algos, formulas_of_the_trainer):
    for reward, group in itertools.product((0.0, 0.5, 1.0), range(2, 65)):
        assert not verl_advantages(core_algos, [reward] * group).any()
        assert not formulas_of_the_trainer.group_advantages(torch.full((1, group), reward)).any()
    assert verl_advantages(core_algos, [0.2] * 8).abs().max() == pytest.approx(0.015, abs=5e-4)
    assert verl_advantages(core_algos, [37.3] * 12).abs().max() == pytest.approx(0.77, abs=5e-3)
    for scale in (True, False):
        assert verl_advantages(core_algos, [0.7], norm_adv_by_std_in_grpo=scale).item() == pytest.approx(0.7, rel=1e-4)
    assert formulas_of_the_trainer.group_advantages(torch.tensor([[0.7]])).item() == 0


def test_the_groups_mean_costs_length_only():
    """All groups of three responses out of three, with their probabilities."""
    logits = torch.tensor([0.3, -0.5, 0.9], dtype=torch.float64, requires_grad=True)
    rewards = torch.tensor([1.0, 0.2, -2.0], dtype=torch.float64)
    group = 3
    log_probs = logits.log_softmax(0)
    (gradient,) = torch.autograd.grad((log_probs.exp() * rewards).sum(), logits, retain_graph=True)
    surrogate = 0
    for responses in itertools.product(range(3), repeat=group):
        chosen = torch.tensor(responses)
        advantages = rewards[chosen] - rewards[chosen].mean()
        surrogate += log_probs[chosen].sum().exp().detach() * (advantages * log_probs[chosen]).mean()
    (of_groups,) = torch.autograd.grad(surrogate, logits)
    torch.testing.assert_close(of_groups, gradient * (group - 1) / group)


@pytest.mark.parametrize("chance", [0.05, 0.5, 0.9])
def test_the_deviation_enlarges_easy_and_hard(chance):
    """The expected gradient by the chance itself, for large groups, and that of the square root's arc sine."""
    group = 4000
    right = np.arange(1, group)
    log_binomial = [math.lgamma(group + 1) - math.lgamma(k + 1) - math.lgamma(group - k + 1) for k in right]
    weights = np.exp(log_binomial + right * math.log(chance) + (group - right) * math.log1p(-chance))
    good = np.sqrt((group - right) * (group - 1) / (right * group))
    bad = -np.sqrt(right * (group - 1) / ((group - right) * group))
    gradient = (weights * (right * good / chance - (group - right) * bad / (1 - chance)) / group).sum()
    step = 1e-6
    slope = (math.asin(math.sqrt(chance + step)) - math.asin(math.sqrt(chance - step))) / step
    assert gradient == pytest.approx(1 / math.sqrt(chance * (1 - chance)), rel=5e-3)
    assert slope == pytest.approx(1 / math.sqrt(chance * (1 - chance)), rel=1e-5)


def test_groups_without_a_signal():
    shares = {p: p**8 + (1 - p) ** 8 for p in (0.5, 0.9)}
    assert (round(shares[0.5], 3), round(shares[0.9], 2)) == (0.008, 0.43)
    for language in PAGES:
        assert "0.008" in page(language)
        assert "0.43" in page(language)


# ---------------------------------------------------------------- ratio and clipping


@pytest.mark.parametrize(
    ("advantage", "ratio", "value", "slope"),
    [
        (2.0, 0.5, 1.0, 2.0),
        (2.0, 1.1, 2.2, 2.0),
        (2.0, 1.5, 2.4, 0.0),
        (-2.0, 0.5, -1.6, 0.0),
        (-2.0, 1.1, -2.2, -2.0),
        (-2.0, 1.5, -3.0, -2.0),
        (2.0, 1.0, 2.0, 2.0),
        (-2.0, 5.0, -10.0, -2.0),
    ],
)
def test_the_table_of_the_clip(formulas_of_the_trainer, core_algos, actor, advantage, ratio, value, slope):
    """Slopes are by the ratio, whose own by the log-probability is the ratio."""
    log_probs = torch.tensor([[math.log(ratio)]], dtype=torch.float64, requires_grad=True)
    old, advantages = torch.zeros_like(log_probs), torch.tensor([advantage], dtype=torch.float64)
    objective, _ = formulas_of_the_trainer.clipped_objective(log_probs, old, advantages, 0.2, 0.2)
    (gradient,) = torch.autograd.grad(objective.sum(), log_probs)
    assert objective.item() == pytest.approx(value)
    assert gradient.item() == pytest.approx(slope * ratio)

    dual = ratio > 3 and advantage < 0
    mask = torch.ones_like(log_probs)
    loss, _ = core_algos.compute_policy_loss_vanilla(
        old, log_probs, advantages[:, None], mask, "token-mean", actor(clip_ratio_low=0.2, clip_ratio_high=0.2)
    )
    (gradient,) = torch.autograd.grad(-loss, log_probs)
    assert -loss.item() == pytest.approx(3 * advantage if dual else value)
    assert gradient.item() == pytest.approx(0 if dual else slope * ratio)


def test_verls_clip_ratio_alone_does_nothing(core_algos, actor):
    old, log_probs, ones = torch.zeros(1, 1), torch.full((1, 1), math.log(1.5)), torch.ones(1, 1)
    for clip_ratio in (0.1, 0.4):
        config = actor(clip_ratio=clip_ratio)
        loss, _ = core_algos.compute_policy_loss_vanilla(old, log_probs, ones, ones, "token-mean", config)
        assert loss.item() == pytest.approx(-1.2)


# ---------------------------------------------------------------- KL


def distributions(pair) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits of the policy, its log-probabilities and those of the reference."""
    policy, reference = (torch.tensor(each, dtype=torch.float64).log() for each in pair)
    logits = policy.clone().requires_grad_()
    return logits, logits.log_softmax(0), reference


@pytest.mark.parametrize("language", PAGES)
def test_the_table_of_the_estimates(language, core_algos):
    (rows,) = [rows[1:] for rows in tables(page(language)) if len(rows[0]) == 5 and rows[1][0] == "$k_1$"]
    for column, pair in ((1, NEAR), (3, FAR)):
        _, log_probs, reference = distributions(pair)
        difference = reference - log_probs
        k3 = difference.exp() - difference - 1
        estimates = [-difference, difference**2 / 2, k3, core_algos.kl_penalty(log_probs, reference, "k3")]
        weights = log_probs.exp()
        divergence = (weights * -difference).sum().item()
        assert f"{divergence:.4f}" in page(language)
        for row, estimate in zip(rows, estimates, strict=True):
            mean = (weights * estimate).sum()
            deviation = (weights * (estimate - mean) ** 2).sum().sqrt()
            assert [f"{mean.item():.4f}", f"{deviation.item():.4f}"] == row[column : column + 2]
        assert (weights * k3).sum().item() == pytest.approx(divergence)
        assert k3.min() >= 0
        second_moment = (weights * (2 * difference).exp()).sum().item()
        assert second_moment == pytest.approx((reference.exp() ** 2 / weights).sum().item())
    near, far = ([float(row[column]) for row in rows] for column in (2, 4))
    assert round(near[0] / near[2]) == 37
    assert 4.5 < far[2] / far[0] < 5


def test_k3_is_unbiased_by_sampling(formulas_of_the_trainer):
    _, log_probs, reference = distributions(NEAR)
    tokens = torch.multinomial(log_probs.detach().exp(), 200_000, True, generator=torch.Generator().manual_seed(0))
    samples = formulas_of_the_trainer.kl_k3(log_probs[tokens], reference[tokens])
    error = samples.std() / len(samples) ** 0.5
    assert abs(samples.mean() - 0.020698) < 4 * error
    assert error < 2e-5


@pytest.mark.parametrize("language", PAGES)
@pytest.mark.parametrize("pair", [NEAR, FAR])
def test_gradients_of_the_estimates(language, core_algos, pair):
    """The expected gradient of a sampled term: the gradient of its mean under weights that are held fixed."""
    logits, log_probs, reference = distributions(pair)
    weights = log_probs.exp().detach()

    def gradient(loss) -> torch.Tensor:
        return torch.autograd.grad(loss, logits, retain_graph=True)[0]

    forward = (log_probs.exp() * (log_probs - reference)).sum()
    backward = (reference.exp() * (reference - log_probs)).sum()
    expected = {
        "": torch.zeros(3, dtype=torch.float64),
        r"$\mathrm{KL}(\pi_\theta \Vert \pi_{\text{ref}})$": gradient(forward),
        r"$\mathrm{KL}(\pi_{\text{ref}} \Vert \pi_\theta)$": gradient(backward),
    }
    (rows,) = [rows[1:] for rows in tables(page(language)) if "`kl_loss_type`" in rows[0][1]]
    named = 0
    for row in rows:
        right = expected[row[2] if row[2].startswith("$") else ""]
        for name in code(row[1]):
            # verl clamps k3 to 10, which one token of the far pair exceeds
            if pair is FAR and name in ("k3", "low_var_kl"):
                continue
            sampled = core_algos.kl_penalty(log_probs, reference, name)
            torch.testing.assert_close(gradient((weights * sampled).sum()), right)
            named += 1
        if not code(row[1]):
            ratio = (log_probs - log_probs.detach()).exp()
            k3 = (reference - log_probs).exp() - (reference - log_probs) - 1
            torch.testing.assert_close(gradient((weights * ratio * k3).sum()), right)
    assert named == (10 if pair is NEAR else 8)


def test_the_ratio_makes_k3_unbiased_off_policy():
    """Samples of the near pair's reference as the old policy, the far pair's two as policy and reference."""
    logits, log_probs, reference = distributions(FAR)
    old = torch.tensor(NEAR[1], dtype=torch.float64)
    k3 = (reference - log_probs).exp() - (reference - log_probs) - 1
    weighted = (old * (log_probs - old.log()).exp() * k3).sum()
    divergence = (log_probs.exp() * (log_probs - reference)).sum()
    assert weighted.item() == pytest.approx(divergence.item())
    assert (old * k3).sum().item() != pytest.approx(divergence.item(), rel=0.1)
    gradients = [torch.autograd.grad(loss, logits, retain_graph=True)[0] for loss in (weighted, divergence)]
    torch.testing.assert_close(*gradients)


def test_clamps_of_the_kl_term(core_algos, formulas_of_the_trainer):
    for difference, clamped in ((2.60, False), (2.62, True), (-10.9, False), (-11.1, True)):
        log_probs = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        value = core_algos.kl_penalty(log_probs, torch.tensor([difference], dtype=torch.float64), "low_var_kl")
        (gradient,) = torch.autograd.grad(value, log_probs)
        assert (value.item() == 10) == clamped == (gradient.item() == 0)
        ours = formulas_of_the_trainer.kl_k3(torch.zeros(1), torch.tensor([difference])).item()
        assert ours == pytest.approx(math.exp(difference) - difference - 1, rel=1e-5)
    assert round(math.exp(2.611), 1) == 13.6
    assert torch.isfinite(formulas_of_the_trainer.kl_k3(torch.tensor([-1e9]), torch.zeros(1))).all()


def test_verls_reference_is_loaded_for_the_switch_not_the_coefficient():
    from verl.trainer.ppo.utils import need_reference_policy

    actor = "actor_rollout_ref.actor"
    assert need_reference_policy(compose([f"{actor}.use_kl_loss=True", f"{actor}.kl_loss_coef=0"]))
    assert not need_reference_policy(compose([f"{actor}.kl_loss_coef=0.1"]))


# ---------------------------------------------------------------- averages, variants


AVERAGES = {
    "token-mean": lambda lengths, longest: [1 / sum(lengths)] * len(lengths),
    "seq-mean-token-mean": lambda lengths, longest: [1 / (len(lengths) * length) for length in lengths],
    "seq-mean-token-sum": lambda lengths, longest: [1 / len(lengths)] * len(lengths),
    "seq-mean-token-sum-norm": lambda lengths, longest: [1 / (len(lengths) * longest)] * len(lengths),
}


@pytest.mark.parametrize("name", AVERAGES)
def test_weights_of_a_token(formulas_of_the_trainer, core_algos, name):
    lengths, width, longest = [1, 3, 4], 4, 16
    mask = (torch.arange(width) < torch.tensor(lengths)[:, None]).double()
    expected = mask * torch.tensor(AVERAGES[name](lengths, longest), dtype=torch.float64)[:, None]
    ours = formulas_of_the_trainer.token_weights(mask, name, longest, total=lambda number: number)
    torch.testing.assert_close(ours, expected)
    losses = torch.randn(mask.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    verl = core_algos.agg_loss(losses, mask, name, loss_scale_factor=longest)
    torch.testing.assert_close(verl, (losses * expected).sum())
    for language in PAGES:
        (rows,) = [rows[1:] for rows in tables(page(language)) if rows[1][0] == "`token-mean`"]
        assert [code(row[0])[0] for row in rows] == list(AVERAGES)


def test_verls_constant_follows_the_micro_batch_unless_it_is_set(actor):
    from tensordict import TensorDict
    from verl.utils import tensordict_utils
    from verl.workers.utils.losses import ppo_loss

    def loss(lengths: list[int], factor: int | None) -> float:
        """The loss of a micro batch in the form in which the engines get it: without padding."""
        fields = {
            "prompts": [torch.ones(2, dtype=torch.long) for _ in lengths],
            "responses": [torch.ones(length, dtype=torch.long) for length in lengths],
            "response_mask": [torch.ones(length) for length in lengths],
            "old_log_probs": [torch.zeros(length) for length in lengths],
            "advantages": [-torch.ones(length) for length in lengths],
        }
        nested = {name: torch.nested.as_nested_tensor(rows, layout=torch.jagged) for name, rows in fields.items()}
        data = TensorDict(nested, batch_size=len(lengths))
        tensordict_utils.assign_non_tensor(data, dp_size=1, batch_num_tokens=10, global_batch_size=2)
        log_probs = [torch.zeros(2 + length) for length in lengths]
        output = {"log_probs": torch.nested.as_nested_tensor(log_probs, layout=torch.jagged)}
        config = actor(loss_agg_mode="seq-mean-token-sum-norm", loss_scale_factor=factor)
        return ppo_loss(config, output, data)[0].item()

    assert loss([2, 8], None) == pytest.approx(10 / 2 / 8)
    assert loss([2], None) + loss([8], None) == pytest.approx(1.0)
    assert loss([2, 8], 16) == pytest.approx(loss([2], 16) + loss([8], 16))


def test_sequence_ratios_are_geometric_means(core_algos, actor):
    random = torch.Generator().manual_seed(0)
    mask = (torch.arange(5) < torch.tensor([2, 5])[:, None]).double()
    log_probs = torch.randn(2, 5, generator=random, dtype=torch.float64, requires_grad=True)
    old = torch.randn(2, 5, generator=random, dtype=torch.float64)
    advantages = torch.tensor([[1.5], [-0.5]], dtype=torch.float64)
    ratios = (((log_probs - old) * mask).sum(1) / mask.sum(1)).exp()
    expected = -(ratios * advantages[:, 0]).mean()
    wide = actor(clip_ratio_low=1e9, clip_ratio_high=1e9)
    verl, _ = core_algos.compute_policy_loss_gspo(
        old, log_probs, advantages.expand(2, 5), mask, "seq-mean-token-mean", wide
    )
    torch.testing.assert_close(verl, expected)
    gradients = [torch.autograd.grad(loss, log_probs, retain_graph=True)[0] for loss in (verl, expected)]
    torch.testing.assert_close(*gradients)


def test_overlong_shaping():
    from trl.rewards import get_soft_overlong_punishment

    longest, cache = 100, 20
    lengths = [1, 80, 81, 90, 100, 120]
    punished = get_soft_overlong_punishment(longest, cache)(completion_ids=[[0] * length for length in lengths])
    formula = [min(max((longest - cache - length) / cache, -1), 0) for length in lengths]
    assert punished == pytest.approx(formula)
