"""The fenced blocks of a page of the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Example:
    """One block: where it begins, in which language, and what it says."""

    page: Path
    line: int
    language: str
    text: str


def examples(page: Path, *languages: str) -> Iterator[Example]:
    """The blocks of a page that are written in one of `languages`, in order."""
    content = page.read_text(encoding="utf-8")
    for block in _BLOCK.finditer(content):
        if block[1] in languages:
            yield Example(page, content.count("\n", 0, block.start()) + 1, block[1], block[2])


def pages(repository: Path) -> list[Path]:
    """Everything that a user may read."""
    return sorted([*repository.glob("*.md"), *(repository / "docs").rglob("*.md")])
