"""The MinIO that bench_sync copies to and from, by HTTP or by HTTPS."""

from __future__ import annotations

import shutil
import ssl
import urllib.request
from pathlib import Path

from tests.support.servers import Minio, find_minio
from tests.support.tls import certificate

__all__ = ["Store", "find_minio"]


class Store(Minio):
    """`trusted` is the certificate that has signed its own, for HTTPS."""

    def __init__(self, folder: Path, is_secure: bool):
        super().__init__()
        self.certificates, self.trusted = folder / "certificates", None
        if is_secure:
            self.trusted, server = certificate(folder / "authority")
            self.certificates.mkdir()
            both = server.read_text()
            start = both.index("-----BEGIN PRIVATE KEY")
            (self.certificates / "public.crt").write_text(both[:start])
            (self.certificates / "private.key").write_text(both[start:])

    @property
    def endpoint(self) -> str:
        return f"http{'s' if self.trusted else ''}://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        return (
            [*super().command(), "--certs-dir", str(self.certificates)] if self.trusted else super().command()
        )

    def _healthy(self) -> bool:
        if not self.trusted:
            return super()._healthy()
        context = ssl.create_default_context(cafile=str(self.trusted))
        try:
            with urllib.request.urlopen(
                f"{self.endpoint}{self.health}", timeout=5, context=context
            ) as answer:
                return answer.status == 200
        except OSError:
            return False

    def empty_trash(self) -> None:
        """MinIO removes what was deleted minutes later, which would fill the disk and disturb a run."""
        for path in (self.folder / "data/.minio.sys/tmp/.trash").glob("*"):
            shutil.rmtree(path, ignore_errors=True)
