"""One file per YAML type of ``processors:``."""
