"""Where the core meets OpenTelemetry: processors for the SDK's pipelines, and what drives the engine in a process."""
