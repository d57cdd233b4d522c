"""The versions of the packages that decide what a training computes."""

from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("verl", "vllm", "torch", "transformers", "peft", "megatron-core")


def installed() -> dict[str, str]:
    """Return package -> version, of those that are installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
