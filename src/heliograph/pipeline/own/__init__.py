"""What the program says about itself: metrics for Prometheus and over OTLP, logs, traces."""
