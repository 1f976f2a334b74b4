"""Exporters, where the official ones are."""
