import re
from pathlib import Path

from reward_score.components import COMPONENTS
from reward_score.data_sources import SCORERS, TASKS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "en" / "rewards.md").read_text(encoding="utf-8")


def test_the_page_names_every_data_source_and_its_module():
    table = PAGE.split("## Tasks")[1].split("## Mathematics")[0]
    prefixes = tuple(re.findall(r"`(\w+_)\*`", table))
    for source in SCORERS:
        assert f"`{source}`" in table or source.startswith(prefixes), source
    for task in TASKS.values():
        assert f"`{task.scorer.split(':')[0].removeprefix('reward_score.')}`" in table


def test_the_page_names_every_component():
    for name in COMPONENTS:
        assert f"`{name}`" in PAGE, name
