"""Two accounts of one alert, of two times or two sources, as one."""

from __future__ import annotations

from otel_monitor_processors.alerts.alert import Alert, State


def merged(known: Alert, alert: Alert) -> Alert:
    """One alert from two accounts of it: overlapping episodes are one, of the earliest start and the latest end."""
    if known.resolved_at is not None and alert.active_at >= known.resolved_at:
        return alert  # another episode
    first = known if known.active_at <= alert.active_at else alert
    fired = [at for at in (known.fired_at, alert.fired_at) if at is not None]
    ended = [at for at in (known.resolved_at, alert.resolved_at) if at is not None and alert.state is State.RESOLVED]
    return alert.but(
        id=first.id,
        active_at=first.active_at,
        fired_at=min(fired, default=None),
        resolved_at=max(ended, default=None),
    )
