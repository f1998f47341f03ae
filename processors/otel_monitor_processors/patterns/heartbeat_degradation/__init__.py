"""Heartbeat degradation: rhythm, lateness, silence; `detector` puts them together."""
