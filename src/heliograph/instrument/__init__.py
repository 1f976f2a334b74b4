"""Telemetry of a program that was not written for it: `heliograph run`, and what it starts.

Nothing here is imported before it is needed: what runs in a program before the program itself
takes milliseconds, and imports neither the API nor `socket`.
"""
