"""Tests of what runs inside a program."""
