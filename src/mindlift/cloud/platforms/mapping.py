"""Platform paths below a folder of this machine. Pure."""

from __future__ import annotations

import re

NAMES = "/cache|/home/ma-user|/home/work|/tmp|/user/config"
FOLDERS = NAMES.split("|")
# not inside another path (/data/cache) and not in a URL (obs://bucket/cache, s3:///cache)
PATH = re.compile(rf"(?<![\w./-])(?<!:/)(?<!//)({NAMES})(?=/|$|[\s\"',:;\]}}])")


def mapped(root: str, text: str) -> str:
    """`text` with each platform path in it below `root`: values of variables, arguments, JSON in them."""
    return PATH.sub(lambda match: root + match.group(1), text)
