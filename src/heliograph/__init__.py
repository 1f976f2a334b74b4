"""OpenTelemetry in one Python package."""
