"""What is exported is what was trained, and what is something else is not exported."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from grpo_launchpad.export import NotProved, adapter, answers, checkpoint, proof
from grpo_launchpad.export.__main__ import export_model, main
from grpo_launchpad.models import TINY_FOLDER
from tests.grpo_launchpad.export.train import QUESTIONS

FORMS = [("full", 1), ("full", 2), ("hybrid", 2), ("adapter", 1), ("adapter", 2)]


def export(run) -> Path:
    return export_model(run.path, engine=False)


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.tensor(QUESTIONS)).logits.float()


def trainers_logits(run) -> torch.Tensor:
    return torch.load(run.path / "logits.pt").float()


@pytest.mark.parametrize(("case", "world_size"), FORMS)
def test_the_exported_model_computes_what_the_trainer_did(run, case, world_size):
    made = run(case, world_size)
    folder = export(made)
    assert folder == made.path / "export" / "step_2"
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.bfloat16
    if case == "adapter":
        peft = export_model(made.path, adapter_only=True)
        assert_rounded_no_worse_than_in_training(made, model, peft)
    else:
        assert logits(model).equal(trainers_logits(made))


def assert_rounded_no_worse_than_in_training(made, model, peft: Path) -> None:
    """The trainer rounds the base and the adapter, and adds their products; an export rounds the sum of both."""
    exact = AutoModelForCausalLM.from_pretrained(TINY_FOLDER, dtype=torch.float32)
    exact = logits(PeftModel.from_pretrained(exact, peft))
    base = AutoModelForCausalLM.from_pretrained(TINY_FOLDER, dtype=torch.bfloat16)
    errors = {
        name: (found - exact).square().mean().sqrt().item()
        for name, found in (("export", logits(model)), ("trainer", trainers_logits(made)), ("base", logits(base)))
    }
    assert errors["export"] < 1.25 * errors["trainer"], errors
    assert errors["base"] > 5 * errors["trainer"], errors


def test_the_folder_has_what_a_user_needs(run):
    folder = export(run())
    files = {file.name for file in folder.iterdir()}
    assert {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "chat_template.jinja",
        "generation_config.json",
    } <= files
    assert all(file.stat().st_mode & 0o044 == 0o044 for file in folder.iterdir()), "others can read it"
    question = [{"role": "user", "content": "1+2="}]
    ours, base = (AutoTokenizer.from_pretrained(each) for each in (folder, TINY_FOLDER))
    assert ours.apply_chat_template(question, tokenize=False) == base.apply_chat_template(question, tokenize=False)
    assert not list(folder.parent.glob(".*")), "no half-written folder is left"


def test_an_adapter_is_exported_as_peft_has_it(run):
    made = run("adapter", 2)
    folder = export_model(made.path, adapter_only=True)
    assert folder.name == "step_2.adapter"
    config = json.loads((folder / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], len(config["target_modules"])) == (4, 16, 6)
    assert "model.layers.1.mlp.down_proj" in config["target_modules"]
    base = AutoModelForCausalLM.from_pretrained(TINY_FOLDER, dtype=torch.bfloat16)
    assert_rounded_no_worse_than_in_training(made, PeftModel.from_pretrained(base, folder), folder)
    assert ModelCard.load(folder / "README.md").data.library_name == "peft"


@pytest.mark.parametrize(("spoilt", "said"), [(0.0, "the adapter adds nothing"), (float("inf"), "not finite")])
def test_an_adapter_that_is_worth_nothing_is_not_exported(run, capsys, spoilt, said):
    made = run("adapter", 1)
    shard = made.checkpoints / "global_step_2" / "actor" / "model_world_size_1_rank_0.pt"
    state = torch.load(shard, weights_only=False)
    for name, tensor in state.items():
        if "lora_B" in name:
            tensor.to_local().fill_(spoilt)
    torch.save(state, shard)
    assert main([str(made.path), "--adapter"]) == 1
    assert said in capsys.readouterr().err
    assert not (made.path / "export").exists()


def test_the_adapter_of_megatron_is_merged_into_the_base(run):
    made = run("adapter")
    actor = made.checkpoints / "global_step_2" / "actor"
    peft = export_model(made.path, out=made.path / "peft", adapter_only=True)
    (actor / "model").mkdir()
    shutil.move(actor / "huggingface", actor / "model" / "huggingface")
    shutil.copytree(peft, actor / "model" / "huggingface" / "adapter")
    (actor / "fsdp_config.json").unlink()
    write_manifest(actor, peft=True)
    assert_rounded_no_worse_than_in_training(made, AutoModelForCausalLM.from_pretrained(export(made)), peft)


def write_manifest(actor: Path, peft: bool) -> None:
    """Write what verl's Megatron manager writes of a checkpoint whose weights its bridge saved."""
    model = {"path": "model/huggingface", "format": "huggingface", "backend": "mbridge"}
    backend = {"has_bridge": True, "use_dist_checkpointing": False, "peft": peft}
    manifest = {"backend": backend, "contents": {"model": model}, "world_size": 1, "schema_version": 2}
    (actor / "ckpt_contents.json").write_text(json.dumps(manifest))


def as_megatron(run, weights: Path) -> None:
    """Make the run's checkpoint one of Megatron with these weights."""
    actor = run.checkpoints / "global_step_2" / "actor"
    shutil.rmtree(actor)
    shutil.copytree(weights, actor / "model" / "huggingface")
    write_manifest(actor, peft=False)


def test_megatrons_hugging_face_folder_is_taken_as_it_is(run):
    made = run()
    weights = export(made)
    as_megatron(made, weights)
    shutil.move(weights, made.path / "before")
    again = export(made)
    assert (again / "model.safetensors").read_bytes() == (made.path / "before" / "model.safetensors").read_bytes()


def test_the_base_model_passed_off_as_a_checkpoint_is_caught(run, capsys):
    made = run()
    as_megatron(made, TINY_FOLDER)
    assert main([str(made.path), "--no-engine"]) == 1
    assert "no tensor differs from the base model tiny-arithmetic" in capsys.readouterr().err
    assert not (made.path / "export").exists()


def proved(run, folder: Path, adapter_folder: Path | None = None) -> proof.Tensors:
    return proof.prove_tensors(checkpoint.find(run), folder, TINY_FOLDER, adapter_folder)


def test_every_tensor_is_counted(run):
    made = run("adapter", 2)
    folder = export(made)
    peft = export_model(made.path, adapter_only=True)
    assert proved(made, folder, peft) == proof.Tensors(
        total=26, parameters=460_544, changed=6, rounded_away=0, unchanged=20, as_the_checkpoint=True
    )
    full = run("full", 2)
    assert proved(full, export(full)) == proof.Tensors(26, 460_544, 26, 0, 0, True)


def change(folder: Path, how) -> None:
    """Change the tensors of a model's file in place."""
    file = folder / "model.safetensors"
    tensors = load_file(file)
    how(tensors)
    save_file(tensors, file, metadata={"format": "pt"})


NORM, QUERY = "model.norm.weight", "model.layers.1.self_attn.q_proj.weight"


def spoil_one(tensors):
    tensors[QUERY].view(torch.int16)[3, 5] ^= 1  # the last bit of one number


def lose_one(tensors):
    del tensors[NORM]


def not_finite(tensors):
    tensors[NORM][7] = float("nan")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (spoil_one, f"{QUERY} is not what the checkpoint of step 2 holds"),
        (lose_one, f"{NORM} is not read by transformers"),
        (not_finite, f"{NORM} is not finite: the training diverged"),
    ],
)
def test_a_tensor_that_is_not_the_checkpoints_is_named(run, how, said):
    made = run("full", 2)
    folder = export(made)
    change(folder, how)
    with pytest.raises(NotProved, match=said):
        proved(made, folder)


@pytest.mark.parametrize("what", ["the base", "another tensor", "twice the adapter"])
def test_a_merge_that_went_wrong_is_caught(run, what):
    made = run("adapter", 1)
    folder = export(made)
    peft = export_model(made.path, adapter_only=True)
    base = {name: tensor.bfloat16() for name, tensor in load_file(TINY_FOLDER / "model.safetensors").items()}
    if what == "the base":  # verl's merger
        change(folder, lambda tensors: tensors.update(base))
    elif what == "another tensor":
        change(folder, lambda tensors: tensors[NORM].mul_(1.01))
    else:
        change(folder, lambda tensors: tensors[QUERY].add_(tensors[QUERY] - base[QUERY]))
    with pytest.raises(NotProved, match="not what the checkpoint of step 2 holds"):
        proved(made, folder, peft)


def test_a_base_that_was_changed_after_the_training_is_caught(run, tmp_path, capsys):
    base = shutil.copytree(TINY_FOLDER, tmp_path / "base")
    made = run("adapter", 2, **{"actor_rollout_ref.model.path": str(base)})
    change(base, lambda tensors: tensors[QUERY].add_(1e-3))
    assert main([str(made.path), "--no-engine"]) == 1
    assert f"the base model {base} is not the one that the run trained" in capsys.readouterr().err


def test_the_formula_is_pefts(run):
    peft = export_model(run("adapter", 1).path, adapter_only=True)
    addition = adapter.Addition(peft)
    model = AutoModelForCausalLM.from_pretrained(TINY_FOLDER, dtype=torch.float32)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    after = PeftModel.from_pretrained(model, peft).merge_and_unload().state_dict()
    assert not addition.other
    for name, tensor in after.items():
        added = addition.of(name) if name in addition.parts else torch.zeros(())
        torch.testing.assert_close(tensor, before[name] + added, atol=1e-6, rtol=1e-5)


def record_answers(run, folder: Path) -> None:
    """Leave what a run records of a validation: greedy answers, here by transformers; before the training, others."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    run.rollouts("validation").mkdir(parents=True)
    now, before = [], []
    for index in range(16):
        text = f"{index + 10}+{7 * index + 1}="
        ids = tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        made = model.generate(**ids, max_new_tokens=8, do_sample=False)[0, ids["input_ids"].shape[1] :]
        now.append({"input": text, "output": tokenizer.decode(made, skip_special_tokens=True)})
        before.append({"input": text, "output": "7"})
    for step, lines in ((0, before), (2, now)):
        file = run.rollouts("validation") / f"{step}.jsonl"
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_the_rollout_engine_answers_as_recorded_or_nothing_is_exported(run, tmp_path, capsys):
    made = run("full", 2)
    record_answers(made, export(made))
    shutil.rmtree(made.path / "export")
    assert main([str(made.path), "--push", "no name"]) == 2
    capsys.readouterr()
    assert main([str(made.path)]) == 0
    folder = made.path / "export" / "step_2"
    out, err = capsys.readouterr()
    assert out == f"{folder}\n"
    assert "16 greedy answers of vLLM are those that the run recorded at step 2" in err
    assert "before the training the model answered 16 of them otherwise" in err
    assert export_model(made.path) == folder, "it is not made twice"
    found = checkpoint.find(made)
    with pytest.raises(NotProved, match="greedy answers are not those that the run recorded at step 2, such as to '"):
        answers.prove_answers(made, found, TINY_FOLDER, tmp_path)


def test_an_answer_may_part_only_where_two_tokens_are_as_good_as_equal(run, monkeypatch):
    """The recorded answer takes the second-best first token, and goes on greedily."""
    found = checkpoint.find(run("full", 1))
    tokenizer, model = AutoTokenizer.from_pretrained(TINY_FOLDER), answers._in_transformers(TINY_FOLDER, found)[1]
    prompt = QUESTIONS[0]

    def best(ids: list[int]) -> tuple[torch.Tensor, list[int]]:
        with torch.inference_mode():
            values, order = model(torch.tensor([ids])).logits[0, -1].float().sort(descending=True)
        return values, order.tolist()

    def greedy(ids: list[int]) -> list[int]:
        while len(ids) < 8 and (token := best(prompt + ids)[1][0]) not in tokenizer.all_special_ids:
            ids = [*ids, token]
        return ids

    values, order = best(prompt)
    gap = (values[0] - values[1]).item()
    assert gap > 0
    ours, recorded = greedy([order[0]]), tokenizer.decode(greedy([order[1]]))
    question = answers.Question(prompt, recorded, None)
    monkeypatch.setattr(answers, "TIE", gap)
    assert answers._is_tie(question, ours, found, TINY_FOLDER)
    assert not answers._is_tie(answers.Question(prompt, recorded + "0", None), ours, found, TINY_FOLDER)
    monkeypatch.setattr(answers, "TIE", 0.9 * gap)
    assert not answers._is_tie(question, ours, found, TINY_FOLDER)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"actor_rollout_ref.rollout.val_kwargs.temperature": 0.6}, "at temperature 0.6"),
        ({"actor_rollout_ref.rollout.agent.default_agent_loop": "tool_agent"}, "in several turns"),
        ({}, "no validation was recorded at step 2"),
    ],
)
def test_why_no_answer_is_compared_is_said(run, settings, reason):
    made = run("full", 1, **settings)
    found = checkpoint.find(made)
    questions, said = answers._questions(made, found, answers.Prompts(TINY_FOLDER))
    assert not questions
    assert reason in said


def test_the_card_is_the_hubs(run):
    made = run("full", 1)
    made.metrics(1).write_text(
        "".join(
            json.dumps({"step": step, "data": {"val-core/arithmetic/acc/mean@1": accuracy}}) + "\n"
            for step, accuracy in ((0, 0.5), (2, 0.75))
        )
    )
    card = ModelCard.load(export(made) / "README.md")
    assert card.data.license == "apache-2.0"
    assert card.data.base_model is None, "the tiny model is on no hub"
    [result] = card.data.eval_results
    assert (result.dataset_type, result.metric_type, result.metric_value) == ("arithmetic", "accuracy", 0.75)
    assert "| arithmetic | 50.0% | 75.0% |" in card.text
    assert "| reward | `correctness:1.0` |" in card.text
    assert "- Each is what the checkpoint of step 2 holds, rounded to bf16." in card.text
    assert "Trained with verl 0.9.1" in card.text
    assert "None" not in card.text
