"""OTLP with protobuf."""
