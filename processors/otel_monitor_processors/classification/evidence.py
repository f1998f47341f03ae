"""What one exception says by itself: by its codes, its class, its text."""

from __future__ import annotations

from typing import Final, NamedTuple

from otel_monitor_processors.classification.category import Meaning
from otel_monitor_processors.classification.foreign import (
    ancestors_of,
    namespace_of,
    own_attributes_of,
    qualified_name,
    text_of,
)
from otel_monitor_processors.classification.messages import text_meaning
from otel_monitor_processors.classification.readers import (
    COMMON_NAMES,
    OTHER_ERRNOS,
    READERS,
    TELL_BY_TEXT,
    Reader,
    read_common_names,
    read_errno,
)
from otel_monitor_processors.classification.type_names import TYPE_NAMES, WRAPPERS

WRAPPED_IN: Final = ("orig", "reason", "exc", "cause", "os_error", "original_exception")
"""Where exceptions keep the one they stand for: SQLAlchemy; urllib3 and urllib; billiard; Ray; aiohttp; PyMySQL."""

_KEPT_CLASSES: Final = 1024
_WORTH_READING: Final = frozenset({*WRAPPED_IN, *COMMON_NAMES, "__getattr__", "__getattribute__"})


class ClassEvidence(NamedTuple):
    """What a class says about every exception of it."""

    of: type
    meaning: Meaning | None
    is_wrapper: bool
    is_group: bool
    is_bare: bool
    reads_common_names: bool
    tells_by_text: bool
    readers: tuple[Reader, ...]


_kept: dict[int, ClassEvidence] = {}


def class_evidence(kind: type) -> ClassEvidence:
    """The evidence of a class, found once. Kept by identity: a metaclass may forbid hashing and comparing."""
    kept = _kept.get(id(kind))
    if kept is not None and kept.of is kind:
        return kept
    if len(_kept) >= _KEPT_CLASSES:  # Ray, for one, makes a class per error
        _kept.clear()
    evidence = _kept[id(kind)] = _examine(kind)
    return evidence


def own_meaning(error: BaseException, evidence: ClassEvidence) -> tuple[Meaning | None, bool]:
    """What `error` says without its causes, and whether they may know better."""
    for read in evidence.readers:
        meaning = read(error)
        if meaning is not None:
            return meaning, False
    if evidence.meaning is not None and not evidence.is_wrapper:
        return evidence.meaning, False
    if evidence.reads_common_names and may_carry(error, evidence):
        meaning = read_common_names(error)
        if meaning is not None:
            return meaning, False
    if evidence.tells_by_text:
        by_text = text_meaning(text_of(error))
        if by_text is not None and by_text is not evidence.meaning:
            return by_text, False
    return evidence.meaning, evidence.is_wrapper


def may_carry(error: BaseException, evidence: ClassEvidence) -> bool:
    """Whether `error` may have any attribute worth reading; most have none, which is cheap to see."""
    return not evidence.is_bare or bool(own_attributes_of(error))


def _examine(kind: type) -> ClassEvidence:
    ancestors = ancestors_of(kind)
    names = [qualified_name(ancestor) for ancestor in ancestors]
    known = next((name for name in names if name in TYPE_NAMES), "")
    coded = [name for name in names if name in READERS]
    readers = dict.fromkeys(READERS[name] for name in coded)
    if not OTHER_ERRNOS.isdisjoint(names):
        readers.pop(read_errno, None)
    own_classes = [ancestor for ancestor, name in zip(ancestors, names, strict=True) if _is_of_a_library(name)]
    return ClassEvidence(
        of=kind,
        meaning=TYPE_NAMES.get(known),
        is_wrapper=known in WRAPPERS,
        is_group=issubclass(kind, BaseExceptionGroup),
        is_bare=all(_WORTH_READING.isdisjoint(namespace_of(own)) for own in own_classes),
        reads_common_names=not known and not any(map(_is_of_a_library, coded)),
        tells_by_text=known in WRAPPERS or not TELL_BY_TEXT.isdisjoint(names),
        readers=tuple(readers),
    )


def _is_of_a_library(name: str) -> bool:
    """Whether the class is none of Python's built-in ones."""
    return "." in name or not name
