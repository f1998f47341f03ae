"""What the simulated programs' instrumentation records, as the OpenTelemetry Collector's file exporter writes it."""
