"""Programs that copy: the command lines of a verb, for places like s3://bench/folder and /folder."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path

import sync_planes
from sync_planes import PLANES, REGION

OURS = "mindlift"
PEER_THREADS = 64
FOREIGN = re.compile(
    r"(AWS|OBS|S3|RCLONE|MINDLIFT|CREDENTIAL)_|(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SECURITY_TOKEN)$|\w+_proxy$",
    re.IGNORECASE,
)  # variables that would lead a client elsewhere
COPY = """
import sys
from pathlib import Path
from mindlift.storage.copying.copy import copy_tree
copy_tree(sys.argv[1], sys.argv[2], manifest=Path(sys.argv[3]) if sys.argv[3] else None)
"""
LIST = """
import sys
from mindlift.storage.places import locate
store, folder = locate(sys.argv[1])
for entry in store.walk(folder):
    print(entry.size, entry.key)
"""
# Clients: the command lines of a verb, for places like s3://bench/folder and /folder


@dataclass(frozen=True)
class Client:
    """A program that copies, or a way of calling it."""

    name: str
    version: str  # '' if it is not installed
    command: Callable[[str, str, str], list[str]]  # of a verb, a source and a target
    env: Mapping[str, str] = field(default_factory=dict)
    is_plane: bool = False  # knows downloads only


def clients(options: argparse.Namespace, folder: Path) -> list[Client]:
    ours = partial(mindlift, folder)
    found = [
        Client(OURS, version_of("mindlift"), ours),
        peer("s5cmd", options.s5cmd, s5cmd, "version", "github.com/peak/s5cmd/v2"),
        peer("rclone", options.rclone, rclone, "version", "github.com/rclone/rclone"),
        peer("aws", options.aws, aws, "--version"),
    ]
    if options.planes:
        found += [Client(f"plain {name}", version_of(name), plane(name), is_plane=True) for name in PLANES]
    return found


def mindlift(folder: Path, verb: str, source: str, target: str) -> list[str]:
    if verb == "list":
        return [sys.executable, "-c", LIST, source]
    manifest = str(folder / f"{Path(target).name}.manifest") if verb == "sync" else ""
    return [sys.executable, "-c", COPY, source, target, manifest]


def s5cmd(program: str, verb: str, source: str, target: str) -> list[str]:
    source = f"{source}/*" if is_remote(source) else f"{source}/"
    if verb == "list":
        return [program, "ls", source]
    copy = "cp" if verb == "copy" else "sync"
    return [program, "--log", "error", "--numworkers", f"{PEER_THREADS}", copy, source, f"{target}/"]


def rclone(program: str, verb: str, source: str, target: str) -> list[str]:
    source, target = (place.replace("s3://", "bench:") for place in (source, target))
    if verb == "list":
        return [program, "lsf", "--recursive", "--files-only", "--format", "sp", "--fast-list", source]
    many = ["--transfers", f"{PEER_THREADS}", "--checkers", f"{PEER_THREADS}", "--fast-list"]
    return [program, "copy", *many, "--s3-no-head", "--s3-no-check-bucket", "--size-only", source, target]


def aws(program: str, verb: str, source: str, target: str) -> list[str]:
    if verb == "list":
        return [program, "s3", "ls", "--recursive", f"{source}/"]
    how = ["cp", "--recursive"] if verb == "copy" else ["sync"]
    return [program, "s3", *how, "--only-show-errors", source, target]


def peer(name: str, given: Path | None, command: Callable, ask: str, module: str = "") -> Client:
    program = shutil.which(given or name)
    if program is None and given:
        sys.exit(f"bench_sync: no program {given}")
    version = program_version(program, ask, module) if program else ""
    return Client(name, version, partial(command, os.path.abspath(program or name)))


def plane(name: str) -> Callable[[str, str, str], list[str]]:
    return lambda _, source, target: [sys.executable, sync_planes.__file__, name, source, target]


def program_version(program: str, ask: str, module: str = "") -> str:
    """What a Go binary knows of the module that it was built from, else what it says itself."""
    known = rb"(?:mod|dep)\t%s\tv([\w.+-]+)" % re.escape(module.encode())
    built = re.search(known, Path(program).read_bytes()) if module else None
    if built:
        return built[1].decode()
    said = subprocess.run([program, ask], capture_output=True, text=True, check=True).stdout
    version = re.search(r"\d[\w.-]+", said)
    return version[0] if version else "unknown"


def version_of(package: str) -> str:
    """'' if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


ENDPOINT_NAMES = ("AWS_ENDPOINT_URL", "S3_ENDPOINT_URL", "RCLONE_CONFIG_BENCH_ENDPOINT")


def is_remote(place: str) -> bool:
    return place.startswith("s3://")


def environment(
    endpoint: str, access_key: str, secret_key: str, trusted: Path | None = None
) -> dict[str, str]:
    """Leads every client to the store, whatever the user has configured; `trusted` has signed its certificate."""
    own = {name: value for name, value in os.environ.items() if not FOREIGN.match(name)}
    return {
        **own,
        **({"AWS_CA_BUNDLE": str(trusted), "SSL_CERT_FILE": str(trusted)} if trusted else {}),
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "AWS_REGION": REGION,
        **dict.fromkeys(ENDPOINT_NAMES, endpoint),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "RCLONE_CONFIG": "",
        "RCLONE_CONFIG_BENCH_TYPE": "s3",
        "RCLONE_CONFIG_BENCH_PROVIDER": "Minio",
        "RCLONE_CONFIG_BENCH_ENV_AUTH": "true",
        "RCLONE_CONFIG_BENCH_REGION": REGION,
    }
