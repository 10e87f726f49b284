"""The proxy between this machine and a host, by the variables that every program of HTTP knows."""

from __future__ import annotations

import base64
import os
import sys
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from mindlift.forks import FORKS

# elsewhere the system's settings name one; urllib.request takes as long to be imported as all the rest of a short copy
HAS_VARIABLES_ONLY = sys.platform not in ("darwin", "win32")


@dataclass(frozen=True)
class Proxy:
    """host:port of a proxy, '' for none, and the user and password that it wants, in Base64. Its repr shows none."""

    address: str = ""
    user: str = field(default="", repr=False)
    variable: str = ""

    def __str__(self) -> str:
        return f"{self.variable}={self.address}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Proxy-Authorization": f"Basic {self.user}"} if self.user else {}


def proxy_for(is_secure: bool, host: str) -> Proxy:
    """The proxy that the environment names for `host`, with or without a port, unless NO_PROXY has it."""
    if HAS_VARIABLES_ONLY and not any(name.lower().endswith("_proxy") for name in os.environ):
        return Proxy()
    with FORKS.importing():
        import urllib.request

    scheme = "https" if is_secure else "http"
    found = urllib.request.getproxies().get(scheme, "")
    if not found or is_spared(is_secure, host):
        return Proxy()
    user, _, address = (urlsplit(found).netloc or found).rpartition("@")
    names = (f"{scheme}_proxy", f"{scheme}_proxy".upper())
    variable = next((name for name in names if os.environ.get(name)), "the system's proxy")
    return Proxy(address, base64.b64encode(unquote(user).encode()).decode() if user else "", variable)


def is_spared(is_secure: bool, host: str) -> bool:
    """Whether NO_PROXY has the host, alone or with its port, which is the scheme's own if none is written."""
    with FORKS.importing():
        import urllib.request

    parts = urlsplit(f"//{host}")
    port = parts.port or (443 if is_secure else 80)
    return bool(urllib.request.proxy_bypass(f"{parts.hostname or host}:{port}"))
