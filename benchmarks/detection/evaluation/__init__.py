"""How well `otel-monitor replay` recognises what really happened."""
