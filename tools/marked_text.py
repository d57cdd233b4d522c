"""Generated text between two markers of a Markdown file: <!-- NAME: COMMAND --> ... <!-- end of NAME -->."""

import re
from pathlib import Path


def with_marked_text(path: Path, name: str, text: str, content: str | None = None) -> str:
    """Return a file's content with new text between the markers of this name.

    Args:
        path: the file.
        name: of the markers.
        text: new, Markdown.
        content: what the file is going to contain, if that is no longer what it contains now.

    Raises:
        ValueError: if the file has no such markers; the message says which to write.
    """
    content = path.read_text(encoding="utf-8") if content is None else content
    marked = re.compile(rf"(<!-- {name}: [^\n]* -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    content, count = marked.subn(lambda found: f"{found[1]}\n{text.strip()}\n\n{found[2]}", content)
    if count != 1:
        raise ValueError(f"{path}: write '<!-- {name}: how it is made -->' and '<!-- end of {name} -->', once each")
    return content


def update(wanted: dict[Path, str], *, check: bool) -> list[Path]:
    """Write the files whose content differs; if ``check``, write nothing. Return those that differed."""
    stale = [path for path, content in wanted.items() if path.read_text(encoding="utf-8") != content]
    if not check:
        for path in stale:
            path.write_text(wanted[path], encoding="utf-8")
    return stale
