"""Where a URL points: into a bucket, or to a path of this machine. Pure.

Accepted spellings of one object: `obs://bucket/a/b`, `s3://bucket/a/b`, `s3:///bucket/a/b` (OpenI),
`obs://bucket//a///b`, and `obs:/bucket/a/b`, which pathlib makes of the first. `%`, `+`, `?`, `#`, spaces
and non-ASCII characters stand for themselves: nothing is percent-decoded. Anything else is a local path;
`/bucket/key/`, the third form of ModelArts' job API, looks like one and needs `from_job_path`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Union

from mindlift.errors import ConfigError
from mindlift.files import expanded

SCHEME = re.compile(r"(obs|s3):/+", re.IGNORECASE)
ANY = re.compile(r"(obs|s3[an]?|oss|gs|cos|hdfs|https?|ftp):/|[a-z][a-z0-9+.-]+://", re.IGNORECASE)
BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")
PathLike = Union[str, "os.PathLike[str]"]


@dataclass(frozen=True)
class Remote:
    """`key` in `bucket`; the key of a folder ends with '/', that of the whole bucket is ''."""

    bucket: str
    key: str
    scheme: str = "obs"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}"

    @property
    def name(self) -> str:
        return self.key.rstrip("/").rpartition("/")[2]

    def folder(self) -> Remote:
        """The same place, as a folder."""
        return Remote(self.bucket, as_folder(self.key), self.scheme)

    def child(self, name: str) -> Remote:
        return Remote(self.bucket, as_folder(self.key) + name, self.scheme)


def is_remote(url: PathLike) -> bool:
    return SCHEME.match(os.fspath(url)) is not None


def is_url(text: str) -> bool:
    """Whether it is one of any kind, of which most are not understood, but for file:///, which is a path."""
    return ANY.match(text) is not None and not text.startswith("file:///")


def parse(url: PathLike) -> Remote | None:
    """The place in a bucket, or None for a local path; ConfigError if no bucket is named."""
    text = os.fspath(url)
    match = SCHEME.match(text)
    if match is None:
        return None
    bucket, _, key = text[match.end() :].partition("/")
    if not BUCKET.fullmatch(bucket):
        raise ConfigError(f"{text!r}: {bucket!r} is no bucket name; write obs://bucket/folder/file")
    return Remote(bucket, re.sub("/{2,}", "/", key.lstrip("/")), match.group(1).lower())


def from_job_path(path: str) -> str:
    """`/bucket/key/` of a job description as `obs://bucket/key/`; URLs stay as they are."""
    return path if is_remote(path) else f"obs://{path.strip().lstrip('/')}"


def local_path(url: PathLike) -> str:
    """A local path as the file system wants it: `file://` taken off, `~` resolved."""
    text = os.fspath(url)
    return expanded(text[7:] if text.startswith("file:///") else text)


def join(url: PathLike, *names: str) -> str:
    """`url`/names with single slashes, for URLs and local paths."""
    text = os.fspath(url)
    for name in names:
        text = f"{text.rstrip('/')}/{name.lstrip('/')}" if text else name
    return text


def as_folder(key: str) -> str:
    """'a/b' and 'a/b/' as 'a/b/'; '' stays the root."""
    return key.rstrip("/") + "/" if key.strip("/") else ""


def as_file(key: str) -> str:
    return key.rstrip("/")
