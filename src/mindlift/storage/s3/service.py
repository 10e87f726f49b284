"""The store behind a set of keys: boto3's client for what is rare, HttpPlane for the rest, retries for both."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import warnings
from collections.abc import Mapping
from typing import Any

from mindlift.forks import FORKS, Shared
from mindlift.sanitize import address
from mindlift.storage import trust
from mindlift.storage.access import Access
from mindlift.storage.first_answer import CONNECT_S, Unreached, note_answer, tls_reason
from mindlift.storage.proxies import proxy_for
from mindlift.storage.retry import Broken, Refused, Retries
from mindlift.storage.s3.answers import check_operation
from mindlift.storage.s3.http_plane import HttpPlane

CONNECTIONS = 32

# botocore 1.36 and later send checksums that other stores than AWS refuse; before, there was nothing to switch off
CHECKSUMS = ("request_checksum_calculation", "response_checksum_validation")


class Service(Shared):
    """The store behind one Access, for all its buckets. Threads may share it, a forked child makes new clients."""

    def __init__(self, access: Access | None = None):
        super().__init__()
        if (
            importlib.util.find_spec("boto3") is None
        ):  # large files and deletes need it: said before hours of work
            raise ModuleNotFoundError("No module named 'boto3'", name="boto3")
        self.access = access or Access()
        self.retries = Retries(self.access)
        self.http = HttpPlane(self.access)
        self.is_conditional = not self.access.settings.is_obs
        self.clients: dict[object, Any] = {}

    def begin_anew(self) -> None:
        self.clients = {}

    def __reduce__(self) -> tuple:
        return Service, (self.access,)

    def call(self, what: str, operation: str, **arguments: object) -> dict[str, Any]:
        """One operation of boto3's client by its method name, retried; errors as callers expect them."""
        return self.retries.run(what, lambda: self.once(what, operation, arguments))

    def once(self, what: str, operation: str, arguments: Mapping[str, object]) -> dict[str, Any]:
        with FORKS.importing():
            import botocore.exceptions
            import botocore.parsers

        client = self.client()
        try:
            found = getattr(client, operation)(**arguments)
            note_answer(self.access)
            answer = found["ResponseMetadata"]
            self.http.origin.check(what, answer["HTTPStatusCode"], answer["HTTPHeaders"])
            check_operation(what, operation, arguments, found)
            return found
        except botocore.exceptions.ClientError as err:
            note_answer(self.access)
            answer, error = err.response.get("ResponseMetadata", {}), err.response.get("Error", {})
            after = answer.get("HTTPHeaders", {}).get("retry-after", "")
            status = int(answer.get("HTTPStatusCode") or 500)
            self.http.origin.check(what, status, answer.get("HTTPHeaders", {}))
            raise Refused(
                what,
                status,
                error.get("Code", ""),
                error.get("Message", ""),
                float(after) if after.isdigit() else None,
            ) from err
        except botocore.exceptions.ParamValidationError as err:
            raise ValueError(f"{what}: {' '.join(str(err).split())}") from err
        except botocore.parsers.ResponseParserError as err:
            raise Broken(f"{what}: the answer is no XML of a store") from err
        except (botocore.exceptions.BotoCoreError, ValueError) as err:
            text = address(" ".join(str(err).split()))
            permanent = isinstance(err, botocore.exceptions.SSLError) and tls_reason(str(err), self.access)
            if permanent:
                raise Unreached(f"{self.access.route}: {permanent}", hopeless=True) from err
            if isinstance(err, botocore.exceptions.ConnectionError) and not self.access.has_answered:
                raise Unreached(f"{self.access.route}: {text}") from err
            raise Broken(f"{what}: {text}") from err

    def client(self) -> Any:
        mark = self.access.keys()
        with self.lock:
            if mark not in self.clients:
                self.clients = {mark: make_client(self.access)}
            return self.clients[mark]


def make_client(access: Access) -> Any:
    """A boto3 client that OBS, MinIO and AWS understand. Retries are the caller's."""
    with FORKS.importing():
        import boto3
        import botocore.config

    warnings.filterwarnings("ignore", "Boto3 will no longer support Python 3.9")
    keys, settings = access.keys(), access.settings
    has_proxy = bool(proxy_for(settings.is_secure, settings.host).address)
    config = botocore.config.Config(
        proxies=None if has_proxy else {},  # None: those of the environment
        signature_version="s3v4",
        max_pool_connections=CONNECTIONS,
        tcp_keepalive=True,
        connect_timeout=min(CONNECT_S, settings.timeout_s),
        read_timeout=settings.timeout_s,
        retries={"mode": "standard", "total_max_attempts": 1},
        **{name: "when_required" for name in CHECKSUMS if name in botocore.config.Config.OPTION_DEFAULTS},
        s3={
            "addressing_style": "path" if settings.path_style else "virtual",
            "payload_signing_enabled": False,
        },
    )
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=settings.endpoint or None,
        region_name=settings.region,
        verify=trust.for_requests(settings.verify) if settings.is_secure else None,
        aws_access_key_id=keys.access_key,
        aws_secret_access_key=keys.secret_key,
        aws_session_token=keys.token or None,
        config=config,
    )
    client.meta.events.register("before-call.s3.DeleteObjects", content_md5)
    return client


def content_md5(params: dict[str, Any], **_: object) -> None:
    """OBS demands this header of a batch delete, and boto3 sends a checksum that OBS does not know."""
    headers, body = params["headers"], params["body"]
    params["context"].pop("checksum", None)  # botocore computes it after this event
    for name in [name for name in headers if name.lower() == "x-amz-sdk-checksum-algorithm"]:
        del headers[name]
    headers["Content-MD5"] = base64.b64encode(
        hashlib.md5(body if isinstance(body, bytes) else body.encode()).digest()
    ).decode()
