"""Statistics that detectors and rules share: pure, incremental, bounded."""

from __future__ import annotations

import math
from math import ceil, log
from typing import Any

_SKETCH_SCALE = 4
_SKETCH_BASE_LN = math.log(2.0) * 2.0**-_SKETCH_SCALE
_SMALLEST = 1e-9
_ASYMPTOTIC_Z = 8.0
_LN10 = math.log(10.0)


class LogSketch:
    """Counts in logarithmic buckets of base 2^(2^-4): quantiles within 2.2 % of the true value.

    The base is one of an OpenTelemetry exponential histogram's (scale 4), so that buckets convert exactly.
    Method as in DDSketch (Masson, Rim, Lee: VLDB 2019).
    """

    __slots__ = ("buckets", "count")

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}
        self.count = 0

    def append(self, value: float) -> None:
        """Count a value; named as what adds one to a list or an array of values."""
        index = ceil(log(value if value > _SMALLEST else _SMALLEST) / _SKETCH_BASE_LN)
        buckets = self.buckets
        buckets[index] = buckets.get(index, 0) + 1
        self.count += 1

    def merge(self, other: LogSketch) -> None:
        buckets = self.buckets
        for index, count in other.buckets.items():
            buckets[index] = buckets.get(index, 0) + count
        self.count += other.count

    def above(self, value: float) -> int:
        """How many are `value` or more, those counted along that are within the sketch's error of it."""
        lowest = math.ceil(math.log(max(value, _SMALLEST)) / _SKETCH_BASE_LN) - 1
        return sum([count for index, count in self.buckets.items() if index >= lowest])

    def halve(self) -> None:
        """Let the past weigh half: recent values count for more."""
        self.buckets = {index: count // 2 for index, count in self.buckets.items() if count > 1}
        self.count = sum(self.buckets.values())

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

    def dump(self) -> list[tuple[int, int]]:
        return sorted(self.buckets.items())

    @classmethod
    def load(cls, state: list[Any]) -> LogSketch:
        sketch = cls()
        sketch.buckets = {int(index): int(count) for index, count in state}
        sketch.count = sum(sketch.buckets.values())
        return sketch


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


def log10_binomial_tail(k: int, n: int, p: float) -> float:
    """An upper bound on log10 P(X >= k) for X ~ Binomial(n, p): Chernoff's, exp(-n KL(k/n || p)).

    It errs on the side of no alarm, by less than a factor of about √n.
    """
    if n <= 0 or k <= n * p:
        return 0.0
    share = k / n
    p = min(max(p, 1e-12), 1.0 - 1e-12)
    divergence = share * math.log(share / p)
    if share < 1.0:
        divergence += (1.0 - share) * math.log((1.0 - share) / (1.0 - p))
    return -n * divergence / _LN10


def log10_poisson_tail(k: float, mean: float) -> float:
    """An upper bound on log10 P(X >= k) for X ~ Poisson(mean): Chernoff's, exp(k - mean - k ln(k / mean))."""
    if k <= mean:
        return 0.0
    return (k - mean - k * math.log(k / max(mean, 1e-12))) / _LN10


def log10_negative_binomial_tail(k: float, mean: float, shape: float) -> float:
    """An upper bound on log10 P(X >= k) for a Poisson X whose rate is itself a guess, with a Gamma law of `shape`.

    Chernoff's: exp((k + r) ln((k + r) / (m + r)) - k ln(k / m)). The greater the shape, the better known the rate,
    and the nearer the law to Poisson's; with a shape of 1 the rate may as well be any up to a few times the mean.
    """
    if k <= mean:
        return 0.0
    mean = max(mean, 1e-12)
    return ((k + shape) * math.log((k + shape) / (mean + shape)) - k * math.log(k / mean)) / _LN10


def log10_choose(n: int, k: int) -> float:
    """log10 of the number of ways to choose `k` of `n`: the price of having chosen the worst `k` afterwards."""
    if not 0 <= k <= n:
        return 0.0
    return (math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)) / _LN10
