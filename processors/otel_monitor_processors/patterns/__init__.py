"""Failure patterns: a package for each, and what they share."""
