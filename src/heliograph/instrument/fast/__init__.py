"""Instrumentations of our own, for the libraries where contrib's cost dominates.

Each module is one library. It offers ``REQUIRES`` (requirement strings, any of them), and
``instrument(module, settings)``, which patches the imported library in place and returns the
`Patches` that undo it. Names, variables and hooks are those of the contrib package of the name.
"""
