"""From a run's checkpoint to one Hugging Face folder that has proved what it is.

checkpoint.py    which steps are complete, and what one holds
shards.py        the tensors of FSDP shards, whole, one at a time
adapter.py       the adapter (LoRA) as PEFT has it, and what it adds to the base
model_folder.py  writes the folder: weights, tokenizer, chat template, generation config
proof.py         the tensors against the checkpoint and the base; loading in transformers
answers.py       the rollout engine's greedy answers against those that the run recorded
card.py          README.md: the model card
"""


class CannotExport(Exception):
    """Nothing can be exported as asked; the text says why and what to do."""


class NotProved(Exception):
    """What was written is not what the run trained; the text says in what."""
