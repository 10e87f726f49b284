"""Who is answered: who knows the token, on this machine, under one of its own names. Pure.

Another site's page in the user's browser can send requests here and, by a name of its own that it turns to 127.0.0.1
(DNS rebinding), read the answers: so the name in the request counts. Other users of the machine reach the port as
well: so the token counts, which stands in the path, since a cookie would go to every port of this machine.
"""

from __future__ import annotations

import hmac
import re
from urllib.parse import urlsplit

OWN_NAME = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
PAGE = re.compile(r"/([A-Za-z0-9_-]{1,100})/([a-z]*(?:\.json)?)")
STRANGER = "this address is not one of MindLift's own"
UNKNOWN = "there is no such page; open the address that `mindlift ui` has printed"


def refusal(host: str, origin: str | None) -> str:
    """Why a request is not for us; '' if it is."""
    is_own = bool(OWN_NAME.fullmatch(host)) and (
        origin is None or OWN_NAME.fullmatch(urlsplit(origin).netloc)
    )
    return "" if is_own else STRANGER


def page_of(path: str, token: str) -> str | None:
    """The page that a path names, '' for the first one; None for a path without the token."""
    found = PAGE.fullmatch(path)
    is_known = found is not None and hmac.compare_digest(found[1].encode(), token.encode())
    return found[2] if found and is_known else None
