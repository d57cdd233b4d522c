"""An override of Hydra, taken apart: "++data.seed=1" sets the key data.seed."""


def key_of(override: str) -> str:
    """Return the key that an override sets, adds or deletes."""
    return override.split("=", 1)[0].lstrip("+~")


def backend_of(overrides: list[str]) -> str:
    """Return which of the launchers' backends the overrides choose: "fsdp" or "megatron"."""
    engines = [override for override in overrides if override.startswith("model_engine=")]
    return "megatron" if engines and engines[-1] == "model_engine=megatron" else "fsdp"
