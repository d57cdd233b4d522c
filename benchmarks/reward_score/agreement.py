"""Verdicts against labels: gold recall, others' golds, labelled sets, answers rewritten by rule, hack templates."""

import random
from collections import Counter, defaultdict
from pathlib import Path

from benchmarks.reward_score import datasets
from benchmarks.reward_score.datasets import Row, thin
from benchmarks.reward_score.isolation import in_child, timed_call
from benchmarks.reward_score.peers import PEERS
from benchmarks.reward_score.tables import markdown, percent

GSM8K_SET = "gsm8k_openai_solutions"


def shuffled_golds(rows: list[Row], seed: int = 0) -> list[Row]:
    """Return the rows with another row's gold, which makes them wrong; a row that drew an equal gold is dropped."""
    golds = [row.gold for row in rows]
    random.Random(seed).shuffle(golds)
    return [
        Row(row.text, row.answer, gold, label=False, boxed=row.boxed)
        for row, gold in zip(rows, golds, strict=True)
        if gold != row.gold
    ]


def sets_for(name: str, data: Path, limit: int | None) -> dict[str, list[Row]]:
    """Return the sets that a scorer can read, each thinned out to ``limit`` rows."""
    gsm8k = thin(datasets.gsm8k(data), limit)
    wrong_rows = PEERS[name].wrong_rows
    sets = {"GSM8K": gsm8k, "GSM8K, other's gold": thin(shuffled_golds(gsm8k), wrong_rows)}
    sets[GSM8K_SET] = thin(datasets.labelled(data, GSM8K_SET), limit)
    if PEERS[name].math:
        math = thin(datasets.math(data), limit)
        sets |= {"MATH": math, "MATH, other's gold": thin(shuffled_golds(math), wrong_rows)}
        sets |= {one: thin(datasets.labelled(data, one), limit) for one in (*datasets.LABELLED, "hacks")}
    return sets


def errors(name: str, data: Path, limit: int | None) -> dict[str, list[dict]]:
    """Return each set's rows where the verdict is not the label; an exception is the verdict wrong."""
    peer = PEERS[name]
    scorer = peer.load()
    found = {}
    for title, rows in sets_for(name, data, limit).items():
        found[title] = []
        for row in rows:
            response = row.response(peer)
            outcome = timed_call(scorer, response, row.gold)
            if bool(outcome.verdict) != row.label:
                found[title].append(
                    {
                        "response": response[-200:],
                        "gold": row.gold[:200],
                        "label": row.label,
                        "rule": row.rule,
                        "soft": row.soft,
                        "error": outcome.error,
                    }
                )
    return found


def run(name: str, data: Path, limit: int | None) -> dict:
    """Return for each set the number of rows by label, and the wrong verdicts."""
    sizes = {title: Counter(row.label for row in rows) for title, rows in sets_for(name, data, limit).items()}
    found = in_child(errors, name, data, limit)
    return {
        title: {"right": sizes[title][True], "wrong": sizes[title][False], "errors": found[title]} for title in sizes
    }


def tables(result: dict, data: Path, limit: int | None) -> str:
    """Return the tables as Markdown."""
    labelled = [GSM8K_SET, *(one for one in datasets.LABELLED if one != GSM8K_SET)]
    both = {name: sets for name, sets in result.items() if "MATH" in sets}
    parts = [
        "### Own gold and another's gold\n",
        markdown(
            ["scorer", "GSM8K right", "of", "other's accepted", "of", "MATH right", "of", "other's accepted", "of"],
            [[name, *_recall(sets, "GSM8K"), *_recall(sets, "MATH")] for name, sets in result.items()],
        ),
        "\n### Labelled sets: right ones rejected / wrong ones accepted\n",
        markdown(
            ["scorer", *(_title(one, result) for one in labelled)],
            [[name, *(_misses(sets.get(one)) for one in labelled)] for name, sets in result.items()],
        ),
    ]
    if both:
        rows = thin(datasets.labelled(data, "metamorphic"), limit)
        hard = Counter(row.label for row in rows if not row.soft)
        hacks = Counter((row.rule, row.soft) for row in thin(datasets.labelled(data, "hacks"), limit))
        parts += [
            f"\n### Rewritten answers, hard rows only ({hard[True]} right, {hard[False]} wrong)\n",
            markdown(
                ["scorer", "right ones rejected", "wrong ones accepted"],
                [[name, *_hard(sets["metamorphic"]["errors"], hard)] for name, sets in both.items()],
            ),
            "\n### Rewritten answers: wrong verdicts per rule (policy rows too; rules without any left out)\n",
            _per_rule(both, rows),
            f"\n### Hack templates accepted (of {len(hacks)}, {sum(soft for _, soft in hacks)} of them policy)\n",
            _hacks(both, hacks),
        ]
    return "\n".join(parts)


def _recall(sets: dict, title: str) -> list[object]:
    if title not in sets:
        return ["-"] * 4
    own, other = sets[title], sets[f"{title}, other's gold"]
    return [own["right"] - len(own["errors"]), own["right"], len(other["errors"]), other["wrong"]]


def _title(one: str, result: dict) -> str:
    sizes = next((sets[one] for sets in result.values() if one in sets), None)
    return f"{one} ({sizes['right']}+ {sizes['wrong']}-)" if sizes else one


def _misses(entry: dict | None) -> str:
    if entry is None:
        return "-"
    rejected = sum(error["label"] for error in entry["errors"])
    return f"{rejected} / {len(entry['errors']) - rejected}"


def _hard(found: list[dict], hard: Counter) -> list[str]:
    wrong = Counter(error["label"] for error in found if not error["soft"])
    return [percent(wrong[True], hard[True]), percent(wrong[False], hard[False])]


def _per_rule(both: dict, rows: list[Row]) -> str:
    sizes = Counter(row.rule for row in rows)
    kinds = {row.rule: ("right" if row.label else "WRONG") + (", policy" if row.soft else "") for row in rows}
    counts = {name: Counter(error["rule"] for error in sets["metamorphic"]["errors"]) for name, sets in both.items()}
    return markdown(
        ["rule (what it makes)", "n", *both],
        [
            [f"{rule} ({kinds[rule]})", sizes[rule], *(counts[name][rule] or "·" for name in both)]
            for rule in sorted(sizes, key=lambda rule: (kinds[rule][0] == "r", rule))
            if any(counts[name][rule] for name in both)
        ],
    )


def _hacks(both: dict, sizes: Counter) -> str:
    counts = {name: Counter(error["rule"] for error in sets["hacks"]["errors"]) for name, sets in both.items()}
    totals = defaultdict(list)
    for count in counts.values():
        clear = [(rule, size) for (rule, soft), size in sizes.items() if not soft]
        totals["clear ones accepted for all golds"].append(sum(count[rule] == size for rule, size in clear))
        totals["clear ones accepted for any gold"].append(sum(count[rule] > 0 for rule, _ in clear))
    return markdown(
        ["template", "n", *both],
        [
            [rule + (" (policy)" if soft else ""), size, *(_share(count[rule], size) for count in counts.values())]
            for (rule, soft), size in sizes.items()
            if any(count[rule] for count in counts.values())
        ]
        + [[f"**{title}**", "", *row] for title, row in totals.items()],
    )


def _share(accepted: int, size: int) -> str:
    return "all" if accepted == size else str(accepted or "·")
