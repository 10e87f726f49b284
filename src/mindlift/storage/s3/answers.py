"""Whether an answer is what S3 promises: a proxy or a portal answers 200 as well, with a page of its own."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from mindlift.storage.http1 import Headers, Response
from mindlift.storage.retry import Broken, Changed
from mindlift.storage.store import Entry, etag_of

REQUEST_ID = re.compile(r"x-[a-z]+-request-?id", re.IGNORECASE)  # x-amz-request-id, x-obs-request-id, ...
MD5 = re.compile("[0-9a-fA-F]{32}")
RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
SSE = re.compile(r"x-[a-z]+-server-side-encryption", re.IGNORECASE)
SSE_WITH_MD5 = (
    "AES256"  # on AWS and MinIO ETags of such objects are MD5s; on OBS those of no encrypted object
)
PROMISED = {  # what boto3's operations return if the answer is the store's
    "copy_object": "CopyObjectResult",
    "create_multipart_upload": "UploadId",
    "upload_part_copy": "CopyPartResult",
    "complete_multipart_upload": "ETag",
}


class Origin:
    """Knows the answers of one store by the request id that S3 gives them; one that has given one gives it always."""

    def __init__(self) -> None:
        self.name = ""  # of the header that has had a request id

    def check(self, what: str, status: int, headers: Collection[str] | Headers) -> None:
        """Broken for a success, or a word that something is missing, that comes from anybody else."""
        if self.name and self.name in headers:
            return
        found = id_header(headers)
        if found:
            self.name = found
        elif self.name and (status < 300 or status in (404, 412)):
            raise Broken(
                f"{what}: a {status} that is not the store's (it has no request id); a proxy or a portal is in between"
            )


def id_header(headers: Iterable[str]) -> str:
    return next((name for name in headers if REQUEST_ID.fullmatch(name)), "")


def has_id(headers: Iterable[str]) -> bool:
    return bool(id_header(headers))


def check_operation(
    what: str, operation: str, arguments: Mapping[str, Any], found: Mapping[str, Any]
) -> None:
    """Broken if what boto3 has made of an answer lacks what S3 promises for that operation."""
    answer = found["ResponseMetadata"]
    status, is_numbered = answer["HTTPStatusCode"], has_id(answer["HTTPHeaders"])
    wanted = PROMISED.get(operation)
    if wanted and not found.get(wanted):
        raise Broken(f"{what}: the answer has no {wanted}, so it is not the store's")
    if operation == "delete_object" and status != 204 and not is_numbered:
        raise Broken(f"{what}: the answer is {status} instead of 204, so it is not the store's")
    if operation == "delete_objects":
        told = len(found.get("Deleted", ())) + len(found.get("Errors", ()))
        asked = len(arguments["Delete"]["Objects"])
        if told != asked:
            raise Broken(f"{what}: the answer tells of {told} objects, asked for were {asked}")


def check_stored(what: str, headers: Headers, body: bytes) -> None:
    """Broken for an answer to a PUT without an ETag, or with a page: then nobody has stored anything."""
    if not headers.get("ETag") or (body.strip() and not has_id(headers)):
        raise Broken(f"{what}: a 200 that is not the store's; a proxy or a portal is in between")


def entry_of(what: str, key: str, headers: Headers) -> Entry:
    """The object that the answer to a HEAD describes; Broken if it does not."""
    try:
        changed = parsedate_to_datetime(headers["Last-Modified"])
        size = int(headers["Content-Length"])
    except (KeyError, TypeError, ValueError):
        raise Broken(f"{what}: a 200 without length or time of an object") from None
    check_object(what, headers)
    return Entry(key, size, etag_of(headers.get("ETag")), nanoseconds(changed))


def check_object(what: str, headers: Headers) -> None:
    """Broken for the head of an answer that is none of an object."""
    if not headers.get("ETag") and not has_id(headers):
        raise Broken(f"{what}: neither an ETag nor a request id, so it is not the store's")


def check_get(what: str, response: Response, start: int, length: int, etag: str, size: int) -> None:
    """Whether the answer will be exactly these bytes of the object of `size` bytes that was meant.

    Changed if it is another object: another ETag, or, where there is none, another size. Else Broken.
    """
    is_whole = start == 0 and length == size
    check_object(what, response.headers)
    found, came = etag_of(response.headers.get("ETag")), content_length(what, response)
    if etag and found and found != etag:
        raise Changed(what)
    if is_whole and response.status == 200 and came != length and not (etag and found):
        raise Changed(f"{what}: {came} bytes, {length} were listed")
    given = response.headers.get("Content-Range")
    wanted = None if is_whole else f"bytes {start}-{start + length - 1}/{size}"
    if response.status != (200 if is_whole else 206) or given != wanted or came != length:
        raise Broken(
            f"{what}: asked for {wanted or f'all {length} bytes'}, got {response.status}"
            f" {given or 'without range'}, {came} bytes"
        )


def check_part(what: str, response: Response, start: int, length: int | None) -> None:
    """Whether a 206 is the bytes from `start` on, `length` of them or all that there are."""
    given = response.headers.get("Content-Range") or ""
    match = RANGE.fullmatch(given)
    if match and match.group(3) != "*":
        first, last, size = (int(number) for number in match.groups())
        end = size if length is None else min(start + length, size)
        if first == start and last + 1 == end and content_length(what, response) == end - start:
            return
    raise Broken(f"{what}: asked for bytes from {start} on, got {response.status} {given or 'without range'}")


def content_length(what: str, response: Response) -> int:
    text = response.headers.get("Content-Length") or ""
    if not text.isdigit():
        raise Broken(f"{what}: the answer has no length")
    return int(text)


def nanoseconds(time: datetime) -> int:
    return int(time.timestamp() * 1000) * 1_000_000


def is_md5(etag: str) -> bool:
    return MD5.fullmatch(etag) is not None


def hides_md5(headers: Headers, is_obs: bool) -> bool:
    """Whether the store encrypts the object in a way that leaves its ETag without meaning: by KMS, or by a key of the user."""
    found = {name.lower(): value for name, value in headers.items() if SSE.match(name)}
    kinds = {value for name, value in found.items() if SSE.fullmatch(name)}
    return bool(found) and (is_obs or kinds != {SSE_WITH_MD5})
