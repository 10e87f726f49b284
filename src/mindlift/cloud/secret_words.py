"""Words of a command line, and variables, that look like secrets: by their name or by their own form. Pure.

Names of options are more various than those of variables: --tokenizer, --pad_token and --image_key are no secrets.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

ALWAYS = re.compile(
    r"(^|_)(passw(or)?d|passphrase|pwd|secrets?|credentials?|ak|sk|(api|access|secret|private|auth|ssh)_?key(_id)?"
    r"|(access|auth|api|bearer|security|session|refresh|hf|hub|git(hub|lab|ee)?|wandb|user|private|openi)_?token)$"
)
BY_VALUE = re.compile(r"(^|_)(token|key)$")  # where the value says whether it is one
PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")  # of a variable's name, between _ or capitals
SECRET_PART = re.compile(
    r"pass|pwd|pw|key|pat|jwt|bearer|creds|cookie|auth|authorization|netrc|dsn|webhook|ak|sk|sas|signature"
    r"|\w*(passw(or)?d|passphrase|passcode|secrets?|token|(api|access|secret|private)key|credentials?)"
)
STORE_PART = re.compile(r"database|db|mongo(db)?|redis|postgres(ql)?|mysql|amqp|broker|proxy")  # before _URL
LAST_PART = re.compile(
    r"file|path|dir|folder|name|type|url|host|port|size|length|count|limit|format"
)  # of no secret
PLAIN = re.compile(r"[+-]?\d{1,9}(\.\d+)?|true|false|yes|no|on|off|none|null|", re.IGNORECASE)
RANDOM = re.compile(r"(?=.*[A-Za-z])(?=.*\d)[A-Za-z0-9+/_=.-]{16,}")
KEYS = re.compile(
    r"(AKIA|ASIA)[A-Z0-9]{16}"  # Amazon's
    r"|(?=(.*\d){3})(?=(.*[A-Z]){3})[A-Z0-9]{20}"  # access keys of Huawei Cloud
    r"|(?=.*[A-Z])(?=.*[a-z])(?=(.*\d){3})[A-Za-z0-9/+]{40}"  # secret keys of both; digests have one case
    r"|gh[pousr]_\w{36,}|github_pat_\w{22,}|glpat-[\w-]{20,}|hf_[A-Za-z0-9]{30,}|sk-[\w-]{20,}"
    r"|eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+"  # a JSON web token
    r"|(?s:.*)-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*)"
)
PASSWORD_URL = re.compile(r"\w+://[^/\s:@]*:[^/\s@]+@")


def find(words: Sequence[str]) -> str:
    """The option, or the place, of the first secret among the words of a command line; '' for none."""
    for at, word in enumerate(words):
        name, equals, value = word.partition("=")
        is_option = word.startswith("-")
        if is_option and not equals:
            value = words[at + 1] if at + 1 < len(words) and not words[at + 1].startswith("--") else ""
        if is_option and has_secret(name, value):
            return name
        if is_key(word) or (equals and is_key(value)):
            return name if equals else f"word {at + 1}"
    return ""


def has_secret(option: str, value: str) -> bool:
    """Whether `--option value` tells one; a variable of the shell such as $TOKEN tells none."""
    if not value or value.startswith("$"):
        return False
    name = option.strip("-").replace("-", "_").lower()
    return bool(ALWAYS.search(name) or (BY_VALUE.search(name) and RANDOM.fullmatch(value)))


def is_key(text: str) -> bool:
    """Whether a value is a key by its own form, or a URL with a password in it."""
    return bool(KEYS.fullmatch(text) or PASSWORD_URL.search(text))


def is_secret_variable(name: str, value: str) -> bool:
    """Whether an environment variable tells a secret: GITHUB_PAT and DATABASE_URL do, MAX_TOKENS=5 and TOKEN_FILE don't."""
    parts = [part.lower() for part in PARTS.findall(name)]
    if not parts or PLAIN.fullmatch(value):
        return False
    if parts[-1] in ("url", "uri") and any(map(STORE_PART.fullmatch, parts)):
        return True
    if parts[-2:] == ["connection", "string"]:
        return True
    return not LAST_PART.fullmatch(parts[-1]) and any(map(SECRET_PART.fullmatch, parts))
