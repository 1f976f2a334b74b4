"""One file per YAML type of ``exporters:``."""
