"""OTLP as JSON."""
