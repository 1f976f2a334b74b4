"""One file per YAML type of ``connectors:``."""
