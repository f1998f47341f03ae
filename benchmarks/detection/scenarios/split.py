"""Seeds for fitting, for tuning and for reporting: kept apart by construction."""

from __future__ import annotations

from enum import StrEnum

_SIZE = 1_000_000
_HALF = _SIZE // 2


class Split(StrEnum):
    """What a scenario may be used for."""

    FIT = "fit"
    """Fitting the detectors' constants."""
    TUNE = "tune"
    """Choosing between variants, and tuning the simple thresholds that the detectors are compared with."""
    REPORT = "report"
    """What is published. Some mechanisms and events occur here only."""

    @property
    def seeds(self) -> range:
        """The seeds of this split: in the lower half something fails, in the upper half nothing does."""
        first = 1 + _SIZE * list(Split).index(self)
        return range(first, first + _SIZE)

    def failing(self, count: int) -> range:
        """The seeds of the first `count` scenarios in which something fails."""
        return range(self.seeds.start, self.seeds.start + count)

    def healthy(self, count: int) -> range:
        """The seeds of the first `count` scenarios in which nothing fails."""
        return range(self.seeds.start + _HALF, self.seeds.start + _HALF + count)

    @classmethod
    def of(cls, seed: int) -> Split:
        """The split that a seed belongs to.

        Raises:
            ValueError: it belongs to none.
        """
        for split in cls:
            if seed in split.seeds:
                return split
        raise ValueError(f"seed {seed} belongs to no split; they begin at 1 and end at {cls.REPORT.seeds[-1]}")


def number_of(seed: int) -> tuple[int, bool]:
    """Which one of its half of its split a seed is, and whether something fails there."""
    number = (seed - 1) % _SIZE
    return number % _HALF, number < _HALF
