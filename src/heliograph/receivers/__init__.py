"""One file per YAML type of ``receivers:``."""
