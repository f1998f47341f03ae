"""Resources by the names that metrics give them: of what kind they are."""

from __future__ import annotations

from functools import lru_cache

_FAMILIES = (
    ("cpu", ("cpu",)),
    ("memory", ("memory", "heap", "rss")),
    ("file_descriptors", ("file_desc", "descriptor", "fds", "open_files")),
    ("threads", ("thread",)),
    ("disk", ("disk", "filesystem", "volume", "storage")),
    ("connections", ("connection", "pool", "session")),
)


@lru_cache(maxsize=4_096)
def family_of(resource: str) -> str:
    """What sort of resource it is; its own name where that says nothing."""
    name = resource.partition(",")[0].lower()
    return next((family for family, words in _FAMILIES if any(word in name for word in words)), name)


def is_rate(resource: str) -> bool:
    """Whether it is busy or not, and does not fill up."""
    return family_of(resource) == "cpu"
