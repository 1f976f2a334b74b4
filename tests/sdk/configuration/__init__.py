"""Tests of `heliograph.sdk.configuration`."""
