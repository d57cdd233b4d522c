"""verl 0.9.1 beside TRL 1.13 and newer: verl's FSDP engine asks an installed TRL for a model that those no longer have.

Without this, no FSDP launcher starts in an environment with such a TRL: "cannot import name
'AutoModelForCausalLMWithValueHead'". verl loads this module in every process through its entry-point group
``verl.plugins``. GRPO has no value head, and verl goes on without TRL if it finds none.
"""

import importlib.util
from pathlib import Path

import wrapt


@wrapt.when_imported("verl.utils.import_utils")
def pass_over_a_trl_without_value_heads(import_utils) -> None:
    """What is missing is ``trl.experimental.ppo``, which ``verl/models/transformers/monkey_patch.py`` imports."""
    trl = importlib.util.find_spec("trl")
    if trl and not any(Path(folder, "experimental", "ppo").is_dir() for folder in trl.submodule_search_locations):
        import_utils.is_trl_available = lambda: False
