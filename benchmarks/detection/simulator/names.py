"""Names of services, workers, tasks and tables: no two systems call their parts alike."""

from __future__ import annotations

import random
from dataclasses import dataclass

_DOMAINS = (
    ("transcoder", ("transcode", "thumbnail", "package", "probe", "subtitle"), "media", ("assets", "renditions")),
    ("billing", ("invoice", "charge", "refund", "dunning", "ledger"), "finance", ("invoices", "ledger_entries")),
    ("indexer", ("crawl", "parse", "index", "embed", "dedupe"), "search", ("documents", "postings")),
    ("mailer", ("render", "send", "bounce", "digest", "unsubscribe"), "post", ("messages", "recipients")),
    ("etl", ("extract", "transform", "load", "compact", "validate"), "warehouse", ("batches", "facts")),
    ("geo", ("route", "geocode", "tile", "match", "isochrone"), "maps", ("trips", "segments")),
    ("ml", ("train", "score", "featurize", "evaluate", "export"), "models", ("experiments", "features")),
    ("orders", ("reserve", "pick", "pack", "ship", "return"), "fulfilment", ("orders", "stock_items")),
    ("telemetry", ("decode", "enrich", "rollup", "archive", "replay"), "devices", ("readings", "devices")),
    ("scan", ("fetch", "unpack", "scan", "sign", "publish"), "packages", ("artifacts", "findings")),
)
_SERVICES = (
    "inventory",
    "pricing",
    "catalog",
    "identity",
    "quota",
    "geoip",
    "rates",
    "profile",
    "storage-gateway",
    "templates",
    "feature-store",
    "audit",
    "translations",
    "shipping-quotes",
    "token-vault",
    "preferences",
)
_ROLES = (
    ("scheduler", "worker"),
    ("coordinator", "agent"),
    ("dispatcher", "runner"),
    ("manager", "node"),
    ("master", "executor"),
)


@dataclass(slots=True)
class Names:
    """The names of one system."""

    system: str
    orchestrator_service: str
    worker_service: str
    tasks: tuple[str, ...]
    tables: tuple[str, ...]
    services: tuple[str, ...]
    database: str
    _style: int
    _rng: random.Random
    _given: int = 0

    @classmethod
    def draw(cls, rng: random.Random) -> Names:
        name, tasks, system, tables = rng.choice(_DOMAINS)
        orchestrator, worker = rng.choice(_ROLES)
        return cls(
            system=system,
            orchestrator_service=rng.choice((f"{name}-{orchestrator}", f"{system}-{orchestrator}", orchestrator)),
            worker_service=rng.choice((f"{name}-{worker}", f"{system}-{worker}", worker)),
            tasks=tuple(rng.sample(tasks, k=rng.randint(2, 4))),
            tables=tables,
            services=tuple(rng.sample(_SERVICES, k=6)),
            database=rng.choice((f"{system}-db", f"{name}-pg-0", "db.internal", f"10.0.{rng.randint(0, 9)}.5")),
            _style=rng.randrange(5),
            _rng=rng,
        )

    def worker(self) -> str:
        """The next worker's name, in the style of this system."""
        self._given += 1
        return self._in_style(self.worker_service, self._given)

    def instance(self, service: str, number: int) -> str:
        return self._in_style(service, number)

    def _in_style(self, service: str, number: int) -> str:
        rng = self._rng
        if self._style == 0:
            return f"{service}-{number}"
        if self._style == 1:
            return f"{service}-{rng.getrandbits(36):09x}-{''.join(rng.choices('bcdfghjklmnpqrstvwxz2456789', k=5))}"
        if self._style == 2:
            return f"ip-10-{rng.randint(0, 3)}-{rng.randint(0, 250)}-{number}.{service}"
        if self._style == 3:
            value = rng.getrandbits(128)
            text = f"{value:032x}"
            return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"
        return f"{service}@host{number:02d}"
