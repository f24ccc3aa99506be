"""TLS for a listener: a certificate from files, and a new one as soon as the files hold it.

The one idea: whether the files have changed is asked when a client says hello, which costs two looks at the file system
beside a handshake that costs a signature; nothing has to watch them. A connection keeps what it began with.
"""

from __future__ import annotations

import ssl

from gateway.wire.settings import TlsSettings

_Stamp = tuple[tuple[int, int, int], ...]


def server_context(settings: TlsSettings) -> ssl.SSLContext:
    """Return what a listener speaks TLS with.

    Files that are changed to something that cannot be used, or that do not fit each other yet, change nothing.

    Raises:
        OSError, ValueError: the files cannot be used (`ssl.SSLError` is an OSError).
    """
    return _Certificate(settings).front


class _Certificate:
    """The context in force; `front` meets the clients and hands them over to it."""

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self._stamp = self._look()
        self.front = self._current = self._load()
        self.front.sni_callback = self._hello

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(self._settings.cert_file, self._settings.key_file, password=_no_password)
        return context

    def _look(self) -> _Stamp:
        files = (self._settings.cert_file.stat(), self._settings.key_file.stat())
        return tuple((file.st_ino, file.st_mtime_ns, file.st_size) for file in files)

    def _hello(self, connection: ssl.SSLObject, name: str | None, front: ssl.SSLContext) -> None:
        try:
            stamp = self._look()
            if stamp != self._stamp:
                self._current, self._stamp = self._load(), stamp
        except (OSError, ValueError):
            pass
        connection.context = self._current


def _no_password() -> str:
    """Answer OpenSSL, which would ask a terminal: an encrypted key is one that cannot be used."""
    return ""
