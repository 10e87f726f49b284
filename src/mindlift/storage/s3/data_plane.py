"""Whole small objects, by obstore where it is installed (it needs half the CPU time), else by HttpPlane."""

from __future__ import annotations

import http.client
import importlib.util
import os
from typing import Any

from mindlift.forks import FORKS
from mindlift.storage import trust
from mindlift.storage.proxies import is_plain
from mindlift.storage.retry import Broken, Changed
from mindlift.storage.s3.service import Service
from mindlift.storage.s3.store import S3Store
from mindlift.storage.s3.verify import digest_of
from mindlift.storage.store import Entry, etag_of

SMALL = 8 << 20  # bytes
running_in: list[int] = []  # the process where obstore's threads are; they do not survive a fork


def has_obstore(service: Service) -> bool:
    """MINDLIFT_DATA_PLANE=http does without it; it knows neither ports nor `*` in NO_PROXY."""
    settings = service.access.settings
    return (
        os.environ.get("MINDLIFT_DATA_PLANE", "obstore") == "obstore"
        and running_in in ([], [os.getpid()])
        and importlib.util.find_spec("obstore") is not None
        and is_plain(settings.is_secure, settings.host)
    )


class SmallObjects:
    """Reads whole objects of one bucket into memory, checked. Threads may share it; nothing is retried here."""

    def __init__(self, store: S3Store):
        self.store, self.service = store, store.service
        self.use_obstore = has_obstore(self.service)
        self.made: tuple[object, Any] = (None, None)

    def read(self, entry: Entry) -> bytes:
        """The bytes of the object that was listed as `entry`; Broken if they are not what it should be."""
        what = self.store.what("GET", entry.key)
        # obstore follows redirects, and takes x-amz-security-token along to any host; and shows no headers
        is_here = running_in in ([], [os.getpid()])
        is_safe = self.use_obstore and is_here and not self.service.access.keys().token
        data, headers = (
            self.by_obstore(what, entry)
            if is_safe and not self.store.verifier.has_hidden
            else self.by_http(entry)
        )
        if len(data) != entry.size:
            raise Broken(f"{what}: {len(data)} bytes came, {entry.size} were listed")
        self.store.verifier.check(entry, digest_of(data), headers)
        return data

    def by_http(self, entry: Entry) -> tuple[Any, http.client.HTTPMessage | None]:
        pieces: list[bytes] = []
        headers = self.service.http.get(
            self.store.bucket, entry.key, pieces.append, 0, entry.size, entry.etag, entry.size
        )
        return b"".join(pieces), headers

    def by_obstore(self, what: str, entry: Entry) -> tuple[Any, http.client.HTTPMessage | None]:
        """A buffer of the object's bytes; headers only where the other way had to be taken."""
        with FORKS.importing():
            import obstore.exceptions as errors

        try:
            found = self.client().get(
                entry.key, options={"if_match": f'"{entry.etag}"'} if entry.etag else {}
            )
            etag = etag_of(found.meta.get("e_tag"))
            if entry.etag and etag and etag != entry.etag:
                raise Changed(what)
            if found.meta["size"] != entry.size:
                raise Changed(f"{what}: {found.meta['size']} bytes, {entry.size} were listed")
            return memoryview(found.bytes()), None
        except errors.PreconditionError:
            raise Changed(what) from None
        except (errors.BaseError, OSError, ValueError):  # ValueError: for control characters in a key
            return self.by_http(entry)  # asks again, and says clearly what is wrong

    def client(self) -> Any:
        keys = self.service.access.keys()
        if self.made[0] != keys:
            self.made = (keys, make_obstore(self.store))
        return self.made[1]


def make_obstore(store: S3Store) -> Any:
    with FORKS.importing():
        import obstore.store

    running_in[:] = [os.getpid()]

    access = store.service.access
    keys, settings = access.keys(), access.settings
    is_path_style = access.is_path_style(store.bucket)
    options: dict[str, Any] = {
        "allow_http": not settings.is_secure,
        "timeout": f"{max(1.5 * settings.timeout_s, 1):.0f}s",
        "connect_timeout": "10s",
        "allow_invalid_certificates": settings.verify is False,
    }
    endpoint = settings.endpoint
    if endpoint and not is_path_style:
        scheme, _, host = endpoint.partition("://")
        endpoint = f"{scheme}://{store.bucket}.{host}"
    more = {"endpoint": endpoint} if endpoint else {}
    make: Any = obstore.store.S3Store
    with store.service.lock, trust.shown_to_openssl(settings.verify if settings.is_secure else False):
        return make(
            store.bucket,
            access_key_id=keys.access_key,
            secret_access_key=keys.secret_key,
            region=settings.region,
            virtual_hosted_style_request=not is_path_style,
            unsigned_payload=True,
            client_options=options,
            retry_config={"max_retries": 0},
            **more,
        )
