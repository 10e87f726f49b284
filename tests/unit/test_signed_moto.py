"""A rehearsal's store without MinIO: who has not its key reads and writes nothing there."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator

import boto3
import pytest
from botocore.client import Config
from botocore.exceptions import ClientError

from mindlift.cloud.providers.local.servers import Moto
from tests.support.servers import s3_client

ODD = ["a b", "ü/猫.txt", "a+b=c&d", "100%", "x'y(z)!*", "a//b", "~t"]


@pytest.fixture(scope="module")
def moto(tmp_path_factory) -> Iterator[Moto]:
    with Moto(tmp_path_factory.mktemp("moto"), "rehearsal", "0123456789abcdef") as server:
        s3_client(server).create_bucket(Bucket="bkt")
        yield server


def test_the_owner_of_the_key_does_all_that_boto3_does(moto):
    client = s3_client(moto)
    for name in ODD:
        client.put_object(Bucket="bkt", Key=name, Body=b"x" * 10)
        assert client.get_object(Bucket="bkt", Key=name, Range="bytes=1-3")["Body"].read() == b"xxx"
    found = client.list_objects_v2(Bucket="bkt", Prefix="a", Delimiter="/")
    assert found["KeyCount"] == 3
    upload = client.create_multipart_upload(Bucket="bkt", Key="big")["UploadId"]
    part = client.upload_part(Bucket="bkt", Key="big", UploadId=upload, PartNumber=1, Body=b"y" * 100)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    client.complete_multipart_upload(Bucket="bkt", Key="big", UploadId=upload, MultipartUpload=parts)
    client.copy_object(Bucket="bkt", Key="copy", CopySource="bkt/big")
    client.delete_objects(Bucket="bkt", Delete={"Objects": [{"Key": "copy"}, {"Key": "big"}]})


@pytest.mark.parametrize("keys", [("rehearsal", "wrong"), ("other", "0123456789abcdef")])
def test_other_keys_are_refused(moto, keys):
    client = boto3.client(
        "s3",
        endpoint_url=moto.endpoint,
        region_name="us-east-1",
        aws_access_key_id=keys[0],
        aws_secret_access_key=keys[1],
    )
    for ask in (
        lambda: client.list_objects_v2(Bucket="bkt"),
        lambda: client.put_object(Bucket="bkt", Key="code/train.py", Body=b"evil"),
        lambda: client.delete_object(Bucket="bkt", Key="a b"),
    ):
        with pytest.raises(ClientError, match="403|SignatureDoesNotMatch"):
            ask()


@pytest.mark.parametrize("path", ["/bkt", "/bkt/a%20b", "/moto-api/data.json", "/", "/moto-api/reset"])
@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
def test_who_signs_nothing_gets_nothing(moto, method, path):
    connection = http.client.HTTPConnection("127.0.0.1", moto.port, timeout=10)
    connection.request(method, path, body=b"evil" if method == "PUT" else None)
    assert connection.getresponse().status == 403
    assert s3_client(moto).list_buckets()["Buckets"]


def test_a_signature_is_of_one_request_alone(moto):
    """What was signed for one object, by any trick of another."""
    client = s3_client(moto)
    client.put_object(Bucket="bkt", Key="one", Body=b"1")
    seen = {}
    client.meta.events.register("before-send.s3.GetObject", lambda request, **_: seen.update(request.headers))
    client.get_object(Bucket="bkt", Key="one")
    headers = {name: value.decode() if isinstance(value, bytes) else value for name, value in seen.items()}
    assert ask(moto, "GET", "/bkt/one", headers) == 200
    assert ask(moto, "GET", "/bkt/two", headers) == 403
    assert ask(moto, "DELETE", "/bkt/one", headers) == 403
    assert ask(moto, "GET", "/bkt/one?acl", headers) == 403
    assert ask(moto, "GET", "/bkt/one", {**headers, "X-Amz-Date": "20200101T000000Z"}) == 403
    assert ask(moto, "GET", "/bkt/one", {**headers, "X-Amz-Content-SHA256": "0" * 64}) == 403


def test_presigned_urls_are_refused(moto):
    client = boto3.client(
        "s3",
        endpoint_url=moto.endpoint,
        region_name="us-east-1",
        aws_access_key_id=moto.access_key,
        aws_secret_access_key=moto.secret_key,
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    url = client.generate_presigned_url("get_object", Params={"Bucket": "bkt", "Key": "one"})
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10)


def ask(moto: Moto, method: str, path: str, headers: dict) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", moto.port, timeout=10)
    connection.request(method, path, headers={**headers, "Host": f"127.0.0.1:{moto.port}"})
    return connection.getresponse().status
