"""What an ETag says of an object's bytes: their MD5, or for one that came in N parts the MD5 of the parts' MD5s and `-N`.

Which bytes were which part is nowhere in it. Sizes of parts that fit N are tried: those of the usual programs.
"""

from __future__ import annotations

import hashlib
import re
from typing import Callable

from mindlift.storage.s3.answers import is_md5

MIB = 1 << 20
OWN_PART = 16 * MIB  # of what MindLift uploads, unless that were too many parts
OWN_COPY_PART = 512 * MIB  # of what it copies within a store
PART_SIZE = "mindlift-part-size"  # metadata of what it uploads in parts
IN_PARTS = re.compile(r"([0-9a-f]{32})-([1-9]\d*)")
USUAL = (
    OWN_PART,  # minio-go, mc
    *(
        size * MIB for size in (8, 5, 9, 50, 64, 15, 10)
    ),  # boto3, rclone, obsutil, s5cmd, Hadoop, s3cmd, Cyberduck
    *(size * MIB for size in (4, 6, 7, 12, 20, 24, 25, 32, 40, 48, 100, 128, 200, 256)),
    *(OWN_COPY_PART, 1024 * MIB, 5120 * MIB),
    17_179_870,  # AWS's console
)

Digest = Callable[[int, int], bytes]  # the MD5 of an object's bytes from, to


def part_count(etag: str) -> int:
    """Into how many parts an object was cut; 0 for an ETag that is the MD5 of the whole, or that says nothing."""
    match = IN_PARTS.fullmatch(etag)
    return int(match.group(2)) if match else 0


def fits(size: int, part: int, count: int) -> bool:
    return part > 0 and -(-size // part) == count


def part_sizes(size: int, etag: str) -> list[int]:
    """Sizes that the parts may have, the likeliest first; the whole for an MD5, none for an ETag that says nothing."""
    if is_md5(etag):
        return [size]
    count = part_count(etag)
    if count == 1:
        return [size]
    return [part for part in USUAL if fits(size, part, count)]


def etag_by(size: int, part: int, etag: str, digest: Digest) -> str:
    """The ETag of an object whose parts have this size, of the kind that `etag` is."""
    if is_md5(etag):
        return digest(0, size).hex()
    starts = range(0, size, part) if size else [0]
    digests = [digest(start, min(start + part, size)) for start in starts]
    return f"{hashlib.md5(b''.join(digests)).hexdigest()}-{len(digests)}"
