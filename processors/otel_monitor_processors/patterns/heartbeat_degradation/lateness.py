"""Lateness: how sure it is that the gaps between a worker's heartbeats are longer than they used to be."""

from __future__ import annotations

import math
from typing import Any

SHORTEST_TRIAL_S = 2.9
"""Gaps so close together are one trial: one pause, or one blip of the network, makes several of them long."""
FREEZE = 4.0
"""Evidence, in nats, above which nothing is learned of what is normal."""
CAP = 18.0
"""Evidence does not grow beyond it: what is over is seen to be over soon."""
_LIKELY = 0.6
"""The share of long trials in a rhythm that is degraded."""
_MOST = 0.8
LEAST = 0.001
"""No share of long trials is believed to be smaller, however long nothing has happened."""
LEAST_MISSED = 0.1
"""The same for gaps of two, three and more intervals exactly: each may come of a record that was lost."""
_SEVERAL = 2
_RARER = 0.125
"""One pause makes one gap long: trials in which most of several are long are so much rarer when all is well."""
_PRIOR_TRIALS = 50.0
_PRIOR_SHARE = 0.02
_FLEET_PRIOR = 40.0
_MISSING_OF = 80.0
_OWN_MEMORY = 800.0
_FLEET_MEMORY = 40_000.0
_NEVER = -math.inf


class Habit:
    """How often a trial was long in the past: of one worker, or of all together. Old trials fade away.

    `skips` were long by whole intervals: records that may have been lost, and no late heartbeats. `missing` is the
    share of heartbeats that were lately not seen at all, though those around them came in time.
    """

    __slots__ = ("longs", "memory", "missing", "skips", "trials")

    def __init__(self, memory: float = _FLEET_MEMORY) -> None:
        self.memory = memory
        self.trials = 0.0
        self.longs = 0.0
        self.skips = 0.0
        self.missing = 0.0

    def miss(self, missed: int) -> None:
        """A heartbeat was seen, and `missed` before it were not."""
        if not missed and not self.missing:
            return
        weight = min(0.5, (missed + 1.0) / _MISSING_OF)
        self.missing += weight * (missed / (missed + 1.0) - self.missing)

    def add(self, trials: float, longs: float, skips: float) -> None:
        self.trials += trials
        self.longs += longs
        self.skips += skips
        if self.trials > self.memory:
            self.trials *= 0.5
            self.longs *= 0.5
            self.skips *= 0.5

    @property
    def share(self) -> float:
        return (self.longs + _FLEET_PRIOR * _PRIOR_SHARE) / (self.trials + _FLEET_PRIOR)

    @property
    def skipped(self) -> float:
        return self.skips / (self.trials + _FLEET_PRIOR)

    def dump(self) -> list[float]:
        return [self.memory, self.trials, self.longs, self.skips, self.missing]

    @classmethod
    def load(cls, state: list[Any]) -> Habit:
        habit = cls(state[0])
        habit.trials, habit.longs, habit.skips, habit.missing = state[1:]
        return habit


class Lateness:
    """Wald's cumulative sum of log-likelihood ratios over trials, each of which was long or was not.

    Under what is normal for the worker (its own past, drawn towards the fleet's) a trial is long with a small
    probability, in a degraded rhythm more often than not. The mean run to a false alarm at `evidence` h is at
    least e^h trials (Lorden, Annals of Mathematical Statistics 42, 1971). What happens while the evidence is up
    counts as normal only if it came to nothing.
    """

    __slots__ = (
        "_began",
        "_gaps",
        "_held_longs",
        "_held_skips",
        "_held_trials",
        "_least",
        "_longs",
        "evidence",
        "own",
        "peak",
    )

    def __init__(self) -> None:
        self.evidence = 0.0
        self.peak = 0.0
        self.own = Habit(_OWN_MEMORY)
        self._began = _NEVER
        self._least = 0.0
        self._gaps = 0
        self._longs = 0
        self._held_trials = 0
        self._held_longs = 0
        self._held_skips = 0

    def gap(self, at: float, least: float, fleet: Habit, counts: int = 1) -> bool:
        """A gap has ended at `at`, a long one if its `least` normal share is not 0; very long ones count for more.

        True: so has a trial, and the evidence is another.
        """
        self._gaps += 1
        if least:
            self._longs += counts
            if not self._least or least < self._least:
                self._least = least
        if at - self._began < SHORTEST_TRIAL_S:
            return False
        mostly = self._longs >= _SEVERAL and 2 * (self._longs - 1) >= self._gaps
        least, self._least, self._began = self._least, 0.0, at
        self._gaps = self._longs = 0
        self._weigh(least, fleet, _RARER if mostly else 1.0)
        return True

    def _weigh(self, least: float, fleet: Habit, rarity: float) -> None:
        before = self.evidence
        if not least and before <= 0.0:
            for habit in (self.own, fleet):
                habit.trials += 1.0
                if habit.trials > habit.memory:
                    habit.add(0.0, 0.0, 0.0)
            return
        skipped = least >= LEAST_MISSED
        step = self._step(least, fleet, rarity)
        if step is None:
            step = before = self.evidence = 0.0
        self.evidence = min(CAP, max(0.0, before + step))
        self.peak = max(self.peak, self.evidence)
        if before > FREEZE:
            self._held_trials += 1
            self._held_longs += least > 0.0 and not skipped
            self._held_skips += skipped
        else:
            self.own.add(1.0, least > 0.0 and not skipped, skipped)
            fleet.add(1.0, least > 0.0 and not skipped, skipped)
        if self.evidence <= 0.0:
            self._settle(fleet)

    def _step(self, least: float, fleet: Habit, rarity: float) -> float | None:
        """What a trial says, in nats; None where long and short ones alike are what is normal."""
        own = self.own
        trials = own.trials + _PRIOR_TRIALS
        late = (own.longs + _PRIOR_TRIALS * fleet.share) / trials
        skipped = (own.skips + _PRIOR_TRIALS * fleet.skipped) / trials
        likely = max(_LIKELY, 1.5 * (late + skipped))
        if likely > _MOST:
            return None
        if not least:
            return math.log((1.0 - likely) / (1.0 - max(LEAST, late + skipped)))
        return math.log(likely / max(least, (late + skipped if least >= LEAST_MISSED else late) * rarity))

    def _settle(self, fleet: Habit) -> None:
        """It is over. If it was too little for an alarm, it was part of what is normal."""
        if self.peak < CAP / 2.0 and self._held_trials:
            for habit in (self.own, fleet):
                habit.add(self._held_trials, self._held_longs, self._held_skips)
        self._held_trials = self._held_longs = self._held_skips = 0
        self.peak = 0.0

    @property
    def frozen(self) -> bool:
        return self.evidence > FREEZE

    def clear(self) -> None:
        """Start anew: what was suspected has been explained."""
        self.evidence = self.peak = 0.0
        self._held_trials = self._held_longs = self._held_skips = 0
        self._least = 0.0
        self._gaps = self._longs = 0

    def dump(self) -> list[Any]:
        began = self._began if math.isfinite(self._began) else None
        held = [self._held_trials, self._held_longs, self._held_skips]
        trial = [self._least, self._gaps, self._longs]
        return [self.evidence, self.peak, self.own.dump(), began, trial, held]

    @classmethod
    def load(cls, state: list[Any]) -> Lateness:
        lateness = cls()
        lateness.evidence, lateness.peak, own, began, trial, held = state
        lateness._least, lateness._gaps, lateness._longs = trial
        lateness.own = Habit.load(own)
        lateness._began = -math.inf if began is None else began
        lateness._held_trials, lateness._held_longs, lateness._held_skips = held
        return lateness
