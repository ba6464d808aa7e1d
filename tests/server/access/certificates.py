"""Certificates for tests, made with the openssl command."""

import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["Authority"]

_NEW = ("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
_SECONDS = 120


class Authority:
    """A certificate authority. It writes the certificates that it issues into a folder.

    Attributes:
        cert: The file of the authority's own certificate.
    """

    def __init__(self, folder: Path, name: str = "ca") -> None:
        if shutil.which("openssl") is None:
            pytest.skip("the openssl command makes the certificates")
        self._folder = folder
        self.cert, self._key = folder / f"{name}.pem", folder / f"{name}.key"
        _run(*_NEW, "-x509", "-days", "10", "-subj", f"/CN={name}", *self._out(name))

    def issue(self, name: str, names: str, days: int = 10) -> tuple[Path, Path]:
        """Issues a certificate for names such as `DNS:localhost`.

        Returns the file of the certificate and the file of its key. If `days` is negative, the
        certificate has already expired.
        """
        request = self._folder / f"{name}.csr"
        key, cert = self._folder / f"{name}.key", self._folder / f"{name}.pem"
        new = (*_NEW, "-subj", f"/CN={name}", "-addext", f"subjectAltName={names}")
        _run(*new, "-keyout", str(key), "-out", str(request))
        signed = ("-CA", str(self.cert), "-CAkey", str(self._key), "-days", str(days))
        copied = ("-copy_extensions", "copy", "-in", str(request), "-out", str(cert))
        _run("openssl", "x509", "-req", *signed, *copied)
        return cert, key

    def _out(self, name: str) -> tuple[str, ...]:
        folder = self._folder
        return ("-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem"))


def _run(*command: str) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    assert ended.returncode == 0, ended.stderr
