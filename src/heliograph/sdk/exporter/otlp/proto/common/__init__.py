"""What the OTLP exporters share."""
