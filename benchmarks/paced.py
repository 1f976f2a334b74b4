"""HTTP requests to one server: one after the other, or by the clock."""

from __future__ import annotations

import http.client
import itertools
import threading
import time

CONNECTIONS = 8


class Connection:
    """One connection that stays open."""

    def __init__(self, port: int) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=300)

    def get(self, path: str) -> None:
        """Ask and read the answer. Raises: RuntimeError unless it is 200."""
        try:
            self._http.request("GET", path)
            answer = self._http.getresponse()
        except (ConnectionError, http.client.RemoteDisconnected):
            # The server closed it while nothing was asked.
            self._http.close()
            self._http.request("GET", path)
            answer = self._http.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {body[:200]!r}")


def one_by_one(port: int, path: str, seconds: float) -> int:
    """Ask for so long over one connection; return how many were answered."""
    connection, count = Connection(port), 0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        connection.get(path)
        count += 1
    return count


def by_the_clock(port: int, path: str, rate: float, seconds: float) -> list[float]:
    """Ask at a rate, whatever the answers take; return the seconds each took, in order of time.

    What has to wait for one of the `CONNECTIONS` counts from when it should have been asked.
    """
    total = int(rate * seconds)
    took = [0.0] * total
    numbers = itertools.count()
    start = time.perf_counter() + 0.1
    failures: list[BaseException] = []

    def ask() -> None:
        connection = Connection(port)
        try:
            while not failures and (number := next(numbers)) < total:
                due = start + number / rate
                if (wait := due - time.perf_counter()) > 0:
                    time.sleep(wait)
                    due = time.perf_counter()
                connection.get(path)
                took[number] = time.perf_counter() - due
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return took
