"""Channels: where notifications of alerts go."""
