"""Statistics that detectors and rules share: pure, incremental, bounded."""

from __future__ import annotations

import math
from typing import Any

_SKETCH_SCALE = 4
_SKETCH_BASE_LN = math.log(2.0) * 2.0**-_SKETCH_SCALE
_SMALLEST = 1e-9
_ASYMPTOTIC_Z = 8.0


class LogSketch:
    """Counts in logarithmic buckets of base 2^(2^-4): quantiles within 2.2 % of the true value.

    The base is one of an OpenTelemetry exponential histogram's (scale 4), so that buckets convert exactly.
    Method as in DDSketch (Masson, Rim, Lee: VLDB 2019).
    """

    __slots__ = ("buckets", "count")

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}
        self.count = 0

    def add(self, value: float) -> None:
        index = math.ceil(math.log(value if value > _SMALLEST else _SMALLEST) / _SKETCH_BASE_LN)
        buckets = self.buckets
        buckets[index] = buckets.get(index, 0) + 1
        self.count += 1

    def merge(self, other: LogSketch) -> None:
        buckets = self.buckets
        for index, count in other.buckets.items():
            buckets[index] = buckets.get(index, 0) + count
        self.count += other.count

    def quantile(self, q: float) -> float:
        """The `q` quantile, 0 when nothing was added."""
        if not self.count:
            return 0.0
        rank = q * (self.count - 1)
        seen = 0
        for index in sorted(self.buckets):
            seen += self.buckets[index]
            if seen > rank:
                return 2.0 * math.exp(index * _SKETCH_BASE_LN) / (math.exp(_SKETCH_BASE_LN) + 1.0)
        return 0.0


class Baseline:
    """Mean and deviation of a quantity, the past fading away exponentially; it starts from a prior.

    `memory` is the number of values after which a value's weight has fallen to 1/e.
    """

    __slots__ = ("count", "mean", "memory", "variance")

    def __init__(self, memory: int, mean: float = 0.0, variance: float = 0.0) -> None:
        self.memory = memory
        self.count = 0
        self.mean = mean
        self.variance = variance

    def add(self, value: float) -> None:
        self.count += 1
        weight = 1.0 / min(self.count, self.memory)
        delta = value - self.mean
        self.mean += weight * delta
        self.variance = (1.0 - weight) * (self.variance + weight * delta * delta)

    @property
    def deviation(self) -> float:
        return math.sqrt(self.variance)

    def dump(self) -> list[float]:
        return [self.memory, self.count, self.mean, self.variance]

    @classmethod
    def load(cls, state: list[Any]) -> Baseline:
        baseline = cls(int(state[0]), float(state[2]), float(state[3]))
        baseline.count = int(state[1])
        return baseline


def log10_normal_tail(z: float) -> float:
    """log10 of P(Z > z) for a standard normal Z, also where the probability itself would underflow.

    Beyond z = 8 the first term of the asymptotic series, exp(-z²/2) / (z √(2π)).
    """
    if z < _ASYMPTOTIC_Z:
        return math.log10(0.5 * math.erfc(z / math.sqrt(2.0)))
    return -(z * z / 2.0 + math.log(z * math.sqrt(2.0 * math.pi))) / math.log(10.0)


def confidence_bound(log10_p: float) -> float:
    """The highest confidence that a p-value allows: 1 / (1 - e p ln p), for p < 1/e, else 0.5.

    Source: Sellke, Bayarri, Berger, "Calibration of p values" (The American Statistician 55, 2001), with even
    prior odds. Serves until a confidence is calibrated on data.
    """
    if log10_p >= math.log10(1.0 / math.e):
        return 0.5
    p = 10.0 ** max(log10_p, -300.0)
    confidence: float = 1.0 / (1.0 - math.e * p * math.log(p))
    return confidence
