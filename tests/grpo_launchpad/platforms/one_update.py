"""GRPO updates of smoke models on verl's own engines, in real processes: one_update.py FOLDER < cases.json

Each case is one line of JSON: its name, a model and its layers, an engine ("megatron", "fsdp", or "transformers" for
plain Hugging Face in fp32), the number of processes and the engine's options. Its results are left in
FOLDER/<name>.<rank>.pt, what went wrong in FOLDER/<name>.log. Importing verl takes longer than a case, so all of them
are forks of this process.
"""

import json
import multiprocessing
import os
import socket
import sys
import traceback
from functools import partial
from pathlib import Path

os.environ |= {
    "VERL_PLATFORM": "cpu",
    "VERL_ENGINE_DEVICE": "cuda",
    "TORCHDYNAMO_DISABLE": "1",
    "CUDA_DEVICE_MAX_CONNECTIONS": "1",
    "OMP_NUM_THREADS": "1",
    "MASTER_ADDR": "127.0.0.1",
}

import torch
from verl.trainer.config import CheckpointConfig
from verl.utils import tensordict_utils
from verl.workers.config import (
    ActorConfig,
    FSDPEngineConfig,
    FSDPOptimizerConfig,
    HFModelConfig,
    McoreEngineConfig,
    McoreOptimizerConfig,
)
from verl.workers.engine import EngineRegistry
from verl.workers.utils.losses import ppo_loss

from grpo_launchpad import smoke_model
from grpo_launchpad.architectures import published

SAMPLES = 16
TOKENS_OF_A_MICRO_BATCH = 128


def build_model(name: str, layers: int, routed: bool, folder: Path) -> None:
    """Build a smoke model of so many layers, in which every expert is chosen unless it is to be routed.

    Which experts are the best ones may hang on a rounding, and then no two engines agree on every token.
    """
    smoke_model.SMALL_TEXT["num_hidden_layers"] = layers
    smoke_model.build(published(name), folder)
    if routed:
        return
    config = json.loads((folder / "config.json").read_text())
    experts = config.get("num_experts", config.get("n_routed_experts"))
    if experts:
        config["num_experts_per_tok"] = experts
    if "n_group" in config:
        config["n_group"] = config["topk_group"] = 1
    (folder / "config.json").write_text(json.dumps(config))


def samples() -> tuple[list[torch.Tensor], list[int], torch.Tensor]:
    """Return token ids, the lengths of their prompts, and an advantage for each sample.

    The ids are of bytes: Hugging Face's models do not train the embedding of the padding token.
    """
    random = torch.Generator().manual_seed(0)
    prompts = torch.randint(5, 30, (SAMPLES,), generator=random).tolist()
    responses = torch.randint(4, 17, (SAMPLES,), generator=random).tolist()
    ids = [
        torch.randint(0, 256, (prompt + response,), generator=random)
        for prompt, response in zip(prompts, responses, strict=True)
    ]
    return ids, prompts, 1 + torch.randn(SAMPLES, generator=random)  # a loss near 0 would be all rounding


def policy(folder: Path):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")


def log_probabilities(model, ids: torch.Tensor) -> torch.Tensor:
    """Return the log-probability of each token but the first."""
    logits = model(input_ids=ids[None]).logits[0, :-1]
    return logits.log_softmax(-1).gather(1, ids[1:, None])[:, 0]


def plain_update(folder: Path, options: dict) -> dict:
    """Return what Hugging Face's model in fp32 says: log-probabilities, the loss and its gradient's norm."""
    model = policy(folder)
    ids, prompts, advantages = samples()
    everything = [log_probabilities(model, sample) for sample in ids]
    new = [each[prompt - 1 :] for each, prompt in zip(everything, prompts, strict=True)]
    # On the first update the ratio is one everywhere, so the clipped objective is advantage x ratio, averaged.
    terms = [-advantage * (each - each.detach()).exp() for advantage, each in zip(advantages, new, strict=True)]
    loss = torch.cat(terms).mean()
    loss.backward()
    gradients = [weight.grad.norm() for weight in model.parameters() if weight.grad is not None]
    return {
        "log_probs": [each.detach() for each in everything],
        "loss": loss.item(),
        "grad_norm": torch.stack(gradients).norm().item(),
    }


def engine_update(engine_name: str, folder: Path, options: dict) -> dict:
    """Return the same from one of verl's engines, and its weights after one and two updates."""
    options = dict(options)
    checkpoint = options.pop("checkpoint", None)
    with torch.no_grad():
        model = policy(folder)
        ids, prompts, advantages = samples()
        old = [log_probabilities(model, sample)[prompt - 1 :] for sample, prompt in zip(ids, prompts, strict=True)]
    engine = build_engine(engine_name, folder, options)
    data = batch(ids, prompts, advantages, old, engine)
    result = {"data_parallel_rank": engine.get_data_parallel_rank(), "before": weights(engine)}
    with engine.eval_mode():
        inferred = engine.infer_batch(data.clone())
    if engine.is_mp_src_rank_with_outputs():
        result["log_probs"] = [sample.flatten()[:-1] for sample in inferred["model_output"]["log_probs"].unbind()]
    result |= update(engine, data)
    result["after"] = weights(engine)
    if checkpoint:
        engine.save_checkpoint(checkpoint)
        update(engine, data)
        result["after_two"] = weights(engine)
        engine.load_checkpoint(checkpoint, del_local_after_load=False)
        result["restored"] = weights(engine)
        update(engine, data)
        result["resumed"] = weights(engine)
    return result


def build_engine(name: str, folder: Path, options: dict):
    shared = {
        "use_dynamic_bsz": True,
        "max_token_len_per_gpu": TOKENS_OF_A_MICRO_BATCH,
        "infer_max_token_len_per_gpu": TOKENS_OF_A_MICRO_BATCH,
    }
    rate = {"lr": 1e-3, "lr_warmup_steps": 0, "total_training_steps": 10, "weight_decay": 0.0}
    if name == "megatron":
        model = HFModelConfig(path=str(folder), use_remove_padding=True)
        config = McoreEngineConfig(vanilla_mbridge=True, use_remove_padding=True, **shared, **options)
        optimizer = McoreOptimizerConfig(**rate)
    else:
        attention = {"attn_implementation": "sdpa"}
        model = HFModelConfig(path=str(folder), use_remove_padding=False, override_config=attention)
        config = FSDPEngineConfig(
            strategy="fsdp2", use_remove_padding=False, use_torch_compile=False, **shared, **options
        )
        optimizer = FSDPOptimizerConfig(**rate)
    model.model_type = "language_model"
    engine = EngineRegistry.new(
        model_type="language_model",
        backend=config.strategy,
        model_config=model,
        engine_config=config,
        optimizer_config=optimizer,
        checkpoint_config=CheckpointConfig(),
    )
    engine.initialize()
    return engine


def batch(ids, prompts, advantages, old, engine):
    """Return the samples of this rank, as verl's trainer hands them to a worker."""
    ranks, rank = engine.get_data_parallel_size(), engine.get_data_parallel_rank()
    mine = range(rank * SAMPLES // ranks, (rank + 1) * SAMPLES // ranks)

    def ragged(rows):
        return torch.nested.as_nested_tensor([rows[row] for row in mine], layout=torch.jagged)

    data = tensordict_utils.get_tensordict(
        {
            "input_ids": ragged(ids),
            "position_ids": ragged([torch.arange(len(sample)) for sample in ids]),
            "prompts": ragged([sample[:prompt] for sample, prompt in zip(ids, prompts, strict=True)]),
            "responses": ragged([sample[prompt:] for sample, prompt in zip(ids, prompts, strict=True)]),
            "loss_mask": ragged([torch.ones_like(each, dtype=torch.long) for each in old]),
            "response_mask": ragged([torch.ones_like(each, dtype=torch.long) for each in old]),
            "old_log_probs": ragged(old),
            "advantages": ragged([each.expand(len(row)) for each, row in zip(advantages, old, strict=True)]),
            "temperature": torch.ones(len(mine)),
        }
    )
    tensordict_utils.assign_non_tensor(
        data,
        use_dynamic_bsz=True,
        max_token_len_per_gpu=TOKENS_OF_A_MICRO_BATCH,
        use_fused_kernels=False,
        global_batch_size=SAMPLES,
    )
    return data


def update(engine, data) -> dict:
    """Do one optimizer step; return its loss and gradient norm on the ranks that know them."""
    actor = ActorConfig(strategy="fsdp2", rollout_n=1, use_dynamic_bsz=True, ppo_max_token_len_per_gpu=1)
    with engine.train_mode():
        done = engine.train_batch(data.clone(), loss_function=partial(ppo_loss, actor))
    if not engine.is_mp_src_rank_with_outputs():
        return {}
    return {"loss": sum(done["loss"]), "grad_norm": float(done["metrics"]["grad_norm"])}


def weights(engine) -> dict[str, torch.Tensor]:
    """Return the weights as they go to the rollout engine, under Hugging Face's names."""
    named, _ = engine.get_per_tensor_param()
    return {name: getattr(weight, "full_tensor", lambda w=weight: w)().detach().clone() for name, weight in named}


def model_folder(folder: Path, case: dict) -> Path:
    return folder / "models" / f"{case['model']} of {case['layers']} layers{', routed' if case['routed'] else ''}"


def run(case: dict, rank: int, port: int, folder: Path) -> None:
    """Do one case in this process, as one rank of it."""
    log = (folder / f"{case['name']}.log").open("a")
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    try:
        model = model_folder(folder, case)
        if case["engine"] == "transformers":
            result = plain_update(model, case["options"])
        else:
            ranks = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": case["processes"], "MASTER_PORT": port}
            os.environ |= {name: str(value) for name, value in ranks.items()}
            torch.distributed.init_process_group("gloo")
            result = engine_update(case["engine"], model, case["options"])
            torch.distributed.barrier()
        torch.save(result, folder / f"{case['name']}.{rank}.pt")
    except BaseException:
        traceback.print_exc()
        log.flush()
        os._exit(1)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def main(folder: Path) -> None:
    fork = multiprocessing.get_context("fork")
    for line in sys.stdin:
        case = json.loads(line)
        model = model_folder(folder, case)
        if not model.exists():
            builder = fork.Process(target=build_model, args=(case["model"], case["layers"], case["routed"], model))
            builder.start()
            builder.join()
        port = free_port()
        workers = [fork.Process(target=run, args=(case, rank, port, folder)) for rank in range(case["processes"])]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(timeout=300)
            worker.kill()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
