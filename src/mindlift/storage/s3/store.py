"""The store that is a bucket, and uploads to it in parts."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime

from mindlift import limits
from mindlift.errors import TransferError
from mindlift.storage.errors import MoxFileNotExistsException, MoxFileRespException
from mindlift.storage.retry import Broken, Changed
from mindlift.storage.s3.answers import entry_of, hides_md5, is_md5
from mindlift.storage.s3.etags import OWN_COPY_PART, PART_SIZE
from mindlift.storage.s3.list_all import list_all
from mindlift.storage.s3.listing import find_token, parse_page
from mindlift.storage.s3.service import Service
from mindlift.storage.s3.verify import Verifier, digest_of
from mindlift.storage.store import Entry, etag_of
from mindlift.storage.url import as_folder

LARGEST_COPY = 5 << 30  # bytes; CopyObject's limit on every store
DELETE_BATCH = 1000
CONFLICT, PRECONDITION_FAILED, NOT_IMPLEMENTED = 409, 412, 501


class S3Store:
    """One bucket as a Store."""

    def __init__(self, bucket: str, service: Service):
        self.bucket, self.service = bucket, service
        self.verifier = Verifier(bucket, service)

    @property
    def is_conditional(self) -> bool:
        return self.service.is_conditional

    @is_conditional.setter
    def is_conditional(self, value: bool) -> None:
        self.service.is_conditional = value

    def what(self, verb: str, key: str) -> str:
        return f"{verb} {self.bucket}/{key}"

    def stat(self, key: str) -> Entry | None:
        if key and not key.endswith("/"):
            found = self.head(key)
            if found:
                return found
        folder = as_folder(key)
        page = parse_page(self.what("list", folder), self.page_body(folder, "", limit=1)).entries
        if page:
            return Entry(folder, modified_ns=page[0].modified_ns)
        return None if folder else Entry("")  # a bucket is there though nothing is in it

    def head(self, key: str) -> Entry | None:
        """The object `key` as it is now, or None."""
        if not key:
            return None  # the bucket itself
        what = self.what("HEAD", key)
        try:
            return self.service.retries.run(
                what, lambda: entry_of(what, key, self.service.http.send("HEAD", self.bucket, key).headers)
            )
        except MoxFileNotExistsException:
            return None

    def scan(self, folder: str) -> Iterator[Entry]:
        folder = as_folder(folder)
        for entry in self.pages(folder, "/"):
            if entry.key != folder:
                yield entry

    def walk(self, folder: str) -> Iterator[Entry]:
        folder = as_folder(folder)
        for entry in self.everything(folder):
            if entry.key != folder:
                yield entry

    def everything(self, prefix: str) -> Iterator[Entry]:
        """All that begins with `prefix`, in the order of keys; many folders are listed at the same time."""
        return list_all(self, prefix)

    def pages(self, prefix: str, delimiter: str, after: str = "") -> Iterator[Entry]:
        """All entries of a listing behind the key `after`, in their order; TransferError if it does not advance.

        While one page is parsed, a thread asks for the next one.
        """
        token, body, count = "", self.page_body(prefix, delimiter, start=after), 0
        with ThreadPoolExecutor(1) as ahead:
            while True:
                page_token = find_token(body)
                following = (
                    ahead.submit(self.page_body, prefix, delimiter, page_token) if page_token else None
                )
                page = parse_page(self.what("list", prefix), body)
                if page.entries and page.entries[0].key <= after:
                    raise TransferError(f"list {self.bucket}/{prefix}: does not advance beyond {after!r}")
                count += len(page.entries)
                if count > limits.LISTED_KEYS:
                    raise TransferError(f"list {self.bucket}/{prefix}: more than {limits.LISTED_KEYS:,} keys")
                yield from page.entries
                if page.is_last:
                    return
                after = page.entries[-1].key if page.entries else after
                if following is None and self.is_v1 and page.entries:
                    following = ahead.submit(self.page_body, prefix, delimiter, after)
                if following is None or page_token == token != "":
                    raise TransferError(
                        f"list {self.bucket}/{prefix}: the store gives the same page again and again"
                    )
                token, body = page_token, following.result()

    @property
    def is_v1(self) -> bool:
        """OBS is asked for lists of the form V1, without encoded keys: its parallel file systems know no other,
        and never get past the first page of an encoded list."""
        return self.service.access.settings.is_obs

    def page_body(
        self, prefix: str, delimiter: str, token: str = "", limit: int = 0, start: str = ""
    ) -> bytes:
        """One page of a listing as XML; `token` is the last key of the page before (V1) or its token.

        The first page begins behind the key `start`.
        """
        query = {"prefix": prefix, "delimiter": delimiter}
        query["max-keys"] = str(limit or self.service.access.settings.list_max_keys)
        v2 = {"list-type": "2", "encoding-type": "url", "continuation-token": token, "start-after": start}
        query.update({"marker": token or start} if self.is_v1 else v2)
        query = {name: value for name, value in sorted(query.items()) if value}
        return self.service.retries.run(self.what("list", prefix), lambda: self.checked_page(query))

    def checked_page(self, query: dict[str, str]) -> bytes:
        body = self.service.http.send("GET", self.bucket, "", query=query).body
        if not body.rstrip().endswith(b"</ListBucketResult>"):
            raise Broken(f"{self.what('list', query.get('prefix', ''))}: the answer is not a whole list")
        return body

    def read(self, key: str, start: int = 0, length: int | None = None, etag: str = "") -> bytes:
        if not key:
            raise MoxFileNotExistsException(
                f"obs://{self.bucket} names no file; write obs://bucket/folder/file"
            )
        if length == 0:
            return b""
        what = self.what("GET", key)
        try:
            return self.service.retries.run(what, lambda: self.read_once(what, key, start, length, etag))
        except Changed as err:
            raise TransferError(f"{what}: the object has been replaced while it was read") from err

    def read_once(self, what: str, key: str, start: int, length: int | None, etag: str) -> bytes:
        try:
            found = self.service.http.read(self.bucket, key, start, length, etag)
        except Changed:
            now = self.head(key)
            if now and now.etag == etag:
                raise Broken(f"{what}: the answer was of another object than the one that is there") from None
            raise
        if found.status == 200:
            entry = Entry(key, len(found.body), found.etag)
            self.verifier.check(entry, digest_of(found.body), found.headers)
        return found.body

    def hides_md5(self, key: str) -> bool:
        """Whether the ETag of an object, though it looks like an MD5, is none."""
        what = self.what("HEAD", key)
        found = self.service.retries.run(what, lambda: self.service.http.send("HEAD", self.bucket, key))
        return hides_md5(found.headers, self.service.access.settings.is_obs)

    def write(self, key: str, data: bytes) -> Entry:
        etag = self.service.retries.run(
            self.what("PUT", key), lambda: self.service.http.put(self.bucket, key, data)
        )
        return Entry(key, len(data), etag)

    def write_if(self, key: str, data: bytes, was: Entry | None) -> Entry | None:
        if not self.is_conditional and not self.is_still(key, was):
            return None
        conditions = conditions_of(was, self.is_conditional)
        try:
            etag = self.service.retries.run(
                self.what("PUT", key),
                lambda: self.service.http.put(self.bucket, key, data, conditions=conditions),
            )
        except MoxFileNotExistsException:
            return None  # what If-Match names is gone
        except MoxFileRespException as err:
            status = err.resp.status if err.resp else 0
            if status == NOT_IMPLEMENTED:
                self.is_conditional = False
                return self.write(key, data) if self.is_still(key, was) else None
            if status not in (CONFLICT, PRECONDITION_FAILED):
                raise
            return self.written_before(key, data)
        return Entry(key, len(data), etag)

    def is_still(self, key: str, was: Entry | None) -> bool:
        now = self.head(key)
        return (now.etag if now else "") == (was.etag if was else "")

    def written_before(self, key: str, data: bytes) -> Entry | None:
        """The object, if it is `data`: an attempt whose answer was lost has written it, and refused the next one."""
        found = self.head(key)
        if found is None or found.size != len(data):
            return None
        try:
            return found if self.read(key, etag=found.etag) == data else None
        except (TransferError, MoxFileNotExistsException):
            return None

    def age_s(self, key: str) -> float | None:
        try:
            found = self.service.retries.run(
                self.what("HEAD", key), lambda: self.service.http.send("HEAD", self.bucket, key)
            )
        except MoxFileNotExistsException:
            return None
        now, then = (found.headers.get(name) for name in ("Date", "Last-Modified"))
        if not now or not then:
            return None
        return (parsedate_to_datetime(now) - parsedate_to_datetime(then)).total_seconds()

    def make_folder(self, folder: str) -> None:
        if self.stat(as_folder(folder)) is None:
            self.write(as_folder(folder), b"")

    def remove(self, key: str) -> None:
        self.service.call(self.what("DELETE", key), "delete_object", Bucket=self.bucket, Key=key)

    def remove_all(self, keys: Sequence[str]) -> None:
        what = self.what("DELETE", f"{len(keys):,} objects, first {keys[0]}" if keys else "")
        for at in range(0, len(keys), DELETE_BATCH):
            batch = {"Objects": [{"Key": key} for key in keys[at : at + DELETE_BATCH]]}
            failed = self.service.call(what, "delete_objects", Bucket=self.bucket, Delete=batch).get("Errors")
            if failed:
                raise TransferError(
                    f"{what}: {len(failed)} objects stay, first {failed[0].get('Key')}: {failed[0].get('Message')}"
                )

    def remove_folder(self, folder: str) -> None:
        keys: list[str] = []
        for entry in self.pages(as_folder(folder), ""):
            keys.append(entry.key)
            if len(keys) == DELETE_BATCH:
                self.remove_all(keys)
                keys = []
        self.remove_all(keys)

    def copy(self, source: str, target: str) -> Entry:
        found = self.head(source)
        if found is None:
            raise MoxFileNotExistsException(f"no such file: obs://{self.bucket}/{source}")
        return Entry(target, found.size, self.copy_from(self.bucket, found, target))

    def copy_from(self, bucket: str, source: Entry, target: str) -> str:
        """Copy an object of another bucket of this store without its bytes passing here; the new one's ETag."""
        what = self.what(f"copy {bucket}/{source.key} to", target)
        origin = {"Bucket": bucket, "Key": source.key}
        if source.size <= LARGEST_COPY:
            copied = self.service.call(
                what,
                "copy_object",
                Bucket=self.bucket,
                Key=target,
                CopySource=origin,
                CopySourceIfMatch=source.etag,
            )
            return etag_of(copied["CopyObjectResult"].get("ETag"))
        with Multipart(self, target, OWN_COPY_PART) as upload:
            for number, start in enumerate(range(0, source.size, OWN_COPY_PART), 1):
                end = min(start + OWN_COPY_PART, source.size) - 1
                done = self.service.call(
                    what,
                    "upload_part_copy",
                    Bucket=self.bucket,
                    Key=target,
                    UploadId=upload.id,
                    PartNumber=number,
                    CopySource=origin,
                    CopySourceRange=f"bytes={start}-{end}",
                    CopySourceIfMatch=source.etag,
                )
                upload.etags[number] = done["CopyPartResult"]["ETag"].strip('"')
        return upload.etag


class Multipart:
    """An upload in parts: a `with` block that completes it, or aborts it on every other way out.

    `part_size`, of all parts but the last, is noted with the object, so that its ETag can be compared later on.
    """

    def __init__(self, store: S3Store, key: str, part_size: int = 0):
        self.store, self.key = store, key
        self.metadata = {PART_SIZE: str(part_size)} if part_size else {}
        self.what = store.what("upload", key)
        self.place = {"Bucket": store.bucket, "Key": key}
        self.id = self.etag = ""  # the ETag of the whole, once it is completed
        self.etags: dict[int, str] = {}

    def __enter__(self) -> Multipart:
        begun = self.store.service.call(
            self.what, "create_multipart_upload", **self.place, Metadata=self.metadata
        )
        self.id = begun["UploadId"]
        return self

    def put(self, number: int, body: bytes) -> None:
        """Part `number`, counted from 1."""
        query = {"partNumber": str(number), "uploadId": self.id}
        service = self.store.service
        self.etags[number] = service.retries.run(
            f"{self.what} part {number}", lambda: service.http.put(self.store.bucket, self.key, body, query)
        )

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            try:
                self.complete()
            except BaseException:
                self.abort()
                raise
        else:
            self.abort()

    def complete(self) -> None:
        parts = [{"PartNumber": number, "ETag": f'"{etag}"'} for number, etag in sorted(self.etags.items())]
        place = {**self.place, "UploadId": self.id}
        service = self.store.service
        try:
            found = service.call(
                self.what, "complete_multipart_upload", **place, MultipartUpload={"Parts": parts}
            )
            self.etag = etag_of(found.get("ETag"))
        except (TransferError, MoxFileNotExistsException):
            stored = self.store.head(self.key)  # the answer to an earlier attempt may have been lost
            if stored is None or stored.etag != self.expected_etag():
                raise
            self.etag = stored.etag
        digest, _, count = self.etag.partition("-")
        is_other = count and is_md5(digest) and self.etag != self.expected_etag()
        if is_other and not self.store.hides_md5(self.key):
            raise TransferError(
                f"{self.what}: the store has put together {self.etag}, sent was {self.expected_etag()}"
            )

    def expected_etag(self) -> str:
        """The MD5 of the parts' MD5s, which S3, OBS and MinIO give as the ETag."""
        parts = [bytes.fromhex(etag) for _, etag in sorted(self.etags.items()) if is_md5(etag)]
        return f"{hashlib.md5(b''.join(parts)).hexdigest()}-{len(parts)}"

    def abort(self) -> None:
        """Best effort: what is left is invisible, and the store's life-cycle rule removes it."""
        with contextlib.suppress(Exception):
            self.store.service.once(self.what, "abort_multipart_upload", {**self.place, "UploadId": self.id})


def conditions_of(was: Entry | None, is_conditional: bool) -> dict[str, str]:
    """The headers of a write that must not replace what another one has written.

    OBS has one of its own, which forbids to replace anything; others pass over it.
    """
    if is_conditional:
        return {"If-Match": f'"{was.etag}"'} if was else {"If-None-Match": "*"}
    return {} if was else {"x-obs-forbid-overwrite": "true"}
