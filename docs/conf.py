"""How Sphinx builds this documentation."""

from __future__ import annotations

from importlib.metadata import version as version_of

project = "otel-monitor"
author = "the otel-monitor authors"
copyright = f"%Y, {author}"  # noqa: A001 - Sphinx names it so
version = release = version_of("otel-monitor")

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"otel-monitor {version}"
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
nitpicky = True
