"""Objects in parts: what came is compared with their ETag, the MD5 of the parts' MD5s, where anybody knows the parts."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator
from http.client import HTTPMessage

import pytest

from mindlift.errors import TransferError
from mindlift.storage.copying.copy import copy_file, copy_tree
from mindlift.storage.moxing import file
from mindlift.storage.places import SERVICES
from mindlift.storage.s3.answers import hides_md5
from mindlift.storage.s3.etags import etag_by, part_sizes
from mindlift.storage.s3.verify import digest_of
from mindlift.storage.settings import Settings
from tests.support.faults import Fault
from tests.support.servers import LEAST_PART, MB, Minio, s3_client
from tests.support.spoiled import Spoiled
from tests.support.transfers import Bucket, content, credentials, write

DATA = os.urandom(17 * MB + 5)


def put_parts(bucket: Bucket, key: str, sizes: list[int], **options: str) -> bytes:
    """Upload in parts of these sizes, as other programs do; what is left of DATA is the last one."""
    place = {"Bucket": bucket.name, "Key": key}
    upload = {**place, "UploadId": bucket.client.create_multipart_upload(**place, **options)["UploadId"]}
    parts, at = [], 0
    for number, size in enumerate(sizes, 1):
        body = DATA[at : at + size]
        etag = bucket.client.upload_part(**upload, PartNumber=number, Body=body)["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
        at += size
    bucket.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    return DATA[:at]


PARTS = {
    "boto3": [8 * MB, 8 * MB, MB],
    "rclone": [5 * MB, 5 * MB, 5 * MB, 2 * MB + 5],
    "odd": [5 * MB + 1] * 3,
    "unequal": [5 * MB, 6 * MB, 5 * MB, 5],
    "one": [2 * MB],
    "one small": [1000],
    "one large": [17 * MB + 5],
}
QUICK = ("boto3", "unequal", "one small")


@pytest.mark.parametrize(
    "kind",
    [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.heavy) for kind in PARTS],
)
def test_a_flipped_bit_is_found_and_nothing_else(spoiled: Spoiled, kind):
    data = put_parts(spoiled.bucket, "p/k", PARTS[kind])
    for flips in (0, 1):
        fault = spoiled.proxy.add(Fault("flip_bit", path="/p/k", after=999, times=flips))
        copy_file(spoiled.bucket.url("p/k"), str(spoiled.folder / "to"))
        assert content(spoiled.folder) == {"to": data}
        assert fault.used == flips


def test_what_mindlift_has_uploaded_in_parts(spoiled: Spoiled):
    write(spoiled.folder / "from", {"k": DATA})
    copy_tree(str(spoiled.folder / "from"), spoiled.bucket.url("p"), processes=False)
    head = spoiled.bucket.client.head_object(Bucket=spoiled.bucket.name, Key="p/k")
    assert head["Metadata"] == {"mindlift-part-size": str(LEAST_PART)}
    spoiled.proxy.add(Fault("flip_bit", path="/p/k", after=999, times=2))
    copy_file(spoiled.bucket.url("p/k"), str(spoiled.folder / "once"))
    assert (spoiled.folder / "once").read_bytes() == DATA
    spoiled.proxy.add(Fault("flip_bit", path="/p/k", after=999, times=None))
    with pytest.raises(TransferError, match="GET .*/p/k: the MD5 of what came is not the object's"):
        copy_file(spoiled.bucket.url("p/k"), str(spoiled.folder / "twice"))
    assert sorted(content(spoiled.folder)) == ["from/k", "once"]


@pytest.mark.heavy
def test_parts_of_a_size_that_only_mindlift_knows(spoiled: Spoiled, monkeypatch):
    monkeypatch.setattr("mindlift.storage.copying.upload.LEAST_PART", 5 * MB + 1)
    write(spoiled.folder / "from", {"k": DATA})
    copy_tree(str(spoiled.folder / "from"), spoiled.bucket.url("p"), processes=False)
    spoiled.proxy.add(Fault("flip_bit", path="/p/k", after=999, times=2))
    copy_file(spoiled.bucket.url("p/k"), str(spoiled.folder / "to"))
    assert (spoiled.folder / "to").read_bytes() == DATA


@pytest.fixture(scope="module")
def encrypting() -> Iterator[Minio]:
    """A MinIO with a key of its own, which it encrypts with when it is asked to."""
    with pytest.MonkeyPatch.context() as patch:
        key = base64.b64encode(bytes(32)).decode()
        settings = Minio.settings
        patch.setattr(
            Minio, "settings", lambda self: {**settings(self), "MINIO_KMS_SECRET_KEY": f"key:{key}"}
        )
        with Minio() as server:
            yield server


@pytest.mark.parametrize("kind", [pytest.param("AES256", marks=pytest.mark.heavy), "aws:kms"])
def test_encrypted_objects_are_not_refused(encrypting, tmp_path, monkeypatch, kind):
    """Amazon: "Objects encrypted by SSE-C or SSE-KMS have ETags that are not an MD5 digest of their data"."""
    for name, value in credentials(encrypting).items():
        monkeypatch.setenv(name, value)
    client, name = s3_client(encrypting), f"b-{kind.replace(':', '-').lower()}"
    client.create_bucket(Bucket=name)
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": kind, "KMSMasterKeyID": "key"}}
    if kind == "AES256":
        del rule["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"]
    client.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [rule]})
    bucket = Bucket(encrypting, name)
    bucket.put({"small": b"small", "whole": DATA[: 9 * MB]}, "p/")
    put_parts(bucket, "p/parts", [8 * MB, 8 * MB, MB])
    monkeypatch.setattr("mindlift.storage.copying.upload.MULTIPART_FROM", 5 * MB)
    expected = {"small": b"small", "whole": DATA[: 9 * MB], "parts": DATA[: 17 * MB]}
    try:
        copy_tree(bucket.url("p"), str(tmp_path / "to"), processes=False)
        assert content(tmp_path / "to") == expected
        copy_tree(str(tmp_path / "to"), bucket.url("up"), processes=False)
        copy_tree(bucket.url("up"), str(tmp_path / "again"), processes=False)
        assert content(tmp_path / "again") == expected
        assert file.read(bucket.url("up/small")) == "small"
        copy_tree(bucket.url("up"), bucket.url("copied"), processes=False)
        assert bucket.content("copied/") == expected
    finally:
        SERVICES.forget()


@pytest.mark.parametrize(
    ("host", "headers", "expected"),
    [
        ("s3.amazonaws.com", {}, False),
        ("s3.amazonaws.com", {"x-amz-server-side-encryption": "AES256"}, False),
        ("s3.amazonaws.com", {"x-amz-server-side-encryption": "aws:kms"}, True),
        ("s3.amazonaws.com", {"x-amz-server-side-encryption": "aws:kms:dsse"}, True),
        ("s3.amazonaws.com", {"x-amz-server-side-encryption-customer-algorithm": "AES256"}, True),
        ("obs.cn-north-4.myhuaweicloud.com", {"x-amz-server-side-encryption": "AES256"}, True),
        ("obs.cn-north-4.myhuaweicloud.com", {"x-obs-server-side-encryption": "kms"}, True),
    ],
)
def test_which_encryption_hides_the_md5(host, headers, expected):
    """Amazon's and Huawei's words on ETags of encrypted objects."""
    message = HTTPMessage()
    for name, value in headers.items():
        message[name] = value
    assert hides_md5(message, Settings(f"https://{host}").is_obs) == expected


def test_the_etag_of_parts():
    """The MD5 of the MD5s, one after the other, and their number."""
    data = bytes(range(256)) * 5
    digests = [hashlib.md5(data[at : at + 500]).digest() for at in (0, 500, 1000)]
    etag = f"{hashlib.md5(b''.join(digests)).hexdigest()}-3"
    assert etag_by(len(data), 500, etag, digest_of(data)) == etag
    whole = hashlib.md5(data).hexdigest()
    assert etag_by(len(data), len(data), whole, digest_of(data)) == whole


@pytest.mark.parametrize(
    ("size", "etag", "sizes"),
    [
        (10, "0" * 32, [10]),
        (10, f"{'0' * 32}-1", [10]),
        (17 * MB, f"{'0' * 32}-2", [16 * MB, 9 * MB, 15 * MB, 10 * MB, 12 * MB, 17_179_870]),
        (1 << 30, f"{'0' * 32}-128", [8 * MB]),
        (1 << 30, f"{'0' * 32}-129", []),
        (10, "", []),
        (10, "anything", []),
        (10, f"{'0' * 32}-0", []),
    ],
)
def test_sizes_that_parts_may_have(size, etag, sizes):
    assert part_sizes(size, etag) == sizes
