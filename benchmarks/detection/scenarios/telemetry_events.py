"""What happens to the telemetry and not to the system."""

from __future__ import annotations

from benchmarks.detection.scenarios.background import Setting, background
from benchmarks.detection.simulator.failure import MISTAKES
from benchmarks.detection.simulator.kernel import Body


@background("pause of the Collector")
def collector_pause(setting: Setting) -> Body[None]:
    """It writes nothing for a while, and then everything at once."""
    collector = setting.instrumentation.collector
    collector.paused = True
    yield setting.rng.uniform(10.0, 90.0)
    collector.paused = False
    yield 30.0


@background("outage of the Collector", alone=True)
def collector_outage(setting: Setting) -> Body[None]:
    """What is sent to it meanwhile is lost."""
    collector = setting.instrumentation.collector
    collector.down = True
    yield setting.rng.uniform(15.0, 90.0)
    collector.down = False
    yield 30.0


@background("a clock that runs ahead")
def clock_skew(setting: Setting) -> Body[None]:
    """A worker's clock is corrected by a jump, drifts, or both."""
    rng = setting.rng
    worker = setting.worker()
    if worker is None:
        return
    offset_s = rng.choice((-1.0, 1.0)) * rng.choice((0.5, 2.0, 5.0, 20.0)) * rng.uniform(0.5, 1.0)
    for step in range(10):
        worker.clock_offset_s = offset_s * (step + 1) / 10
        yield rng.uniform(5.0, 30.0)
    yield rng.uniform(60.0, 300.0)
    worker.clock_offset_s = 0.0
    yield 30.0


@background("noise in the logs")
def log_noise(setting: Setting) -> Body[None]:
    """A library writes errors that mean nothing."""
    rng = setting.rng
    noisy = rng.sample(setting.world.living(), k=max(1, len(setting.world.living()) // 3))
    until = setting.now + rng.uniform(60.0, 300.0)
    while setting.now < until:
        for worker in noisy:
            if worker.alive and rng.random() < 0.5:
                setting.instrumentation.logged(worker, 17, "cannot parse header, using default", rng.choice(MISTAKES))
        yield rng.uniform(0.5, 4.0)


@background("change of the sampling")
def sampling_change(setting: Setting) -> Body[None]:
    """From now on one trace in ten is kept, or all of them again."""
    instrumentation = setting.instrumentation
    before = instrumentation.sampling
    instrumentation.sampling = 0.1 if before > 0.5 else 1.0
    yield setting.rng.uniform(300.0, 900.0)
    instrumentation.sampling = before
