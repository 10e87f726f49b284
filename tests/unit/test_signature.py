"""Signatures of requests: AWS's own examples, and botocore's signer."""

from __future__ import annotations

import random

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from mindlift.storage.s3.signature import is_signed, signed

# Amazon S3 API Reference, sig-v4-header-based-auth.html, "Examples: Signature Calculations"
ACCESS_KEY, SECRET_KEY = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
HOST, MOMENT = "examplebucket.s3.amazonaws.com", "20130524T000000Z"
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
WELCOME = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
EXAMPLES = [
    (
        "GET",
        "/test.txt",
        {"Range": "bytes=0-9", "x-amz-content-sha256": EMPTY},
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    (
        "PUT",
        "/test%24file.text",
        {
            "Date": "Fri, 24 May 2013 00:00:00 GMT",
            "x-amz-storage-class": "REDUCED_REDUNDANCY",
            "x-amz-content-sha256": WELCOME,
        },
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    (
        "GET",
        "/?lifecycle",
        {"x-amz-content-sha256": EMPTY},
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    (
        "GET",
        "/?max-keys=2&prefix=J",
        {"x-amz-content-sha256": EMPTY},
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
]


@pytest.mark.parametrize(("method", "target", "headers", "signature"), EXAMPLES)
def test_the_examples_of_the_documentation(method, target, headers, signature):
    given = {name.lower(): value for name, value in {"Host": HOST, **headers}.items()}
    given["X-Amz-Content-SHA256"] = given.pop("x-amz-content-sha256")
    found = signed(method, target, given, ACCESS_KEY, SECRET_KEY, "us-east-1", moment=MOMENT)
    assert found["Authorization"].endswith(f"Signature={signature}")


@pytest.mark.parametrize("seed", range(40))
def test_botocore_signs_the_same(seed, monkeypatch):
    rng = random.Random(seed)
    target = "/bucket/" + rng.choice(["a", "a%20b/c", "%E4%B8%AD", "p//q", "~x-_.y"])
    target += rng.choice(["", "?prefix=a%2Fb&list-type=2", "?uploadId=x%3D&partNumber=3", "?uploads"])
    headers = {"Host": "store.example:9000"}
    if rng.random() < 0.5:
        headers.update({"Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg==", "Content-Length": "0"})
    if rng.random() < 0.5:
        headers.update({"If-Match": '"abc"', "Range": "bytes=0-  9"})
    token = rng.choice(["", "a token/+="])
    found = signed("GET", target, headers, "key", "secret/+", "cn-north-4", token=token, moment=MOMENT)

    request = AWSRequest("GET", f"http://store.example:9000{target}", headers=headers)
    request.context["client_config"] = Config(s3={"payload_signing_enabled": False})
    signer = S3SigV4Auth(Credentials("key", "secret/+", token or None), "s3", "cn-north-4")
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda **_: moment_of(MOMENT), raising=False)
    request.context["timestamp"] = MOMENT
    request.headers["X-Amz-Date"] = MOMENT
    request.headers["X-Amz-Content-SHA256"] = "UNSIGNED-PAYLOAD"
    if token:
        request.headers["X-Amz-Security-Token"] = token
    text = signer.string_to_sign(request, signer.canonical_request(request))
    assert found["Authorization"].endswith(f"Signature={signer.signature(text, request)}")


def moment_of(text: str):
    from datetime import datetime

    return datetime.strptime(text, "%Y%m%dT%H%M%SZ")


def test_a_signature_that_was_given_is_one():
    found = signed("GET", "/b/k?x=1", {"Host": "h"}, "key", "secret", "us-east-1")
    lower = {name.lower(): value for name, value in found.items()}

    def is_good(method="GET", target="/b/k?x=1", key="key", secret="secret", **changes):
        return is_signed(method, target, lambda name: {**lower, **changes}.get(name, ""), key, secret)

    assert is_good()
    assert not is_good(method="PUT")
    assert not is_good(target="/b/k?x=2")
    assert not is_good(key="other")
    assert not is_good(secret="other")
    assert not is_good(host="other")
