"""Object stores for the tests, each a process of its own, and a plain client of them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import boto3
from botocore.config import Config

from mindlift.cloud.providers.local import servers
from mindlift.cloud.providers.local.servers import find_minio as find_minio
from mindlift.cloud.providers.local.servers import free_port as free_port

KEYS = ("testkey", "secret123")
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


class Temporary(servers.Server):
    """A server whose folder goes with it."""

    def __init__(self) -> None:
        self.temporary = tempfile.TemporaryDirectory(prefix="store-")
        super().__init__(Path(self.temporary.name), *KEYS)

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self.temporary.cleanup()


class Minio(Temporary, servers.Minio):
    pass


class Moto(Temporary, servers.Moto):
    """It accepts any key of an object, hostile ones too, and forgets everything when it ends."""


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
