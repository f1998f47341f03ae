"""Alerts from the engine's transitions to the channels: kept, dispatched, delivered."""
