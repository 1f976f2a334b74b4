"""Tests of metrics inside a program."""
