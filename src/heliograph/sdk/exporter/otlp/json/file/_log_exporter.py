"""Log records as lines of OTLP/JSON.

Spec: OTLP File Exporter.
"""

from __future__ import annotations

import os
from typing import IO

from heliograph.sdk.exporter.otlp._lines import Lines
from heliograph.sdk.exporter.otlp._logs import OfLogs


class FileLogExporter(OfLogs):
    """Appends log records to a file, a line for each batch.

    Args:
        path: of the file, which is made when there is none.
        stream: written to instead; it is not closed. Without either, standard output is.

    Raises: ValueError when there are both; OSError when the file cannot be opened.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None = None, *, stream: IO[str] | None = None
    ) -> None:
        self._sender = Lines(path, stream)
        self._observe("file", None)
