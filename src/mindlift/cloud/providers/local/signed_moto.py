"""moto's server behind a check of signatures, of which it makes none itself: other users of this machine can't use it.

`python -m mindlift.cloud.providers.local.signed_moto PORT`, with the key pair in the variables of KEYS. A request has to be
signed with it as AWS Signature Version 4 has it, in the header Authorization; presigned URLs are refused.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from importlib import import_module
from typing import Any, Callable, Dict, Iterable
from urllib.parse import quote

from mindlift.storage.s3.signature import is_signed

HOST = "127.0.0.1"
KEYS = ("MINDLIFT_MOTO_ACCESS_KEY", "MINDLIFT_MOTO_SECRET_KEY")
HEALTH = "/mindlift-health"
REFUSED = b"<Error><Code>SignatureDoesNotMatch</Code><Message>not signed with the key of this store</Message></Error>"
Environ = Dict[str, Any]  # of WSGI (PEP 3333)
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class Signed:
    """A WSGI application that passes signed requests on to another one."""

    def __init__(self, inner: Application, access_key: str, secret_key: str):
        self.inner, self.access_key, self.secret_key = inner, access_key, secret_key

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == HEALTH:
            start_response("200 OK", [("Content-Length", "0")])
            return [b""]
        get = partial(header, environ)
        if is_signed(environ["REQUEST_METHOD"], target(environ), get, self.access_key, self.secret_key):
            return self.inner(environ, start_response)
        start_response(
            "403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", str(len(REFUSED)))]
        )
        return [REFUSED]


def header(environ: Environ, name: str) -> str:
    """A header of a request by its name; '' for none."""
    key = name.upper().replace("-", "_")
    return str(environ.get(key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}", ""))


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
