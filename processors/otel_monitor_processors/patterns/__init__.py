"""Failure patterns: one module each, and what they share."""
