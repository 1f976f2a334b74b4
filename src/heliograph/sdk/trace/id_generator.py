"""Where the ids of traces and spans come from.

Spec: Tracing SDK, Id Generators.
"""

from __future__ import annotations

import abc

from heliograph._core import random_id


class IdGenerator(abc.ABC):
    """Makes ids. Subclass it and pass an instance to a `TracerProvider`."""

    @abc.abstractmethod
    def generate_span_id(self) -> int:
        """Return 64 bits that are not all zero."""

    @abc.abstractmethod
    def generate_trace_id(self) -> int:
        """Return 128 bits that are not all zero; samplers rely on the lower 56 being random."""

    def is_trace_id_random(self) -> bool:
        """Whether the lower 56 bits of trace ids are random, which sets the random flag.

        Spec: W3C Trace Context Level 2, random trace id flag.
        """
        return False


class RandomIdGenerator(IdGenerator):
    """Random ids from a generator that the operating system seeds, anew in each process.

    A provider with exactly this class makes its ids natively, without calling these methods.
    """

    def generate_span_id(self) -> int:
        return random_id(64)

    def generate_trace_id(self) -> int:
        return random_id(128)

    def is_trace_id_random(self) -> bool:
        return True
