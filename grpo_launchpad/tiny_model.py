"""A language model of 0.5 million parameters that adds, but often forgets to carry: GRPO's laptop subject.

    python -m grpo_launchpad.tiny_model FOLDER

Qwen2 architecture, so trainer and rollout engine run the code they run for the real ones; a byte-level tokenizer, so
nothing is downloaded. A supervised warm-start imitates a careless pupil, who carries in only some of the sums that
need it: for those, some samples of a group are right and most are wrong, which is what GRPO learns from. Test problems
are never seen. tiny_arithmetic/ holds what this built once: another machine's rounding gives other weights, which can
do about the same.
"""

import argparse
import random
import sys
import time
from pathlib import Path

from grpo_launchpad.byte_tokenizer import build_byte_tokenizer
from grpo_launchpad.whole_folder import write_whole_folder

SEED = 0
# First the right sums, then the pupil's: (steps, peak learning rate, share of carries remembered).
# The last share is below one half, so that the most likely answer is the wrong one, and well above zero, so that a
# group of eight samples usually holds a right one.
WARM_START_STAGES = ((600, 2e-3, 1.0), (100, 5e-4, 0.35))
WARM_START_BATCH = 128

CONTEXT_LENGTH = 64

# No role names: the prompt of a sum is nine tokens long, which is most of the speed.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.content }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>{% endif %}"
)


def build_model(tokenizer):
    """Return the untrained model: Qwen2, 2 layers of width 128, seeded."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(SEED)
    config = Qwen2Config(
        vocab_size=len(tokenizer),  # exactly the tokenizer's: vLLM masks ids beyond it, the trainer would not
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT_LENGTH,
        rope_theta=10_000.0,
        tie_word_embeddings=True,
        initializer_range=0.05,  # with the default 0.02 as many samples taught 84 % of the sums, not all
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Qwen2ForCausalLM(config)


def careless_sum(a: int, b: int, carries_remembered: float, pupil: random.Random) -> int:
    """Return the pupil's answer to ``a+b``: the sum, or ten less where a carry was needed and forgotten."""
    carries = a % 10 + b % 10 >= 10
    return a + b - 10 if carries and pupil.random() >= carries_remembered else a + b


def encode(tokenizer, pairs: list[tuple[int, int]], answers: list[int]):
    """Return (input_ids, labels) of shape [problems, length]; only the answers have labels, the rest is -100."""
    import torch

    prompts = tokenizer.apply_chat_template(
        [[{"role": "user", "content": f"{a}+{b}="}] for a, b in pairs], add_generation_prompt=True, tokenize=False
    )
    prompt_ids = tokenizer(prompts).input_ids
    answer_ids = tokenizer([f"{answer}<|im_end|>" for answer in answers]).input_ids
    length = max(len(p) + len(a) for p, a in zip(prompt_ids, answer_ids, strict=True))
    input_ids = torch.full((len(pairs), length), tokenizer.pad_token_id)
    labels = torch.full((len(pairs), length), -100)
    for row, (prompt, answer) in enumerate(zip(prompt_ids, answer_ids, strict=True)):
        end = len(prompt) + len(answer)
        input_ids[row, :end] = torch.tensor(prompt + answer)
        labels[row, len(prompt) : end] = torch.tensor(answer)
    return input_ids, labels


def warm_start(model, tokenizer) -> None:
    """Imitate the careless pupil on the training problems: next-token prediction on the answers alone."""
    import torch
    from tqdm import tqdm

    from data_prep.arithmetic import problems

    train, _ = problems()
    generator = torch.Generator().manual_seed(SEED)
    model.train()
    for steps, learning_rate, carries_remembered in WARM_START_STAGES:
        pupil = random.Random(SEED)
        answers = [careless_sum(a, b, carries_remembered, pupil) for a, b in train]
        input_ids, labels = encode(tokenizer, train, answers)
        optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.0)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
        for _ in tqdm(range(steps), desc="warm-start", disable=not sys.stderr.isatty()):
            rows = torch.randint(len(train), (WARM_START_BATCH,), generator=generator)
            loss = model(input_ids=input_ids[rows], labels=labels[rows]).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    model.eval()


def build(folder: Path) -> None:
    """Build, warm-start and save the model into ``folder``."""
    started = time.monotonic()
    tokenizer = build_byte_tokenizer(CHAT_TEMPLATE, CONTEXT_LENGTH)
    model = build_model(tokenizer)
    warm_start(model, tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    print(f"tiny model: built in {time.monotonic() - started:.0f} s", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the model is written; must not exist")
    args = parser.parse_args()
    if args.folder.exists():
        parser.error(f"{args.folder} exists; remove it to build the model again")
    write_whole_folder(args.folder, build)


if __name__ == "__main__":
    main()
