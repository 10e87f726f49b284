"""Keys among the files of a job's code: files that hold some by their name, and lines that look like one. Pure.

Code travels to a bucket or a repository that others may read. The forms of keys are those of gitleaks' default rules
(github.com/gitleaks/gitleaks, config/gitleaks.toml), whose mark `gitleaks:allow` on a line is honoured too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

NAMES = (
    ".env", ".env.*", "!.env.example", "!.env.sample", "!.env.template", ".envrc", ".netrc", "_netrc", ".pgpass", ".my.cnf",
    ".git-credentials", ".pypirc", ".npmrc", ".htpasswd", ".s3cfg", ".boto", ".obsutilconfig", ".vault-token", "credentials",
    "credentials.csv", "credentials.json", "client_secret*.json", "service-account*.json", "kubeconfig",
    "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.ppk",
    ".aws/", ".ssh/", ".gnupg/", ".kube/", ".docker/", ".azure/", ".gcloud/", ".huaweicloud/", ".openi/",
    "core", "!core/", "!credentials/", "core.[0-9]*", "*.core", "vmcore",
)  # fmt: off
"""As lines of a .gitignore. A core dump holds the memory of a process, environment included."""
ALLOW = re.compile(rb"gitleaks:allow|pragma: allowlist secret")
MOST_BYTES = 4 << 20  # of a file; a longer one is no source code
FORMS = {
    "an access key": rb"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b",
    "a private key": rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----\s*[\r\n]",
    "a token of GitHub": rb"\b(?:gh[pousr]_[0-9A-Za-z]{36}|github_pat_\w{82})\b",
    "a token of GitLab": rb"\bglpat-[\w-]{20}\b",
    "a token of Hugging Face": rb"\bhf_[A-Za-z]{34}\b",
    "a token of Slack": rb"\bxox[baprs]-[0-9A-Za-z-]{20,}",
    "a JSON web token": rb"\beyJ[\w-]{17,}\.eyJ[\w-]{17,}\.[\w-]{10,}",
    "a password in a URL": rb"://[^\s:@/\"'{}$<>%]{1,64}:(?P<told>[^\s:@/\"'{}$<>%*]{6,128})@[\w.-]+",
    "a key beside its name": rb"(?P<told>[A-Za-z0-9/+]{32,}={0,2})(?![\w./(\[])",
}
BEFORE = re.compile(
    rb"(?i)(?:token|secret|passwd|password|api_?key|access_?key|auth_?key|private_?key)[\w-]{0,20}[\"']?\s*[=:]\s*[\"']?$"
)
RANDOM = re.compile(
    rb"[0-9a-fA-F]+|(?=.*[0-9])(?=.*[a-z])(?=.*[A-Z]).+"
)  # hexadecimal, or of three kinds of letters
MEANT = re.compile(
    rb"(?i)example|x{6,}|\.{3}|password|passwd|placeholder|changeme|your|0{8,}|1234567"
)  # of documents


class Finding(NamedTuple):
    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} holds what looks like {self.what}"


def find(files: Mapping[str, bytes]) -> Iterator[Finding]:
    """The lines that look like keys. No part of them is in what is found."""
    for name, data in files.items():
        if len(data) <= MOST_BYTES and b"\0" not in data[:8192]:
            yield from find_in(name, data)


def find_in(name: str, data: bytes) -> Iterator[Finding]:
    for what, pattern in compiled().items():
        for match in pattern.finditer(data):
            told = match.groupdict().get("told") or match.group()
            if what == "a key beside its name" and not is_named(data, match.start(), told):
                continue
            start = data.rfind(b"\n", 0, match.start()) + 1
            line = data[start:].partition(b"\n")[0]
            if not ALLOW.search(line) and not MEANT.search(told):
                yield Finding(name, data.count(b"\n", 0, match.start()) + 1, what)


def is_named(data: bytes, at: int, told: bytes) -> bool:
    """Whether these letters are random, and the value of something that is called a key."""
    return bool(RANDOM.fullmatch(told) and BEFORE.search(data[max(0, at - 100) : at]))


@lru_cache(maxsize=1)
def compiled() -> dict[str, re.Pattern[bytes]]:
    return {what: re.compile(form) for what, form in FORMS.items()}


def spec_of(lines: Iterable[str]) -> GitIgnoreSpec:
    """Lines of a .gitignore; a job of MindLift's own needs no library for them."""
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec.from_lines(lines)
