"""Loads the certificates of encrypted ports, and loads them again when their files change."""

import logging
import ssl
import threading
from typing import NamedTuple

import grpc
from podium._values.tls import check_authorities, check_pair, file_states

from podium_server.rpc.fronts.ports import PEMFiles
from podium_server.serve.settings import ConfigError, ServerTLS

__all__ = ["Certificates"]

_log = logging.getLogger(__name__)


class _Loaded(NamedTuple):
    """The loaded certificates, in the form that each front needs."""

    grpc: grpc.ServerCertificateConfiguration
    http: ssl.SSLContext
    pem: PEMFiles


class Certificates:
    """The files of encrypted ports.

    Each new connection uses the current files. While these files cannot be used, for example
    because only the new certificate is written and not its key, connections use the previous files.
    The problem is logged.

    Raises:
        ConfigError: The files cannot be used.
    """

    def __init__(self, tls: ServerTLS) -> None:
        self._tls = tls
        self._lock = threading.Lock()
        self._states = file_states(tls.paths)
        try:
            self._current = _load(tls)
        except ValueError as error:
            raise ConfigError(str(error)) from error

    def credentials(self) -> grpc.ServerCredentials:
        """Returns the TLS credentials of one gRPC port.

        Each port needs its own credentials, because they store which certificates the port uses.
        """
        used = self._current

        def changed() -> grpc.ServerCertificateConfiguration | None:
            """Returns the current certificates, or None if the port already uses them.

            gRPC calls this before each handshake.
            """
            nonlocal used
            before, used = used, self._newest()
            return None if used is before else used.grpc

        must_show = self._tls.client_ca is not None
        return grpc.dynamic_ssl_server_credentials(used.grpc, changed, must_show)  # type: ignore[arg-type]  # None: nothing new

    def newest(self) -> PEMFiles:
        """Returns the contents of the current files: the same object until the files change."""
        return self._newest().pem

    def context(self) -> ssl.SSLContext:
        """Returns the TLS context of an HTTP port."""
        context = _context(self._tls)

        def use_newest(connection: ssl.SSLObject, _name: str | None, _: ssl.SSLContext) -> None:
            """Makes a connection use the current files. OpenSSL calls this in each handshake."""
            connection.context = self._newest().http

        context.sni_callback = use_newest
        return context

    def _newest(self) -> _Loaded:
        """Returns the current certificates. Loads them again if their files have changed."""
        with self._lock:
            states = file_states(self._tls.paths)
            if states != self._states:
                self._states = states
                try:
                    self._current = _load(self._tls)
                except ValueError as error:
                    _log.error("the previous certificate stays in use: %s", error)
                else:
                    _log.info("the files of the certificate have changed: new connections use them")
            return self._current


def _load(tls: ServerTLS) -> _Loaded:
    """Reads the files. Raises ValueError if they cannot be used, or change meanwhile."""
    states = file_states(tls.paths)
    check_pair(tls.cert, tls.key)
    if tls.client_ca is not None:
        check_authorities(tls.client_ca)
    authorities = tls.client_ca.read_bytes() if tls.client_ca else None
    pem = PEMFiles(tls.cert.read_bytes(), tls.key.read_bytes(), authorities)
    context = _context(tls)
    if file_states(tls.paths) != states:
        raise ValueError(f"one of {', '.join(map(str, tls.paths))} changed while it was read")
    pairs = [(pem.key, pem.chain)]
    return _Loaded(grpc.ssl_server_certificate_configuration(pairs, authorities), context, pem)


def _context(tls: ServerTLS) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.cert, tls.key, password="")
    context.set_alpn_protocols(["http/1.1"])
    if tls.client_ca is not None:
        context.load_verify_locations(tls.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
