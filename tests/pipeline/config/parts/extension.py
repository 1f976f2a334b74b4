"""Extend nothing."""

from heliograph.pipeline.component import ComponentConfig


class Config(ComponentConfig):
    pass


class Extension:
    pass
