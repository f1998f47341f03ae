"""Climbs: whether a level rises as it never has before, and will go on to its limit.

A level that fills up for good is told from what rises and comes back (a garbage collector's saw-tooth, a tide, a
batch) by its own past, and from what rises and stays (a cache, a warm-up, one step) by its shape: a leak is a
steady climb, a cache grows ever more slowly, a step is over at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

_AGES = (4, 6, 9, 13, 20, 30, 44)
"""Cells since a climb may have begun."""
_WIDTHS = (1, 3, 9)
_LEAST_PAST = 8
_MOST_PAST = 40
_DROP = 0.3
_LEAST_DROP = 0.02
_MOST_DROPS = 0.2
_MOST_POINTS = 14
_NOISE = 0.004
_LEAST_ROOM = 0.05
_LEAST_RISE = 0.04
_LEAST_STEPS = 4.0
_LEAST_RECENT = 4
_SURE_Z = 3.0
_WANDER_Z = 1.0


class Climb(NamedTuple):
    """A climb as it stands: levels as shares of the limit, slopes per second.

    `share` of the room that there was is used up by it; `lasting` is how much of the rest it would use up if it
    went on to slow down as it has: 1 where it does not.
    """

    began_s: float
    base: float
    lowest: float
    level: float
    share: float
    lasting: float
    slope: float
    error: float

    def score(self, horizon_s: float) -> float:
        """The share of the room used up, if the rest is likely to be gone before the horizon too; less if not."""
        pace = self.slope - self.error
        left_s = (1.0 - self.level) / pace if pace > 0 else math.inf
        return self.share * self.lasting * min(1.0, horizon_s / max(1.0, left_s)) ** 2

    def seconds_to_limit(self) -> tuple[float, float, float]:
        """Until the limit at this pace: early, middle and late, the 10, 50 and 90 % bounds."""
        room = max(0.0, 1.0 - self.level)
        early, middle, late = (self.slope + z * self.error for z in (1.2816, 0.0, -1.2816))
        return tuple(room / pace if pace > 0 else math.inf for pace in (early, middle, late))  # type: ignore[return-value]  # three of them


class Busier:
    """How many times busier a source has been since a time than before: here, no busier."""

    def since(self, from_s: float, began_s: float) -> float:
        """Its load from `began_s` on, against that from `from_s` to then; at least 1."""
        return 1.0


def find_climb(times: Sequence[float], lows: Sequence[float], busier: Busier, horizon_s: float) -> Climb | None:
    """The likeliest of the climbs that may have begun at several times; None: there is none."""
    found = [*_over_floor(times, lows, busier), *_over_pace(times, lows, busier)]
    return max(found, key=lambda climb: climb.score(horizon_s), default=None)


def _over_floor(times: Sequence[float], lows: Sequence[float], busier: Busier) -> list[Climb]:
    """Climbs above everything before: for windows of several widths, the lowest now against the highest low ever.

    A saw-tooth whose period is shorter than a window has a steady low in it, whatever its height.
    """
    found = []
    count = len(lows)
    floors = {width: _floors(lows, width) for width in _WIDTHS if width <= count}
    for age in _AGES:
        past = count - age
        if past < max(_LEAST_PAST, age // 2):
            break
        begin = max(0, past - _MOST_PAST)
        if lows[-1] - min(lows[max(0, past - _WIDTHS[-1]) : past]) < _LEAST_RISE:
            continue
        base, above = _highest_floor(floors, past, age)
        if above <= _NOISE:
            continue
        pace = max(0.0, _pace(times[begin:past], lows[begin:past]))
        above -= pace * (times[-1] - times[past - 1])
        if above > _NOISE:
            above /= busier.since(times[begin], times[past - 1])
            climb = shape_of(times[past - 1 :], lows[past - 1 :], base, min(lows[:past]), above, pace)
            if climb is not None:
                found.append(climb)
    return found


def _floors(lows: Sequence[float], width: int) -> list[float]:
    """The lowest of each so many lows in a row."""
    return list(lows) if width == 1 else [min(lows[i : i + width]) for i in range(len(lows) - width + 1)]


def _highest_floor(floors: dict[int, list[float]], past: int, age: int) -> tuple[float, float]:
    """The highest floor before, and how far the present one is above it; of the width that shows it best."""
    base, above = 1.0, 0.0
    for width, all_floors in floors.items():
        if width > min(age, past) // 2:
            break
        before = all_floors[: past - width + 1]
        highest = max(before)
        over = all_floors[-1] - highest
        if over > above and over > _WANDER_Z * _wander(before, width) * math.sqrt(age / width):
            base, above = highest, over
    return base, above


def _wander(floors: Sequence[float], width: int) -> float:
    """How far floors have risen from one window to the next, as a root of mean squares: what walks, walks on."""
    rises = [max(0.0, floors[i] - floors[i - width]) for i in range(width, len(floors))]
    return math.sqrt(sum(rise * rise for rise in rises) / len(rises)) if rises else 0.0


def _over_pace(times: Sequence[float], lows: Sequence[float], busier: Busier) -> list[Climb]:
    """Climbs faster than before: the falls of a saw-tooth left out, against its usual pace at this load."""
    unrolled, falls = _unroll(lows)
    if not falls or len(falls) > _MOST_DROPS * len(lows):
        return []
    found = []
    count = len(lows)
    for age in _AGES:
        past = count - age
        if past < max(_LEAST_PAST, age // 2):
            break
        begin = max(0, past - _MOST_PAST)
        before_s, span_s = times[past - 1] - times[begin], times[-1] - times[past - 1]
        mean = (unrolled[past - 1] - unrolled[begin]) / before_s
        most = unrolled[-1] - unrolled[past - 1] - max(0.0, mean) * span_s
        least = _SURE_Z * _NOISE * math.sqrt(age)
        if most > least:
            steps = [b - a for a, b in zip(unrolled[begin : past - 1], unrolled[begin + 1 : past], strict=True)]
            deviation = math.sqrt(sum((step - mean * before_s / len(steps)) ** 2 for step in steps) / len(steps))
            least = max(least, _SURE_Z * deviation * math.sqrt(age))
        if most <= least:  # what follows takes time, and finds no more than that
            continue
        pace = max(0.0, mean, _pace(times[begin:past], unrolled[begin:past]))
        pace *= busier.since(times[begin], times[past - 1])
        lowest = min(lows[begin:past])
        above = _excess(times, lows, unrolled, past, pace, lowest, falls)
        if above <= least:
            continue
        base = min(lows[past - 1], lows[-1] - above)
        climb = shape_of(times[past - 1 :], unrolled[past - 1 :], base, lowest, above, pace, lows[-1])
        if climb is not None:
            found.append(climb)
    return found


def _unroll(lows: Sequence[float]) -> tuple[list[float], set[int]]:
    """The levels with their falls left out, and where those were."""
    unrolled, falls = [lows[0]], set()
    bottom = lows[0]
    for i in range(1, len(lows)):
        step = lows[i] - lows[i - 1]
        if step < -max(_LEAST_DROP, _DROP * (lows[i - 1] - bottom)):
            falls.add(i)
            bottom, step = lows[i], 0.0
        else:
            bottom = min(bottom, lows[i])
        unrolled.append(unrolled[-1] + step)
    return unrolled, falls


def _excess(
    times: Sequence[float],
    lows: Sequence[float],
    unrolled: Sequence[float],
    past: int,
    pace: float,
    lowest: float,
    falls: set[int],
) -> float:
    """How far the level has risen beyond its usual pace; after a fall, no more than it is above the lowest before."""
    above = 0.0
    for i in range(past, len(lows)):
        if i in falls:
            above = min(above, lows[i] - lowest)
        else:
            above += unrolled[i] - unrolled[i - 1] - pace * (times[i] - times[i - 1])
    return above


def shape_of(
    times: Sequence[float],
    levels: Sequence[float],
    base: float,
    lowest: float,
    above: float,
    pace: float,
    level: float | None = None,
) -> Climb | None:
    """What the course of a climb says of where it will go; None where it is no steady climb."""
    level = levels[-1] if level is None else level
    slope, error = _fit(times, levels)
    slope -= pace
    span_s = times[-1] - times[0]
    above = min(above, slope * span_s)
    if above <= 0.0 or _steps(levels) < _LEAST_STEPS:
        return None
    half = len(times) // 2
    first, first_error = _fit(times[: half + 1], levels[: half + 1])
    second, second_error = _fit(times[half:], levels[half:])
    share = above / max(_LEAST_ROOM, 1.0 - base)
    lasting = _lasting(first - pace, second - pace, math.hypot(first_error, second_error), span_s / 2.0, 1.0 - level)
    part = max(_LEAST_RECENT, len(times) // 3)
    recent, recent_error = _fit(times[-part:], levels[-part:])
    steepest = slope
    if len(times) > 2 * part:  # a begin guessed too early hides that it has slowed down since
        middle, middle_error = _fit(times[-2 * part : -part + 1], levels[-2 * part : -part + 1])
        steepest = max(slope, middle - pace - middle_error)
    steady = min(1.0, max(0.0, recent - pace + recent_error) / steepest)
    ahead = max(
        steepest * steady, min(second - pace, recent - pace + recent_error)
    )  # a begin guessed too early: steeper
    error = max(error, second_error)
    return Climb(times[0], base, lowest, level, min(1.0, share), lasting * steady**2, ahead + pace, error)


def _steps(levels: Sequence[float]) -> float:
    """In how many steps a level has risen, as the number of equal ones that would be as uneven."""
    rises = [max(0.0, b - a) for a, b in pairwise(levels)]
    squares = sum(rise * rise for rise in rises)
    return sum(rises) ** 2 / squares if squares else 0.0


def _lasting(first: float, second: float, error: float, half_s: float, room: float) -> float:
    """How much of the room is used up by what slows down from the first slope to the second, and on likewise."""
    if second <= 0.0:
        return 0.0
    slower = first - second - error
    if slower <= 0.0 or room <= 0.0:
        return 1.0
    last = max(0.0, second - slower / 2.0)
    return min(1.0, last * last * half_s / (2.0 * slower) / room)


def _fit(times: Sequence[float], levels: Sequence[float]) -> tuple[float, float]:
    """The median slope, and a standard error of it from what is left over."""
    slope = _pace(times, levels)
    count = len(times)
    if count < 3:
        return slope, abs(slope)
    mid = sum(times) / count
    middle = sum(levels) / count
    left = sum((level - middle - slope * (at - mid)) ** 2 for at, level in zip(times, levels, strict=True))
    spread = sum((at - mid) ** 2 for at in times)
    return slope, math.sqrt(max(left / (count - 2), _NOISE**2 / 4) / spread)


def _pace(times: Sequence[float], levels: Sequence[float]) -> float:
    """Theil and Sen's slope, of fourteen points at most: the median over pairs that are well apart."""
    count = len(times)
    step = max(1, -(-count // _MOST_POINTS))
    picked = range((count - 1) % step, count, step)
    apart = max(1, len(picked) // 3) * step
    slopes = sorted((levels[j] - levels[i]) / (times[j] - times[i]) for i in picked for j in picked if j - i >= apart)
    if not slopes:
        return 0.0
    middle = len(slopes) // 2
    return slopes[middle] if len(slopes) % 2 else (slopes[middle - 1] + slopes[middle]) / 2.0
