"""Object stores that a rehearsal starts by itself: MinIO, which is a real one, and moto, a mock in its place."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TypeVar

from mindlift.checkout import ROOT, SOURCES
from mindlift.cloud.providers.local import signed_moto
from mindlift.errors import StorageError
from mindlift.files import home
from mindlift.sanitize import message

INSTALLER = ROOT / "scripts/minio.sh"
READY_WITHIN_S = 30.0
ENDED_WITHIN_S = 10.0


class PortTaken(Exception):
    """Another process took the port between its choice and its use."""


S = TypeVar("S", bound="Server")


class Server:
    """A server on a free port of 127.0.0.1; it can be stopped and started again at the same place."""

    health = "/"

    def __init__(self, folder: Path, access_key: str, secret_key: str):
        self.folder, self.access_key, self.secret_key = folder, access_key, secret_key
        self.port = 0
        self._process: subprocess.Popen | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Of the running server; 0 before its start."""
        return self._process.pid if self._process else 0

    @property
    def has_ended(self) -> bool:
        """Whether the server that was started runs no more."""
        return self._process is not None and self._process.poll() is not None

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def command(self) -> list[str]:
        raise NotImplementedError

    def settings(self) -> dict[str, str]:
        return {}

    def __enter__(self: S) -> S:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start and wait until it is ready: at first on any free port, later on the same one."""
        if self.port:
            return self._start()
        for _ in range(5):
            self.port = free_port()
            try:
                return self._start()
            except PortTaken:
                continue
        raise PortTaken(self.log.read_text(errors="replace"))

    def stop(self) -> None:
        """End it in order (SIGTERM)."""
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(ENDED_WITHIN_S)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def _start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MINIO_")}
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self.command(),
                env={**inherited, **self.settings()},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for whoever uses it, and ends it then
            )
        deadline = time.monotonic() + READY_WITHIN_S
        while True:
            said = self.log.read_text(errors="replace")
            if self._process.poll() is not None:
                if re.search("already in use|in use by another", said):
                    raise PortTaken(said)
                raise StorageError(
                    f"{self.endpoint} ended with code {self._process.returncode}: {message(said)}"
                )
            if self.endpoint in said and self._healthy():  # said: or else another's health is asked
                return
            if time.monotonic() > deadline:
                self.kill()
                raise StorageError(
                    f"{self.endpoint} was not ready after {READY_WITHIN_S:.0f} s: {message(said)}"
                )
            time.sleep(0.05)

    def _healthy(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", self.health)
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()


class Minio(Server):
    health = "/minio/health/ready"

    def settings(self) -> dict[str, str]:
        return {
            "MINIO_ROOT_USER": self.access_key,
            "MINIO_ROOT_PASSWORD": self.secret_key,
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",
            "MINIO_CALLHOME_ENABLE": "off",
        }

    def command(self) -> list[str]:
        return [str(find_minio()), "server", "--address", f"127.0.0.1:{self.port}", str(self.folder / "data")]


class Moto(Server):
    """It accepts any name of an object, hostile ones too, and forgets everything when it ends."""

    health = signed_moto.HEALTH

    def settings(self) -> dict[str, str]:
        return {**dict(zip(signed_moto.KEYS, (self.access_key, self.secret_key))), "PYTHONPATH": str(SOURCES)}

    def command(self) -> list[str]:
        return [sys.executable, "-m", signed_moto.__name__, str(self.port)]


def find_minio() -> Path | None:
    """The binary that MINIO_BINARY names, or else the one that scripts/minio.sh has installed."""
    if named := os.environ.get("MINIO_BINARY"):
        return Path(named)
    version = re.search(r"^version=.*-(\w+)$", INSTALLER.read_text(), re.MULTILINE)
    assert version, f"no version in {INSTALLER}"
    cache = Path(os.environ.get("MINDLIFT_CACHE") or Path(home()) / ".cache/mindlift")
    installed = cache / "bin" / f"minio-{version[1]}"
    return installed if installed.exists() else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
