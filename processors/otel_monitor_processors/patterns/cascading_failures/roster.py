"""The roster: whose instance each source is, and which sources give out tasks."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

_MAX_SOURCES = 10_000


class Roster:
    """What is known of sources for good."""

    def __init__(self) -> None:
        self.dropped = 0
        self.service_of: OrderedDict[str, str] = OrderedDict()
        self.orchestrators: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self.service_of)

    def enter(self, source: str, service: str) -> None:
        """A source that has not been heard of before."""
        if len(self.service_of) >= _MAX_SOURCES:
            self.service_of.popitem(last=False)
            self.dropped += 1
        self.service_of[source] = service

    def orchestrates(self, source: str) -> None:
        """It gives out tasks: if it does not reach a worker, that is not a failure of its own."""
        if source not in self.orchestrators:
            if len(self.orchestrators) >= _MAX_SOURCES:
                self.orchestrators.popitem(last=False)
                self.dropped += 1
            self.orchestrators[source] = None

    def reset(self) -> None:
        self.service_of.clear()
        self.orchestrators.clear()
        self.dropped = 0

    def dump(self) -> dict[str, Any]:
        return {
            "dropped": self.dropped,
            "service_of": list(self.service_of.items()),
            "orchestrators": list(self.orchestrators),
        }

    def load(self, state: dict[str, Any]) -> None:
        self.reset()
        self.dropped = state["dropped"]
        self.service_of.update((source, service) for source, service in state["service_of"])
        self.orchestrators.update(dict.fromkeys(state["orchestrators"]))
