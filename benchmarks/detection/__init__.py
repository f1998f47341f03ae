"""How well failures are recognised: a simulator of systems that fail, and `otel-monitor replay` judged on it."""
