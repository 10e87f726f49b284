"""The proxy between boto3 and MinIO: unchanged without a fault, and its faults are seen."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Fault
from tests.support.servers import Store, s3_client

DATA = bytes(range(256)) * 1000


def test_minio_and_boto3_work_through_it(minio: Store, bucket: str, fault_proxy: FaultProxy):
    client = s3_client(minio, fault_proxy.endpoint)
    place = {"Bucket": bucket, "Key": "a b/é+%41"}
    client.put_object(**place, Body=DATA)
    assert client.get_object(**place)["Body"].read() == DATA
    assert client.get_object(**place, Range="bytes=5-9")["Body"].read() == DATA[5:10]

    parts = [bytes(5 << 20), b"end"]
    upload = {**place, "UploadId": client.create_multipart_upload(**place)["UploadId"]}
    etags = [client.upload_part(**upload, PartNumber=n, Body=part)["ETag"] for n, part in enumerate(parts, 1)]
    listed = [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(etags, 1)]
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": listed})
    assert client.head_object(**place)["ContentLength"] == (5 << 20) + 3

    client.put_object(Bucket=bucket, Key="b", Body=b"")
    for version in ("list_objects", "list_objects_v2"):
        found = client.get_paginator(version).paginate(Bucket=bucket, PaginationConfig={"PageSize": 1})
        assert [[item["Key"] for item in page["Contents"]] for page in found] == [[place["Key"]], ["b"]]
    client.delete_object(**place)
    with pytest.raises(ClientError, match="NoSuchKey"):
        client.get_object(**place)
    assert {asked.fault for asked in fault_proxy.requests} == {""}


@pytest.mark.parametrize("version", ["list_objects", "list_objects_v2"])
def test_stale_token_of_minio(minio: Store, bucket: str, fault_proxy: FaultProxy, version: str):
    client = s3_client(minio, fault_proxy.endpoint)
    for key in ("d/a &", "d/b", "d/c"):
        client.put_object(Bucket=bucket, Key=key, Body=b"")
    fault = fault_proxy.add(Fault("stale_token", times=None))
    found = iter(client.get_paginator(version).paginate(Bucket=bucket, PaginationConfig={"PageSize": 1}))
    assert next(found)["Contents"][0]["Key"] == "d/a &"
    with pytest.raises(Exception, match="same next token"):
        list(found)
    assert fault.used == 1


def test_an_error_in_a_200_is_seen_by_boto3(minio: Store, bucket: str, fault_proxy: FaultProxy):
    client = s3_client(minio, fault_proxy.endpoint, retries={"total_max_attempts": 1})
    client.put_object(Bucket=bucket, Key="k", Body=DATA)
    fault_proxy.add(Fault("error_in_200", "PUT", "/copy"))
    with pytest.raises(ClientError, match="InternalError"):
        client.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k")


def test_a_flipped_upload_is_refused_by_minio(minio: Store, bucket: str, fault_proxy: FaultProxy):
    fault_proxy.add(Fault("flip_upload_bit", "PUT", after=1000))
    with pytest.raises(ClientError, match="XAmzContentSHA256Mismatch"):
        s3_client(minio, fault_proxy.endpoint).put_object(Bucket=bucket, Key="k", Body=DATA)
