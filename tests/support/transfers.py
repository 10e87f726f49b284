"""Folders and buckets that are copied, and what is in them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.support.servers import s3_client

FILES = {
    "a.bin": os.urandom(200_000),
    "d/b.txt": b"bee",
    "d/e/c": b"",
    "数据/图 +%41&?#.png": b"picture",
    "n" * 230 + "1": b"one",
    "n" * 230 + "2": b"two",
}


class Bucket:
    """A bucket as a plain client sees it."""

    def __init__(self, store, name: str):
        self.client, self.name, self.store = s3_client(store), name, store
        self.client.meta.events.register("before-send.s3.PutObject", without_expect)

    def url(self, key: str = "") -> str:
        return f"obs://{self.name}/{key}"

    def put(self, files: dict[str, bytes], prefix: str = "") -> None:
        for key, data in files.items():
            self.client.put_object(Bucket=self.name, Key=prefix + key, Body=data)

    def content(self, prefix: str = "") -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix):
            for item in page.get("Contents", []):
                body = self.client.get_object(Bucket=self.name, Key=item["Key"])["Body"].read()
                found[item["Key"][len(prefix) :]] = body
        return found

    def uploads(self) -> list[dict[str, Any]]:
        return self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", [])


def without_expect(request: Any, **_: object) -> None:
    """After an empty PUT, MinIO waits 30 s with the answer to one that expects it on that connection."""
    del request.headers["Expect"]


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    """All files, also those that are still being written."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def parts(folder: Path) -> list[Path]:
    return list(folder.rglob("*.part"))


def credentials(minio, endpoint: str = "") -> dict[str, str]:
    return {
        "S3_ENDPOINT": endpoint or minio.endpoint,
        "ACCESS_KEY_ID": minio.access_key,
        "SECRET_ACCESS_KEY": minio.secret_key,
    }
