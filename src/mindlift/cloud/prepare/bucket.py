"""What can be found out about the buckets of a job before it is created, and whether one works at all."""

from __future__ import annotations

import itertools
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from mindlift.cloud.job import Job
from mindlift.cloud.prepare.clock import clock_check
from mindlift.cloud.providers.base import Check, Needs
from mindlift.cloud.show import duration, size
from mindlift.errors import MindLiftError
from mindlift.storage import trust
from mindlift.storage.places import SERVICES, locate
from mindlift.storage.retry import Broken, Refused
from mindlift.storage.url import as_folder, is_remote, join, parse

COUNTED = 10_000  # files of an input that are listed: ten requests
FAST, SLOW = 700e6, 70e6  # bit/s
WORTH_A_WORD_S = 60.0
PART_BYTES = 5 << 20  # the least that a store takes as a part
KEYS = "do the keys belong to this store? see docs/storage.md"


OBS_HOST = re.compile(r"(?:^|\.)obs\.([a-z0-9-]+)\.myhuaweicloud\.(?:com|cn)$")
FILE_SYSTEM = (
    "x-obs-fs-file-interface",
    "x-amz-fs-file-interface",
)  # of HEAD bucket: OBS API, "Obtaining Bucket Metadata"
LOCATION = ("x-obs-bucket-location", "x-amz-bucket-region")


@dataclass(frozen=True)
class Traits:
    """What a store tells of a bucket; None where it tells nothing."""

    region: str | None = None
    is_encrypted: bool | None = None
    is_file_system: bool | None = None


def check(job: Job, needs: Needs | None = None) -> Iterator[Check]:
    """The buckets that the job names are there and ours, as the service needs them, and there is data.

    Writes nothing.
    """
    names: dict[str, str] = {}
    for key, url in {**job.results, "code_url": job.code_url, "log_url": job.log_url, **job.sources}.items():
        place = parse(url) if is_remote(url) else None
        if place:
            names.setdefault(place.bucket, key)
    for bucket, key in names.items():
        found = check_bucket(bucket, key)
        yield found
        if found.ok and needs:
            yield from bucket_checks(bucket, traits(bucket, needs), needs)
    if needs and needs.wants_empty_logs and is_remote(job.log_url):
        yield check_empty("log_url", job.log_url)
    for key, url in job.sources.items():
        if is_remote(url) and key not in job.resume:  # nothing there yet is a first start
            yield check_there(key, url)
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


def traits(bucket: str, needs: Needs) -> Traits:
    """What the store tells of a bucket, asked once: a store that knows no such question is no fault."""
    service = SERVICES.get()
    try:
        answer = service.once(f"head bucket {bucket}", "head_bucket", {"Bucket": bucket})
    except (Refused, Broken, ValueError):
        return Traits()
    headers = {name.lower(): value for name, value in answer["ResponseMetadata"]["HTTPHeaders"].items()}
    region = next((headers[name] for name in LOCATION if headers.get(name)), None)
    interface = next((headers[name] for name in FILE_SYSTEM if headers.get(name)), None)
    tells = (
        interface is not None or LOCATION[0] in headers
    )  # OBS leaves the header out for an ordinary bucket
    return Traits(
        region or (location(bucket) if needs.region else None),
        None if needs.takes_encrypted else encryption(bucket),
        interface == "Enabled" if tells else None,
    )


def location(bucket: str) -> str | None:
    try:
        answer = SERVICES.get().once(f"location of {bucket}", "get_bucket_location", {"Bucket": bucket})
    except (Refused, Broken, ValueError):
        return None
    return answer.get("LocationConstraint") or None


def encryption(bucket: str) -> bool | None:
    what, where = f"encryption of {bucket}", {"Bucket": bucket}
    try:
        answer = SERVICES.get().once(what, "get_bucket_encryption", where)
    except Refused as err:
        is_off = err.response.status == 404 and "Encryption" in err.response.errorCode
        return False if is_off else None
    except (Broken, ValueError):
        return None
    return bool(answer.get("ServerSideEncryptionConfiguration", {}).get("Rules"))


def bucket_checks(bucket: str, found: Traits, needs: Needs) -> Iterator[Check]:
    """What the service can't use. Pure."""
    name, unknown = f"bucket {bucket}", []
    if needs.region and found.region is None:
        unknown.append("region")
    elif needs.region and found.region != needs.region:
        says = f"it is in {found.region}, the job in {needs.region}"
        yield Check(name, False, says, "jobs reach only buckets of their own region: use one there")
    if not needs.takes_encrypted and found.is_encrypted is None:
        unknown.append("encryption")
    elif not needs.takes_encrypted and found.is_encrypted:
        says = "its default encryption is on, and jobs can't read encrypted files"
        yield Check(name, False, says, "use a bucket without it, and upload the files again")
    if not needs.takes_file_systems and found.is_file_system:
        yield Check(name, False, "it is a parallel file system", "use an object bucket")
    if unknown:
        yield Check(name, None, f"this store does not tell its {' and '.join(unknown)}")


def check_endpoint(endpoint: str, region: str) -> Check:
    """Whether an endpoint of the environment is OBS of the job's region. Pure."""
    host = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}").hostname or ""
    found = OBS_HOST.search(host)
    wanted = f"obs.{region}.myhuaweicloud.com"
    if found and found[1] == region:
        return Check("store", True, f"{host}, as the job")
    if host == "obs.myhuaweicloud.com":
        return Check("store", None, f"{host} serves all regions; the job reads that of {region}")
    says = f"the environment names {host} as the store, but the job reads {wanted}"
    return Check(
        "store", False, says, "unset S3_ENDPOINT, OBS_ENDPOINT and AWS_ENDPOINT_URL, or set them to that"
    )


def check_empty(key: str, url: str) -> Check:
    """The service wants a folder of no files; what is there stays."""
    try:
        store, name = locate(as_folder(url))
        first = next((entry for entry in store.walk(name) if not entry.is_folder), None)
    except (MindLiftError, OSError) as err:
        return Check(key, None, str(err), KEYS)
    if first:
        says = f"{url} holds files already; the service asks for an empty folder"
        return Check(key, None, says, "choose another folder")
    return Check(key, True, f"{url} is empty")


def make_folders(job: Job) -> None:
    """Folders that a service expects to be there: a marker of no bytes, unless something is there."""
    for url in (*job.results.values(), job.log_url):
        if is_remote(url):
            store, name = locate(as_folder(url))
            store.make_folder(name)


def check_there(key: str, url: str) -> Check:
    try:
        store, name = locate(url)
        entry = store.stat(name)
        files: list[int] = []  # sizes
        if entry is not None and entry.is_folder:
            found = (item.size for item in store.walk(name) if not item.is_folder)
            files = list(itertools.islice(found, COUNTED + 1))
    except (MindLiftError, OSError) as err:
        return Check(key, False, str(err), KEYS)
    if entry is None or (entry.is_folder and not files):
        return Check(key, False, f"there is nothing at {url}", "upload the files first, or correct it")
    return Check(key, True, f"{url} has {amount(files)}" if entry.is_folder else f"{url} is there")


def amount(files: list[int]) -> str:
    """How many files of these sizes there are, and how long a copy takes where that is worth a word."""
    is_all, total = len(files) <= COUNTED, sum(files[:COUNTED])
    count = (
        f"{len(files):,} file{'s' * (len(files) > 1)}, "
        if is_all
        else f"more than {COUNTED:,} files, at least "
    )
    fast, slow = (total * 8 / rate for rate in (FAST, SLOW))
    if slow < WORTH_A_WORD_S:
        return f"{count}{size(total)}"
    least = "" if is_all else "at least "
    return (
        f"{count}{size(total)}: a copy before the first step takes {least}{duration(fast)} at 700 Mbit/s and"
        f" {duration(slow)} at 70 (what ModelArts names for small files); --stage stream begins without it"
    )


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
        tls = trust.context(settings.verify) if settings.is_secure else None
        with urllib.request.urlopen(settings.endpoint, timeout=10, context=tls) as answer:
            date = answer.headers.get("Date")
    except urllib.error.HTTPError as err:
        date = err.headers.get("Date")
    except OSError as err:
        return Check("clock", None, f"{settings.endpoint} does not answer: {err}")
    return clock_check(date, settings.endpoint)
