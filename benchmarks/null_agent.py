"""An agent for ddtrace that takes everything and keeps nothing: ``python null_agent.py PORT``.

``GET /taken`` says how many bytes of traces came.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

taken = 0


class Agent(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        global taken  # noqa: PLW0603 - the whole state of this program
        length = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path.endswith("/traces"):
            taken += len(length)
        body = str(taken).encode() if self.path == "/taken" else json.dumps({}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = _answer

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Agent).serve_forever()
