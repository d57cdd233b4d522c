"""What the installed verl, vLLM and Megatron-Core accept, read from their source: importing them takes many seconds."""

import ast
import functools
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

Words = frozenset[str]


@functools.cache
def folder_of(package: str) -> Path | None:
    """Return the folder of an installed package ("verl", "megatron.core"), or None if it is not installed."""
    first, *rest = package.split(".")
    spec = find_spec(first)
    if spec is None or not spec.submodule_search_locations:
        return None
    folders = (Path(place).joinpath(*rest) for place in spec.submodule_search_locations)
    return next((folder for folder in folders if folder.is_dir()), None)


@functools.cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _files(package: str, place: str) -> list[Path]:
    folder = folder_of(package)
    return sorted(folder.glob(place)) if folder else []


def _nodes(package: str, place: str, inside: str = "") -> Iterator[ast.AST]:
    """Yield the nodes of files, or of the class or function of a name in them."""
    for file in _files(package, place):
        tree: ast.AST = tree_of(file)
        if inside:
            named = (node for node in ast.walk(tree) if getattr(node, "name", None) == inside)
            tree = next(named, ast.Module(body=[], type_ignores=[]))
        yield from ast.walk(tree)


def _name(node: ast.AST | None) -> str:
    """Return the last part of a name: "resume_mode" of self.config.trainer.resume_mode."""
    return getattr(node, "attr", None) or getattr(node, "id", "")


def _texts(node: ast.AST | None) -> Words:
    """Return the texts of a list, set, tuple or dictionary that is written out; of a dictionary's tuples, the first."""
    elements = getattr(node, "keys", None) or getattr(node, "elts", None) or ([node] if node else [])
    elements = [each.elts[0] if isinstance(each, ast.Tuple) else each for each in elements]
    return frozenset(each.value for each in elements if isinstance(each, ast.Constant) and isinstance(each.value, str))


def registered(package: str, place: str, decorator: str) -> Words:
    """Return the names under which functions or classes are registered: ``@register("name")``."""
    found: set[str] = set()
    for node in _nodes(package, place):
        for each in getattr(node, "decorator_list", ()):
            if isinstance(each, ast.Call) and _name(each.func) == decorator and each.args:
                found |= _texts(each.args[0])
    return frozenset(found)


def assigned(package: str, place: str, *names: str) -> Words:
    """Return the texts in the collections that are assigned to names."""
    found: set[str] = set()
    for node in _nodes(package, place):
        targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
        if isinstance(node, ast.Assign | ast.AnnAssign) and any(_name(target) in names for target in targets):
            found |= _texts(node.value)
    return frozenset(found)


def compared(package: str, place: str, name: str, inside: str = "") -> Words:
    """Return the texts with which a name is compared: ``name == "text"``, ``name in ["text", ...]``."""
    found: set[str] = set()
    for node in _nodes(package, place, inside):
        if isinstance(node, ast.Compare) and _name(node.left) == name:
            found |= _texts(node.comparators[0])
    return frozenset(found)


def sought_in(package: str, place: str, collection: str) -> Words:
    """Return the texts that are looked for in a collection: ``"text" in self.collection``."""
    found: set[str] = set()
    for node in _nodes(package, place):
        if isinstance(node, ast.Compare) and _name(node.comparators[0]) == collection:
            found |= _texts(node.left)
    return frozenset(found)


def members(package: str, place: str, enumeration: str) -> Words:
    """Return the values of an enumeration."""
    found: set[str] = set()
    for node in _nodes(package, place, enumeration):
        if isinstance(node, ast.Assign):
            found |= _texts(node.value)
    return frozenset(found)


@functools.cache
def fields_of(target: str) -> Words:
    """Return the fields of a dataclass, those of its bases included; none if it is not found.

    Args:
        target: its whole name, as verl's configuration has it in ``_target_``.
    """
    package, _, name = target.partition(".")
    folder = folder_of(package) if name else None
    if folder is None:
        return frozenset()
    module = Path(*name.split(".")[:-1])
    files = [folder / module.with_suffix(".py"), *sorted((folder / module).glob("*.py")), folder / "base_config.py"]
    classes = {
        node.name: node
        for file in files
        if file.is_file()
        for node in tree_of(file).body
        if isinstance(node, ast.ClassDef)
    }
    found: set[str] = set()
    waiting, seen = [name.rpartition(".")[2]], set()
    while waiting:
        each = waiting.pop()
        if each in seen or each not in classes:
            continue
        seen.add(each)
        found |= {_name(line.target) for line in classes[each].body if isinstance(line, ast.AnnAssign)}
        waiting += [_name(base) for base in classes[each].bases]
    return frozenset(found)


@functools.cache
def is_asked_for(package: str, section: str, name: str) -> bool:
    """Say whether any source file of a package asks a configuration for a key.

    Args:
        package: the package.
        section: the part of the configuration that the key is in ("data").
        name: the key's own name.
    """
    word = re.escape(name)
    asked = re.compile(
        rf"""(?:config|\b{re.escape(section)})(?:\.get\(\s*["']|\[["']|\.){word}\b|select\([^)]*["'][\w.]*\b{word}["']"""
    )
    return any(asked.search(file.read_text(encoding="utf-8", errors="replace")) for file in _files(package, "**/*.py"))
