"""`otel-monitor alerts test`: a test message through each channel, and what becomes of it."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from otel_monitor.channels.trial import Trial
    from otel_monitor.settings import Settings


def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Try out the channels that `arguments` name, or all, and print each outcome as it comes."""
    from otel_monitor.channels.catalogue import channels_of
    from otel_monitor.channels.trial import try_out

    there = channels_of(settings, immediate_console=False)
    unknown = [name for name in arguments.channels if name not in there]
    for name in unknown:
        sys.stderr.write(f"otel-monitor: no channel {name!r}; there is: {', '.join(there) or 'none'}\n")
    if unknown:
        return 2
    trials: list[Trial] = []
    for trial in try_out({name: there[name] for name in arguments.channels or there}, time.time()):
        trials.append(trial)
        if arguments.output == "human":
            outcome = "delivered" if trial.delivered else "not delivered"
            print(f"{trial.channel} ({trial.type}): {outcome}" + (f": {trial.said}" if trial.said else ""), flush=True)
    if arguments.output == "json":
        items = [
            {"channel": trial.channel, "type": trial.type, "delivered": trial.delivered, "said": trial.said}
            for trial in trials
        ]
        print(json.dumps({"items": items}))
    elif not trials:
        print("no channel is configured")
    return 0 if trials and all(trial.delivered for trial in trials) else 1
