"""README.md of an exported model: the model card, in the Hugging Face hub's format."""

import contextlib
import hashlib
import json
import math
import re
from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from huggingface_hub.errors import HfHubHTTPError

from grpo_launchpad import models
from grpo_launchpad.export.answers import Answers
from grpo_launchpad.export.checkpoint import MODEL, Checkpoint
from grpo_launchpad.export.proof import Tensors
from grpo_launchpad.report.figures import learning_curve
from grpo_launchpad.report.run_folder import Run
from grpo_launchpad.report.summary import accuracies
from grpo_launchpad.runs.versions import installed

TEMPLATE = Path(__file__).with_name("card.md.j2")
_ON_A_HUB = re.compile(r"[\w.-]+/[\w.-]+")
ACTOR, ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
TRAINING = (
    ("estimator", "algorithm.adv_estimator"),
    ("prompts a step", "data.train_batch_size"),
    ("answers a prompt", f"{ROLLOUT}.n"),
    ("prompts an update", f"{ACTOR}.ppo_mini_batch_size"),
    ("learning rate", f"{ACTOR}.optim.lr"),
    ("prompt, response (tokens)", ("data.max_prompt_length", "data.max_response_length")),
    ("temperature", f"{ROLLOUT}.temperature"),
    ("reward", "reward.custom_reward_function.reward_kwargs.rewards"),
)


def write(
    folder: Path, run: Run, checkpoint: Checkpoint, base: Path, tensors: Tensors | int, answers: Answers | None
) -> None:
    """Write the card of an export into its folder, and the learning curve beside it.

    Args:
        folder: with the export.
        run: that trained it.
        checkpoint: that was exported.
        base: the folder of the model that was trained.
        tensors: what was found of them; of an adapter alone, how many layers it changes.
        answers: what was found of the answers; None if the rollout engine was not started.
    """
    is_adapter = isinstance(tensors, int)
    curve = learning_curve(run)
    if curve:
        (folder / "learning_curve.svg").write_text(curve, encoding="utf-8")
    on_hub = bool(_ON_A_HUB.fullmatch(checkpoint.base)) and not Path(checkpoint.base).exists()
    scores = _scores(run, checkpoint.step)
    data = [_file(Path(file).expanduser()) for file in _listed(checkpoint.setting("data.train_files"))]
    licence = _licence(checkpoint.base, base)
    picture = (base / "preprocessor_config.json").exists()
    name = f"{run.identity.get('name')}, step {checkpoint.step}"
    card = ModelCardData(
        model_name=name,
        base_model=checkpoint.base if on_hub else None,
        base_model_relation=("adapter" if is_adapter else "finetune") if on_hub else None,
        library_name="peft" if is_adapter else "transformers",
        pipeline_tag="image-text-to-text" if picture else "text-generation",
        license=licence,
        datasets=sorted({file["hub"] for file in data if file.get("hub")}) or None,
        tags=["grpo", "verl", "reinforcement-learning"],
        eval_results=[
            EvalResult("text-generation", source, source, "accuracy", after, dataset_split="test")
            for source, (_, after) in scores.items()
        ],
    )
    ModelCard.from_template(
        card,
        template_path=str(TEMPLATE),
        name=name,
        base_link=f"[{checkpoint.base}](https://huggingface.co/{checkpoint.base})" if on_hub else f"`{base.name}`",
        task=run.identity.get("task"),
        step=checkpoint.step,
        run=run.identity.get("name"),
        adapter=is_adapter,
        scores=[
            {"data": source, "before": "not measured" if before is None else f"{before:.1%}", "after": f"{after:.1%}"}
            for source, (before, after) in scores.items()
        ],
        greedy=not checkpoint.setting(f"{ROLLOUT}.val_kwargs.temperature", 0),
        curve=bool(curve),
        training=_training(checkpoint),
        data=data,
        checks=checks(checkpoint, tensors, answers),
        versions=_versions(run),
        licence=(
            f"That of the base model: {licence}."
            if licence
            else "That of the base model, whose folder does not name it; look at the base model's page."
        ),
    ).save(folder / "README.md")


def checks(checkpoint: Checkpoint, tensors: Tensors | int, answers: Answers | None) -> list[str]:
    """Return what was checked of an export and what was found, one sentence each; arguments as ``write`` has them."""
    if isinstance(tensors, int):
        return [f"All numbers are finite, and {tensors} layers of the base model are changed."]
    found = [f"{tensors.total} tensors, {tensors.parameters:,} parameters, all finite; transformers loads them all."]
    if tensors.as_the_checkpoint:
        found.append(f"Each is what the checkpoint of step {checkpoint.step} holds, rounded to bf16.")
    line = f"{tensors.changed} differ from the base model"
    if tensors.rounded_away:
        line += f"; {tensors.rounded_away} were changed by less than bf16 can hold"
    found.append(line + (f"; {tensors.unchanged} are the base model's." if tensors.unchanged else "."))
    if answers is None:
        found.append("The rollout engine was not asked.")
    elif answers.reason:
        found.append(f"vLLM loads it. No answer was compared with the run's: {answers.reason}.")
    else:
        line = f"{answers.compared} greedy answers of vLLM are those that the run recorded at step {checkpoint.step}"
        if answers.ties:
            line += f", {answers.ties} of them up to a choice between two equally likely tokens"
        if answers.changed_by_training is not None:
            line += f"; before the training the model answered {answers.changed_by_training} of them otherwise"
        found.append(line + ".")
    return found


def _training(checkpoint: Checkpoint) -> list[tuple[str, str]]:
    rows = []
    for name, keys in TRAINING:
        values = [checkpoint.setting(key) for key in ((keys,) if isinstance(keys, str) else keys)]
        if None not in values:
            rows.append((name, ", ".join(f"`{value}`" for value in values)))
    coefficient = checkpoint.setting(f"{ACTOR}.kl_loss_coef")
    rows.append(("KL loss", f"`{coefficient}`" if checkpoint.setting(f"{ACTOR}.use_kl_loss") else "none"))
    if rank := checkpoint.setting(f"{MODEL}.lora_rank") or checkpoint.setting(f"{MODEL}.lora.rank"):
        rows.append(("LoRA rank", f"`{rank}`"))
    return rows


def _scores(run: Run, step: int) -> dict[str, tuple[float | None, float]]:
    """Return data source -> accuracy before the training, if measured, and at a step."""
    by_step = accuracies(run)
    first = by_step.get(0, {})
    return {
        source: (first.get(source), value) for source, value in by_step.get(step, {}).items() if math.isfinite(value)
    }


def _file(path: Path) -> dict:
    """Return a data file's digest, and its source and rows if data_prep's manifest knows it."""
    from data_prep.pipeline.manifest import NAME

    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return {"name": path.name, "sha256": "not there any more"}
    found = {"name": path.name, "sha256": digest}
    # Data that data_prep did not make have no manifest, or another program's: then the digest is all that is known.
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        manifest = json.loads((path.parent / NAME).read_text(encoding="utf-8"))
        for split in manifest["splits"].values():
            for file in split["files"]:
                if file["sha256"] == digest:
                    source = split["source"]
                    revision = f" at revision `{source['revision']}`" if source["revision"] else ""
                    hub = source["name"] if _ON_A_HUB.fullmatch(source["name"]) else None
                    title = manifest["title"] if not hub else f"[{hub}](https://huggingface.co/datasets/{hub})"
                    found |= {"rows": f"{file['rows']:,}", "source": title + revision, "hub": hub}
    return found


def _licence(name: str, base: Path) -> str | None:
    """Return the base model's licence as its card names it, or None."""
    if name in (models.TINY, models.PACKAGED):
        return "apache-2.0"
    try:
        return ModelCard.load(base / "README.md").data.license if (base / "README.md").is_file() else None
    except (ValueError, HfHubHTTPError):
        return None


def _versions(run: Run) -> str:
    """Return the packages that trained the model, as the run recorded them, or else those that exported it."""
    trained = run.identity.get("versions")
    found = trained if isinstance(trained, dict) else installed()
    text = ", ".join(f"{name} {number}" for name, number in found.items())
    return f"{'Trained' if trained else 'Exported'} with {text}."


def _listed(files) -> list[str]:
    return [files] if isinstance(files, str) else list(files or [])
