"""How well failures are recognised: a simulator of systems that fail, and the evaluation of `otel-monitor replay` on it."""
