"""moto's server behind a check of signatures, of which it makes none itself: other users of this machine can't use it.

`python -m mindlift.cloud.providers.local.signed_moto PORT`, with the key pair in the variables of KEYS. A request has to be
signed with it as AWS Signature Version 4 has it, in the header Authorization; presigned URLs are refused.
"""

from __future__ import annotations

import hmac
import os
import re
import signal
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any
from urllib.parse import quote

HOST = "127.0.0.1"
KEYS = ("MINDLIFT_MOTO_ACCESS_KEY", "MINDLIFT_MOTO_SECRET_KEY")
HEALTH = "/mindlift-health"
SCHEME = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/,\s]+)/(\d{8})/([\w-]+)/s3/aws4_request, ?SignedHeaders=([\w;-]+), ?Signature=([0-9a-f]{64})"
)
REFUSED = b"<Error><Code>SignatureDoesNotMatch</Code><Message>not signed with the key of this store</Message></Error>"
Environ = dict[str, Any]  # of WSGI (PEP 3333)
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class Signed:
    """A WSGI application that passes signed requests on to another one."""

    def __init__(self, inner: Application, access_key: str, secret_key: str):
        self.inner, self.access_key, self.secret_key = inner, access_key, secret_key

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == HEALTH:
            start_response("200 OK", [("Content-Length", "0")])
            return [b""]
        if is_signed(environ, self.access_key, self.secret_key):
            return self.inner(environ, start_response)
        start_response(
            "403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", str(len(REFUSED)))]
        )
        return [REFUSED]


def is_signed(environ: Environ, access_key: str, secret_key: str) -> bool:
    """Whether the signature of a request is that of its method, path, query, signed headers and digest of the body."""
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    found = SCHEME.fullmatch(environ.get("HTTP_AUTHORIZATION", ""))
    if not found or found[1] != access_key:
        return False
    _, day, region, signed, signature = found.groups()
    names = signed.split(";")
    if not {"host", "x-amz-date", "x-amz-content-sha256"} <= set(names):
        return False
    headers = {name: environ.get(variable(name), "") for name in names}
    if not headers["x-amz-date"].startswith(day):
        return False
    request = AWSRequest(environ["REQUEST_METHOD"], f"http://{HOST}{target(environ)}", headers=headers)
    request.context["timestamp"] = headers["x-amz-date"]
    signer = S3SigV4Auth(Credentials(access_key, secret_key), "s3", region)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    return hmac.compare_digest(signer.signature(text, request), signature)


def variable(header: str) -> str:
    """The name that WSGI gives to a header."""
    name = header.upper().replace("-", "_")
    return name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"


def target(environ: Environ) -> str:
    """Path and query as they came; werkzeug keeps them, PEP 3333 has the path decoded only."""
    raw = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if raw:
        return str(raw)
    path = quote(environ["PATH_INFO"].encode("latin-1"), safe="/~-._")
    return f"{path}?{environ['QUERY_STRING']}" if environ.get("QUERY_STRING") else path


def main() -> None:
    moto, werkzeug = (import_module(name) for name in ("moto.server", "werkzeug.serving"))
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    access_key, secret_key = (os.environ.pop(name) for name in KEYS)
    application = moto.DomainDispatcherApplication(moto.create_backend_app)
    werkzeug.run_simple(HOST, int(sys.argv[1]), Signed(application, access_key, secret_key), threaded=True)


if __name__ == "__main__":
    main()
