"""OpenTelemetry inside a program: behind the official API, on the native core."""
