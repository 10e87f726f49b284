"""Whether the bytes that came are the object's, as far as its ETag tells."""

from __future__ import annotations

import hashlib
import logging

from mindlift.storage.http1 import Headers
from mindlift.storage.retry import Broken
from mindlift.storage.s3.answers import hides_md5
from mindlift.storage.s3.etags import PART_SIZE, Digest, etag_by, fits, part_count, part_sizes
from mindlift.storage.s3.service import Service
from mindlift.storage.store import Entry


def digest_of(data: bytes | memoryview) -> Digest:
    """Of bytes in memory."""
    view = memoryview(data)
    return lambda start, end: hashlib.md5(view[start:end]).digest()


class Verifier:
    """Compares with the ETags of one bucket. Threads may share it."""

    def __init__(self, bucket: str, service: Service):
        self.bucket, self.service = bucket, service
        self.doubtful: dict[
            str, str
        ] = {}  # what came of a key, if nobody knows for sure what should have come

    def check(self, entry: Entry, digest: Digest, headers: Headers | None = None) -> None:
        """Broken if these are not the bytes of `entry`, the whole object; `headers` are those of the answer, if known.

        Bytes pass whose ETag says nothing of them. So do those that came twice alike, where only the store's word
        for the size of the first part makes the parts known: the others may have other sizes.
        """
        tried = part_sizes(entry.size, entry.etag)
        came = ""
        for part in tried:
            came = etag_by(entry.size, part, entry.etag, digest)
            if came == entry.etag:
                return
        if not tried and not part_count(entry.etag):
            return
        headers = headers or self.head(entry.key).headers
        if hides_md5(headers, self.service.access.settings.is_obs):
            return
        self.judge(entry, digest, tried, headers)

    def judge(self, entry: Entry, digest: Digest, tried: list[int], headers: Headers) -> None:
        """No size that was tried fits: is it because of the bytes?"""
        is_whole, own, told = not part_count(entry.etag), own_part_size(entry, headers), 0
        if not is_whole and not own:
            told = self.told_part_size(entry)
        part = entry.size if is_whole else own or told
        came = etag_by(entry.size, part, entry.etag, digest) if part else ""
        if came == entry.etag:
            return
        if not part or (told and self.doubtful.get(entry.key) == came):
            logging.getLogger("moxing").info(
                "%s/%s: only its size was compared, because nobody tells the parts that its ETag %s is made of",
                *(self.bucket, entry.key, entry.etag),
            )
            return
        self.doubtful[entry.key] = came
        raise Broken(
            f"GET {self.bucket}/{entry.key}: the MD5 of what came is not the object's, {entry.etag} is not {came}"
        )

    def head(self, key: str, **query: str):
        what = f"HEAD {self.bucket}/{key}"
        return self.service.retries.run(
            what, lambda: self.service.http.send("HEAD", self.bucket, key, query=query)
        )

    def told_part_size(self, entry: Entry) -> int:
        """What the store says of the first part's size; 0 where it does not know the question, as OBS."""
        text = self.head(entry.key, partNumber="1").headers.get("Content-Length") or ""
        part = int(text) if text.isdigit() else 0
        return part if fits(entry.size, part, part_count(entry.etag)) else 0


def own_part_size(entry: Entry, headers: Headers) -> int:
    """The size of the parts of what MindLift has uploaded; 0 for an object of others, or of which others made a new one."""
    text = headers.get(f"x-amz-meta-{PART_SIZE}") or headers.get(f"x-obs-meta-{PART_SIZE}") or ""
    part = int(text) if text.isdigit() else 0
    return part if fits(entry.size, part, part_count(entry.etag)) else 0
