"""Cascading failures: chains of deaths, and failures that spread; `detector` puts them together."""
