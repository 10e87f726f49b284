"""Object stores for the tests, each a process of its own: MinIO, which is a real one, and moto, a mock."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

import boto3
from botocore.config import Config

INSTALLER = Path(__file__).resolve().parents[1] / "scripts/minio.sh"
READY_WITHIN = 30  # seconds
ENDED_WITHIN = 10
MB = 1 << 20
LEAST_PART = 5 * MB  # bytes of a part of any S3


class Store(Protocol):
    """Where an object store is, and the keys to it."""

    @property
    def endpoint(self) -> str: ...
    @property
    def access_key(self) -> str: ...
    @property
    def secret_key(self) -> str: ...


class RunningStore(NamedTuple):
    endpoint: str
    access_key: str
    secret_key: str


class PortTaken(Exception):
    """Another process took the port between its choice and its use."""


S = TypeVar("S", bound="Server")


class Server:
    """A server on a free port of 127.0.0.1; it can be stopped and started again at the same place."""

    access_key, secret_key = "testkey", "secret123"
    health = "/"
    settings: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        self.port = 0
        self._folder = tempfile.TemporaryDirectory(prefix="store-")
        self._process: subprocess.Popen | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return Path(self._folder.name, "log")

    def command(self, folder: str) -> list[str]:
        raise NotImplementedError

    def __enter__(self: S) -> S:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._folder.cleanup()

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
                self._process.wait(ENDED_WITHIN)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def _start(self) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MINIO_")}
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self.command(f"{self._folder.name}/data"),
                env={**inherited, **self.settings},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the tests, which then end it
            )
        deadline = time.monotonic() + READY_WITHIN
        while True:
            said = self.log.read_text(errors="replace")
            if self._process.poll() is not None:
                if re.search("already in use|in use by another", said):
                    raise PortTaken(said)
                raise RuntimeError(f"{self.endpoint} ended with code {self._process.returncode}:\n{said}")
            if self.endpoint in said and self._healthy():  # said: or else another's health is asked
                return
            if time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{self.endpoint} was not ready after {READY_WITHIN} s:\n{said}")
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
    settings: ClassVar = {
        "MINIO_ROOT_USER": Server.access_key,
        "MINIO_ROOT_PASSWORD": Server.secret_key,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
        "MINIO_CALLHOME_ENABLE": "off",
    }

    def command(self, folder: str) -> list[str]:
        return [str(find_minio()), "server", "--address", f"127.0.0.1:{self.port}", folder]


class Moto(Server):
    """It accepts any key of an object, hostile ones too, and forgets everything when it ends."""

    health = "/moto-api/data.json"

    def command(self, folder: str) -> list[str]:
        return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]


def find_minio() -> Path | None:
    """The binary that MINIO_BINARY names, or else the one that scripts/minio.sh has installed."""
    if named := os.environ.get("MINIO_BINARY"):
        return Path(named)
    version = re.search(r"^version=.*-(\w+)$", INSTALLER.read_text(), re.MULTILINE)
    assert version, f"no version in {INSTALLER}"
    cache = Path(os.environ.get("MINDLIFT_CACHE") or Path.home() / ".cache/mindlift")
    installed = cache / "bin" / f"minio-{version[1]}"
    return installed if installed.exists() else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def s3_client(store: Store, endpoint: str = "", **options: Any) -> Any:
    """A plain boto3 client of a store; `endpoint` leads it through a proxy, `options` are botocore's."""
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return boto3.client(
        "s3",
        endpoint_url=endpoint or store.endpoint,
        region_name="us-east-1",
        aws_access_key_id=store.access_key,
        aws_secret_access_key=store.secret_key,
        config=config.merge(Config(**options)),
    )
