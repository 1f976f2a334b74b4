"""Real servers, each started when the first test asks for it."""

from collections.abc import Iterator

import pytest

from instrument.real import servers


@pytest.fixture(scope="session")
def redis_server() -> Iterator[int]:
    with servers.redis() as port:
        yield port


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[int]:
    with servers.postgres() as port:
        yield port
