"""YAML with the lines that its parts stand on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otel_monitor.errors import OtelMonitorError, Problem

if TYPE_CHECKING:
    import yaml

Parts = Sequence[object]
"""A place in the document: keys and indexes, from the top."""


@dataclass(frozen=True, slots=True)
class YamlSource:
    """A file that has been read: what it holds, and what is needed to say where."""

    path: Path
    document: Any
    _root: yaml.Node | None

    def problem(self, parts: Parts, message: str) -> Problem:
        """Something is wrong at a place: said with its file, its line and its path."""
        return Problem(_path(parts), message, f"{self.path}:{self._line(parts)}")

    def given_twice(self) -> Iterator[Problem]:
        """Every key that its mapping has already: YAML would pass over the first one in silence."""
        if self._root is not None:
            for parts in _repeated(self._root, []):
                yield self.problem(parts, "given twice")

    def _line(self, parts: Parts) -> int:
        """The line of a place, counted from 1; of what is not there the line of what it should be in."""
        node, mark = self._root, self._root.start_mark.line if self._root is not None else 0
        for part in parts:
            found = _below(node, part)
            if found is None:
                break
            node, mark = found
        return mark + 1


def read(path: Path) -> YamlSource:
    """Read a file.

    Raises:
        OtelMonitorError: it cannot be read, is no YAML, or PyYAML is missing.
    """
    try:
        import yaml
    except ImportError:
        raise OtelMonitorError("rules test reads YAML: pip install 'otel-monitor[rules-test]'") from None
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        return YamlSource(path, loader.construct_document(root) if root is not None else None, root)
    except OSError as error:
        raise OtelMonitorError(f"cannot read {path}: {error.strerror or error}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise OtelMonitorError(f"{path} is not YAML: {error}") from None


def _below(node: yaml.Node | None, part: object) -> tuple[yaml.Node, int] | None:
    """What stands in a node under a key or an index, and the line that it begins on, with its key."""
    import yaml

    if isinstance(node, yaml.MappingNode):
        for key, value in reversed(node.value):
            if key.value == str(part):
                return value, key.start_mark.line
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        item = node.value[part]
        return item, item.start_mark.line
    return None


def _repeated(node: yaml.Node, parts: list[object]) -> Iterator[list[object]]:
    import yaml

    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _repeated(item, [*parts, index])
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield [*parts, key.value]
            seen.add(key.value)
            yield from _repeated(value, [*parts, key.value])


def _path(parts: Parts) -> str:
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "(top level)"
