"""Whether a request is signed with a key pair, as AWS Signature Version 4 has it in the header Authorization."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable

SCHEME = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/,\s]+)/(\d{8})/([\w-]+)/s3/aws4_request, ?SignedHeaders=([\w;-]+), ?Signature=([0-9a-f]{64})"
)


def is_signed(
    method: str, target: str, header: Callable[[str], str], access_key: str, secret_key: str
) -> bool:
    """The signature is of the method, path and query (`target`, as they came), signed headers and digest of the body.

    `header` gives a header of the request by its name in small letters, '' for none. Presigned URLs are not signed by it.
    """
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    found = SCHEME.fullmatch(header("authorization"))
    if not found or found[1] != access_key:
        return False
    _, day, region, signed, signature = found.groups()
    headers = {name: header(name) for name in signed.split(";")}
    if not {"host", "x-amz-date", "x-amz-content-sha256"} <= set(headers):
        return False
    if not headers["x-amz-date"].startswith(day):
        return False
    request = AWSRequest(method, f"http://{headers['host']}{target}", headers=headers)
    request.context["timestamp"] = headers["x-amz-date"]
    signer = S3SigV4Auth(Credentials(access_key, secret_key), "s3", region)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    return hmac.compare_digest(signer.signature(text, request), signature)
