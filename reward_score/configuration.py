"""Which options belong to which scorer, and whether a reward's configuration can work, to be asked before a run."""

from collections.abc import Iterable, Mapping
from functools import cache

from reward_score.components import check_options, option_hints
from reward_score.composition import Composition, plain
from reward_score.data_sources import TASKS, check_data_sources, load, nearest, task_of

# What verl adds to the call of a reward function when a reward model runs beside it.
ADDED_BY_VERL = ("reward_router_address", "reward_model_tokenizer")


def check_configuration(
    data_sources: Iterable[str], rewards: object = None, options: Mapping[str, object] | None = None
) -> Composition:
    """Check before a run that every row can be scored as configured.

    Args:
        data_sources: the data sources of the rows; none if they are not known yet, so that any will do.
        rewards: what ``Composition.parse`` reads.
        options: options of the task scorers. With several data sources, an option goes to each task that has it.

    Returns:
        The composition.

    Raises:
        UnknownDataSourceError: for data sources without a scorer.
        ValueError: for a composition that cannot be read, or an option that no scorer has, that one cannot take, or
            that changes nothing but the task's score, which a composition without ``task`` does not ask for.
    """
    data_sources = list(data_sources)
    check_data_sources(data_sources)
    composition = Composition.parse(rewards)
    tasks = sorted({task_of(source) for source in data_sources})
    scorers = {task: load(TASKS[task].scorer) for task in tasks or TASKS}
    given = {name: plain(value) for name, value in (options or {}).items() if name not in ADDED_BY_VERL}
    known = {name for scorer in scorers.values() for name in option_hints(scorer)}
    score_options = {name for task in scorers for name in TASKS[task].score_options}
    for name, value in given.items():
        if name not in known:
            there_are = f"there are: {', '.join(sorted(known))}" if known else "there are none"
            which = f"the scorer of {', '.join(tasks)} has no" if tasks else "no scorer has the"
            raise ValueError(f"{which} option '{name}'{nearest(name, known)}; {there_are}")
        if name in score_options and composition.terms and "task" not in composition.names():
            raise ValueError(
                f"{name}={value!r} has no effect: it changes the task's own score, which the rewards '{composition}' "
                "do not name; remove it, and write format:<weight> into them"
            )
    for task in tasks:
        scorer = scorers[task]
        own = {name: value for name, value in given.items() if name in option_hints(scorer)}
        check_options(scorer, own, f"the scorer of task '{task}'")
        try:
            scorer("", TASKS[task].example, **own)
        except (ValueError, TypeError) as error:  # the scorer knows which values are possible
            raise ValueError(f"the scorer of task '{task}': {error}") from error
    return composition


def options_of(data_source: object, options: Mapping[str, object]) -> dict[str, object]:
    """Return those options that the data source's scorer has to see: its own, and any that no scorer has.

    Options of other tasks' scorers are left out, so that one set of options serves rows of several tasks.
    """
    task = task_of(data_source)
    if task is None:
        return dict(options)
    own = option_hints(load(TASKS[task].scorer))
    return {
        name: plain(value)
        for name, value in options.items()
        if name not in ADDED_BY_VERL and (name in own or not _is_an_option_somewhere(name))
    }


@cache
def _is_an_option_somewhere(name: str) -> bool:
    return any(name in option_hints(load(task.scorer)) for task in TASKS.values())
