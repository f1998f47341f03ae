"""Recorded telemetry through today's rules and detectors, on the recording's own time."""
