"""What can be found out about the buckets of a job before it is created, and whether one works at all."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

from cloud.clock import clock_check
from cloud.job import Job
from cloud.providers.base import Check
from src.model_utils.errors import MindLiftError
from src.model_utils.moxing_shim.places import SERVICES, locate
from src.model_utils.moxing_shim.url import is_remote, join, parse

PART_BYTES = 5 << 20  # the least that a store takes as a part
KEYS = "do the keys belong to this store? see docs/storage.md"


def check(job: Job) -> Iterator[Check]:
    """The buckets that the job names are there and ours, and there is data. Writes nothing."""
    names: dict[str, str] = {}
    for key in ("train_url", "code_url", "log_url", "data_url"):
        place = parse(getattr(job, key)) if is_remote(getattr(job, key)) else None
        if place:
            names.setdefault(place.bucket, key)
    for bucket, key in names.items():
        yield check_bucket(bucket, key)
    if is_remote(job.data_url):
        yield check_there("data_url", job.data_url)
    if is_remote(job.pretrained):
        yield check_there("pretrained", job.pretrained)


def check_bucket(bucket: str, key: str) -> Check:
    try:
        SERVICES.get().call(f"head bucket {bucket}", "head_bucket", Bucket=bucket)
    except FileNotFoundError:
        return Check(
            f"bucket {bucket}", False, "there is no such bucket in this store", f"make it, or correct {key}"
        )
    except (MindLiftError, OSError) as err:
        return Check(f"bucket {bucket}", False, str(err), KEYS)
    return Check(f"bucket {bucket}", True, "there, and these keys may use it")


def check_there(key: str, url: str) -> Check:
    try:
        store, name = locate(url)
        entry = store.stat(name)
        is_empty = (
            entry is not None and entry.is_folder and not any(not item.is_folder for item in store.walk(name))
        )
    except (MindLiftError, OSError) as err:
        return Check(key, False, str(err), KEYS)
    if entry is None or is_empty:
        return Check(key, False, f"there is nothing at {url}", "upload the files first, or correct it")
    return Check(key, True, f"there are files at {url}" if entry.is_folder else f"{url} is there")


def selfcheck(url: str) -> Iterator[Check]:
    """Everything that a job does with a bucket, tried on objects that are removed again."""
    place = parse(url)
    if place is None:
        yield Check("bucket", None, "not tried", "name one with --train_url obs://bucket/folder/")
        return
    settings = SERVICES.get().access.settings
    style = "path" if settings.path_style else "virtual host"
    yield clock()
    found = check_bucket(place.bucket, "train_url")
    yield Check(
        found.name, found.ok, f"{found.says} ({style} style at {settings.endpoint or 'AWS'})", found.advice
    )
    if found.ok:
        yield from try_objects(join(url, f".selfcheck-{uuid.uuid4().hex[:12]}"))


def try_objects(url: str) -> Iterator[Check]:
    store, key = locate(url)
    data = uuid.uuid4().bytes
    try:
        store.write(key, data)
        yield Check("bucket write", True, "an object was written")
        same = store.read(key) == data
        yield Check("bucket read", same, "it was read back" if same else "another content came back")
        yield multipart(url)
    except (MindLiftError, OSError) as err:
        yield Check("bucket write", False, str(err), "the keys need the right to write there")
    finally:
        store.remove(key)


def multipart(url: str) -> Check:
    """A multipart upload of one part, aborted; checkpoints above 32 MiB travel like this."""
    place = parse(url)
    assert place
    service, where = SERVICES.get(), {"Bucket": place.bucket, "Key": place.key}
    try:
        upload = service.call(f"begin a multipart upload of {url}", "create_multipart_upload", **where)[
            "UploadId"
        ]
        service.call(
            f"PUT a part of {url}",
            "upload_part",
            **where,
            UploadId=upload,
            PartNumber=1,
            Body=bytes(PART_BYTES),
        )
        service.call(f"abort the upload of {url}", "abort_multipart_upload", **where, UploadId=upload)
    except (MindLiftError, OSError) as err:
        return Check("bucket multipart", False, str(err), "the keys need the right to upload in parts")
    return Check("bucket multipart", True, "a part was uploaded, and the upload aborted")


def clock() -> Check:
    """This computer's clock against the store's."""
    import urllib.error
    import urllib.request

    settings = SERVICES.get().access.settings
    if not settings.endpoint:
        return Check("clock", None, "not compared: no endpoint is set")
    try:
        with urllib.request.urlopen(settings.endpoint, timeout=10) as answer:
            date = answer.headers.get("Date")
    except urllib.error.HTTPError as err:
        date = err.headers.get("Date")
    except OSError as err:
        return Check("clock", None, f"{settings.endpoint} does not answer: {err}")
    return clock_check(date, settings.endpoint)


def make_folders(job: Job) -> None:
    """Placeholder until the folders of a job are made."""
