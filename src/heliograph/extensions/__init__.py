"""One file per YAML type of ``extensions:``."""
