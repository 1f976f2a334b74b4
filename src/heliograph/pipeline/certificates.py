"""TLS of the pages: a context, and a new one when its files have changed."""

from __future__ import annotations

import hashlib
import logging
import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from heliograph.errors import ConfigError, Problem
from heliograph.pipeline.fields import Secret
from heliograph.pipeline.net import TlsServer

_VERSIONS = {2: ssl.TLSVersion.TLSv1_2, 3: ssl.TLSVersion.TLSv1_3}


class Certificates:
    """What one server shows and whom it lets in.

    A change makes a new context, never changes the old one: who was let in by an authority that
    is gone must not come back with a session of the old context.
    """

    def __init__(self, tls: TlsServer) -> None:
        """Read the files. Raises: ConfigError."""
        self._tls = tls
        self._said = ""
        self.every = tls.reload_every
        """Seconds between two looks at the files; None for never."""
        try:
            self._seen = self._digest()
            self.context = self._made()
        except OSError as error:
            raise ConfigError([Problem("tls", f"cannot be set up: {_reason(error)}")]) from None

    def renewed(self, log: logging.Logger) -> ssl.SSLContext | None:
        """Return a context made of files that have changed, None while there is nothing new.

        Files that cannot be used leave the last context in place: a certificate that is being
        replaced must not take the pages down. That is said once.
        """
        try:
            seen = self._digest()
            if seen == self._seen:
                return None
            self.context = self._made()
        except OSError as error:
            said = _reason(error)
            if said != self._said:
                log.warning("new TLS files cannot be used, the old ones stay: %s", said)
            self._said = said
            return None
        self._seen, self._said = seen, ""
        log.info("the TLS files have changed; new connections use them")
        return self.context

    def _digest(self) -> bytes:
        """Return a fingerprint of what is in the files."""
        found = hashlib.sha256()
        for path in (self._tls.cert_file, self._tls.key_file, self._tls.client_ca_file):
            found.update(hashlib.sha256(path.read_bytes() if path else b"").digest())
        return found.digest()

    def _made(self) -> ssl.SSLContext:
        tls = self._tls
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        lowest, highest = tls.versions()
        context.minimum_version = _VERSIONS[lowest]
        context.maximum_version = _VERSIONS[highest]
        suites = [openssl_name(suite) for suite in tls.cipher_suites if "_WITH_" in suite]
        if suites:
            context.set_ciphers(":".join(suites))
        with _file(tls.cert_file, tls.cert_pem) as cert, _file(tls.key_file, tls.key_pem) as key:
            if cert is not None:
                with _named(tls.cert_file or "cert_pem", tls.key_file or "key_pem"):
                    # Without a password OpenSSL would ask for one on the terminal.
                    context.load_cert_chain(cert, key, password="")
        if tls.client_ca_file is not None:
            with _named(tls.client_ca_file):
                context.load_verify_locations(tls.client_ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@contextmanager
def _named(*files: Path | str) -> Iterator[None]:
    """Put the names of files into OpenSSL's complaints."""
    try:
        yield
    except ssl.SSLError as error:
        error.filename = " and ".join(map(str, files))
        raise


def _reason(error: OSError) -> str:
    """Return what went wrong, and with which file."""
    text = error.strerror or str(error)
    return f"{error.filename}: {text}" if error.filename else text


@contextmanager
def _file(path: Path | None, pem: Secret | None) -> Iterator[Path | None]:
    """Yield a file with the text in it: OpenSSL's loader in Python takes nothing else.

    A key that was never on a disk does not get there for it, where the system can help it.
    """
    if path is not None or pem is None:
        yield path
        return
    with _unseen() as (file, name):
        file.write(pem.get_secret_value())
        file.flush()
        yield Path(name)


@contextmanager
def _unseen() -> Iterator[tuple[IO[str], str]]:
    """Yield a file that only this process can see, or at least only this user."""
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("pem"), "w") as file:
            yield file, f"/proc/self/fd/{file.fileno()}"
    else:
        descriptor, name = tempfile.mkstemp(suffix=".pem")
        try:
            with os.fdopen(descriptor, "w") as file:
                yield file, name
        finally:
            os.unlink(name)


def openssl_name(suite: str) -> str:
    """Return OpenSSL's name of a TLS 1.2 cipher suite that IANA calls ``TLS_…_WITH_…``."""
    exchange, _, cipher = suite.removeprefix("TLS_").partition("_WITH_")
    cipher = cipher.replace("AES_128", "AES128").replace("AES_256", "AES256")
    cipher = cipher.removesuffix("_SHA256") if cipher.startswith("CHACHA20") else cipher
    return f"{exchange}-{cipher}".replace("_", "-")
