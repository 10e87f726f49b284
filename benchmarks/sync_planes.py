"""Ways for a Python program to fetch one object; each runs on threads of a child."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

REGION = "us-east-1"
PLANE_THREADS = 32
# Planes: ways for a Python program to fetch one object; each runs on threads of a child


def download(name: str, source: str, target: str) -> None:
    """All objects below `source` into the folder `target`."""
    import boto3

    bucket, _, prefix = source[len("s3://") :].partition("/")
    fetch = PLANES[name](bucket)
    pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
    paths = [Path(target, key[len(prefix) + 1 :]) for key in keys]
    for folder in {path.parent for path in paths}:
        folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(PLANE_THREADS) as threads:
        for _ in threads.map(fetch, keys, paths):
            pass


Fetch = Callable[[str, Path], Any]


def by_boto3(bucket: str) -> Fetch:
    import boto3
    from botocore.config import Config

    client = boto3.client("s3", config=Config(max_pool_connections=PLANE_THREADS))
    return lambda key, path: client.download_file(bucket, key, str(path))


def by_urllib3(bucket: str) -> Fetch:
    """botocore signs, urllib3 fetches."""
    import urllib3
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.session import Session

    pool = urllib3.PoolManager(maxsize=PLANE_THREADS)
    signer = S3SigV4Auth(Session().get_credentials(), "s3", REGION)

    def fetch(key: str, path: Path) -> None:
        request = AWSRequest("GET", f"{os.environ['AWS_ENDPOINT_URL']}/{bucket}/{quote(key)}")
        signer.add_auth(request)
        answer = pool.request("GET", request.url, headers=dict(request.headers), preload_content=False)
        if answer.status != 200:
            raise OSError(f"{key}: status {answer.status}")
        with path.open("wb") as file:
            shutil.copyfileobj(answer, file, 1 << 20)
        answer.release_conn()

    return fetch


def by_awscrt(bucket: str) -> Fetch:
    from awscrt import auth, http, io, s3

    group = io.EventLoopGroup()
    keys = auth.AwsCredentialsProvider.new_environment()
    client = s3.S3Client(
        bootstrap=io.ClientBootstrap(group, io.DefaultHostResolver(group)),
        region=REGION,
        tls_mode=s3.S3RequestTlsMode.DISABLED,
        signing_config=s3.create_default_s3_signing_config(region=REGION, credential_provider=keys),
    )
    host = os.environ["AWS_ENDPOINT_URL"].partition("://")[2]

    def fetch(key: str, path: Path) -> None:
        request = http.HttpRequest("GET", f"/{bucket}/{quote(key)}", http.HttpHeaders([("Host", host)]))
        kind = s3.S3RequestType.GET_OBJECT
        client.make_request(type=kind, request=request, recv_filepath=str(path)).finished_future.result()

    return fetch


def by_obstore(bucket: str) -> Fetch:
    from obstore.store import S3Store

    store = S3Store(bucket, client_options={"allow_http": True}, virtual_hosted_style_request=False)

    def fetch(key: str, path: Path) -> None:
        with path.open("wb") as file:
            for piece in store.get(key).stream(min_chunk_size=1 << 20):
                file.write(piece)

    return fetch


PLANES = {"boto3": by_boto3, "urllib3": by_urllib3, "awscrt": by_awscrt, "obstore": by_obstore}


if __name__ == "__main__":
    download(*sys.argv[1:])
