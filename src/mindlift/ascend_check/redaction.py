"""Logs without the names of people and machines, and without secrets."""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Callable

from mindlift.files import home

Redact = Callable[[str], str]

PRIVATE = re.compile(r"KEY|SECRET|TOKEN|PASSW|CREDENTIAL|ENDPOINT|PROXY|(?:^|_)[AS]K$", re.IGNORECASE)
USUAL = ("root", "localhost")  # names that tell nothing
SHORTEST_SECRET = 6  # not true or false
ASSIGNED = re.compile(
    r"(?i)\b([\w-]*(?:access_?key|secret|token|password|passwd)[\w-]*[\"']?\s*[=:]\s*)\S{8,}"
)
IN_URL = re.compile(r"(?<=://)[^/\s@]+@")
MAC = re.compile(r"\b[0-9a-f]{2}(?::[0-9a-f]{2}){5}\b", re.IGNORECASE)
IPV4 = re.compile(r"(?<![\w.])(?!127\.0\.0\.1\b|0\.0\.0\.0\b)\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\d)")
IPV6 = re.compile(r"(?<![\w:])(?:[0-9a-f]{1,4}:){3,7}(?::|[0-9a-f]{1,4})(?![\w:])", re.IGNORECASE)


def public(env: Mapping[str, str]) -> dict[str, str]:
    """An environment for the programs that are checked, none of which needs keys or addresses."""
    return {name: value for name, value in env.items() if not PRIVATE.search(name)}


def of_this_machine(folders: Mapping[str, Path]) -> Redact:
    """For what programs print here; `folders` are known by a name of ours, such as WORK."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        user = ""
    host = socket.gethostname()
    users, hosts = {user, Path(home()).name}, {host, host.partition(".")[0]}
    secrets = [value for name, value in os.environ.items() if PRIVATE.search(name)]
    return redactor(
        users, hosts, {**{name: str(path) for name, path in folders.items()}, "~": home()}, secrets
    )


def redactor(users: set[str], hosts: set[str], folders: Mapping[str, str], secrets: list[str]) -> Redact:
    """The function that takes them out of a text. Of `folders` (name -> path) the longest path wins."""
    known = [
        (value, "SECRET") for value in sorted(secrets, key=len, reverse=True) if len(value) >= SHORTEST_SECRET
    ]
    known += sorted(
        ((path, name) for name, path in folders.items() if path != "/"), key=lambda pair: -len(pair[0])
    )
    words = [(word, "HOST") for word in sorted(hosts, key=len, reverse=True)] + [
        (word, "USER") for word in users
    ]
    patterns = [
        (re.compile(rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])"), name)
        for word, name in words
        if word and word not in USUAL
    ]

    def line_redacted(line: str) -> str:
        if "version" not in line.lower() and not IPV4.fullmatch(line):  # versions have four numbers, too
            line = IPV4.sub("ADDRESS", line)
        return IPV6.sub("ADDRESS", MAC.sub("ADDRESS", line))

    def redact(text: str) -> str:
        for value, name in known:
            text = text.replace(value, name)
        text = ASSIGNED.sub(r"\1SECRET", IN_URL.sub("SECRET@", text))
        for pattern, name in patterns:
            text = pattern.sub(name, text)
        return "".join(line_redacted(line) for line in text.splitlines(keepends=True))

    return redact


def everywhere(value: object, redact: Redact) -> object:
    """The same in all strings of JSON-like data; names of fields are ours and stay."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {key: everywhere(each, redact) for key, each in value.items()}
    return [everywhere(each, redact) for each in value] if isinstance(value, (list, tuple)) else value
