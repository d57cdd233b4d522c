"""The one door: python -m grpo_launchpad VERB ..., or grpo-launchpad VERB ...

Each verb is a module with ``main(arguments) -> exit code`` and a help of its own; only the one that is asked for is
imported.
"""

import sys
from importlib import import_module

# verb -> (module, what it does)
VERBS = {
    "launch": ("grpo_launchpad.launch.verbs", "start, or resume, a launcher by its name"),
    "check": ("grpo_launchpad.launch.verbs", "check a launcher, and show where each of its values comes from"),
    "watch": ("grpo_launchpad.watch.__main__", "show what a run is doing, and what is wrong with it"),
    "evaluate": ("grpo_launchpad.evaluate.command", "measure models on held-out rows: pass@k, maj@k, with intervals"),
    "predict": ("grpo_launchpad.inference.predict", "ask a run's model, or any other, a question"),
    "chat": ("grpo_launchpad.inference.chat", "talk to a run's model, or any other, in the terminal"),
    "serve": (
        "grpo_launchpad.inference.serve",
        "serve a run's model, or any other, on this machine (OpenAI's interface)",
    ),
    "doctor": (
        "grpo_launchpad.doctor.__main__",
        "examine this machine: versions, devices, limits, disks, network, Ray",
    ),
    "plan": ("grpo_launchpad.estimate.plan_command", "find the layouts with which a model fits given devices"),
    "report": ("grpo_launchpad.report.__main__", "write the report of a run"),
    "export": ("grpo_launchpad.export.__main__", "write a run's model as a Hugging Face folder that proves itself"),
    "models": ("grpo_launchpad.models", "fetch or make a model, and print its folder"),
}


def usage() -> str:
    width = max(map(len, VERBS))
    lines = ["usage: grpo-launchpad VERB ...        (python -m grpo_launchpad VERB ...)", ""]
    lines += [f"  {verb:{width}}  {meaning}" for verb, (_, meaning) in VERBS.items()]
    lines += ["", "grpo-launchpad VERB --help tells more. The manual: docs/en, docs/zh"]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run a verb; return its exit code, 2 if there is no such verb."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if arguments else 2
    verb, *rest = arguments
    if verb not in VERBS:
        from difflib import get_close_matches

        near = get_close_matches(verb, VERBS, n=1)
        hint = f"; is {near[0]} meant?" if near else ""
        print(f"grpo-launchpad: there is no {verb!r}{hint}\n\n{usage()}", file=sys.stderr)
        return 2
    module = import_module(VERBS[verb][0])
    # The two verbs of a launcher share their module.
    return (module.main(verb, rest) if verb in ("launch", "check") else module.main(rest)) or 0


if __name__ == "__main__":
    sys.exit(main())
