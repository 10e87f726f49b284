"""Which certificates are trusted: one file of them for every client of HTTP, whatever library it is made with.

boto3 and requests would take a file of their own, Python's ssl that of the system.
"""

from __future__ import annotations

import importlib.util
import os
import re
import ssl
from collections.abc import Mapping
from pathlib import Path

from mindlift.errors import ConfigError
from mindlift.storage.settings import CA_BUNDLES, read_ca_bundle

SYSTEM = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
VARIABLE = "AWS_CA_BUNDLE=FILE"
NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")


def bundle(verify: bool | str = True, env: Mapping[str, str] | None = None) -> str:
    """The file of trusted certificates; '' where there is none at all. ConfigError for one that can't be used.

    `verify` is a file, or anything else for that of the variables, of the system, or of certifi.
    """
    env = os.environ if env is None else env
    given = verify if isinstance(verify, str) else read_ca_bundle(env)
    if given:
        return usable(given, next((name for name in CA_BUNDLES if env.get(name) == given), "ssl_verify"))
    places = (ssl.get_default_verify_paths().cafile, *SYSTEM, of_certifi())
    return next((path for path in places if path and os.path.isfile(path)), "")


def of_certifi() -> str:
    found = importlib.util.find_spec("certifi")
    return str(Path(found.origin).with_name("cacert.pem")) if found and found.origin else ""


def usable(path: str, name: str) -> str:
    """`path`; ConfigError, with the variable that names it, for what holds no certificate."""
    try:
        with open(path, "rb"):
            pass
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        why = "it holds no certificate"
    except OSError as err:
        why = err.strerror or str(err)
    else:
        return path
    raise ConfigError(
        f"{name}={path} can't be used ({why}): expected a file of certificates in PEM form; unset it for the system's own"
    )


def context(verify: bool | str = True) -> ssl.SSLContext:
    """For Python's own clients; without checks for False."""
    if verify is False:
        made = ssl.create_default_context()
        made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
        return made
    return ssl.create_default_context(cafile=bundle(verify) or None)


def for_requests(verify: bool | str = True) -> bool | str:
    """What boto3 and requests call `verify`."""
    return False if verify is False else bundle(verify) or True


def reason(text: str, place: str) -> str:
    """What to do about an error of `place` that OpenSSL names so; '' for others. It will be the same tomorrow."""
    if "CERTIFICATE_VERIFY_FAILED" in text:
        why = re.search(r"certificate verify failed: (.+?) \(_ssl", text)
        about = f" ({why[1]})" if why else ""
        return f"the certificate of {place} is not trusted{about}: set {VARIABLE} to what has signed it"
    if any(name in text for name in NO_TLS):
        return f"{place} speaks no TLS; is it http:// instead of https://?"
    return ""
