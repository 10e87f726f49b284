"""Object stores and platforms: whether keys are set, and from where. Their values and addresses' secrets never show."""

from __future__ import annotations

import configparser
import importlib.util
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Mapping
from urllib.parse import urlsplit

from mindlift import json_text
from mindlift.checkout import ROOT
from mindlift.doctor.finding import OK, WARNING, Finding, graded, shown
from mindlift.errors import ConfigError
from mindlift.files import expanded
from mindlift.files import home as user_home
from mindlift.storage import settings

Env = Mapping[str, str]
INSTALLER = ROOT / "scripts/minio.sh"
ONLY_FOR_OBS = "none set, needed only for obs:// paths"
MINIO_KEYS = ("MINIO_ACCESS_KEY", "MINIO_SECRET_KEY")
HUAWEI_KEYS = ("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK")
ANSWERS_WITHIN_S = 0.5


def all_findings() -> Iterator[Finding]:
    home = Path(user_home())
    yield minio(os.environ)
    yield store_address(os.environ)
    yield store_keys(os.environ, home)
    yield proxies(os.environ)
    yield modelarts(os.environ, home)
    yield openi(os.environ, home)


def minio(env: Env) -> Finding:
    """What rehearsals of cloud jobs and the storage tests use."""
    if env.get("MINIO_ENDPOINT"):
        missing = [name for name in MINIO_KEYS if not env.get(name)]
        says = f"MINIO_ENDPOINT is {address(env['MINIO_ENDPOINT'])}"
        if missing:
            return Finding(
                "minio", WARNING, f"{says}, {' and '.join(missing)} not set", "set endpoint and keys together"
            )
        return graded(
            "minio",
            answers(env["MINIO_ENDPOINT"]),
            f"{says}, keys are set",
            "it does not answer: start it, or unset MINIO_ENDPOINT",
        )
    binary = Path(env["MINIO_BINARY"]) if env.get("MINIO_BINARY") else installed_minio(env)
    if binary.is_file():
        return Finding("minio", OK, shown(binary))
    if importlib.util.find_spec("moto"):
        return Finding("minio", OK, "none; rehearsals use moto in its place (`make minio` builds one)")
    return Finding("minio", WARNING, "none", "needed to rehearse cloud jobs only: make minio")


def installed_minio(env: Env) -> Path:
    """Where scripts/minio.sh puts it."""
    version = re.search(r"^version=.*-(\w+)$", INSTALLER.read_text(), re.MULTILINE)
    cache = Path(env.get("MINDLIFT_CACHE") or Path(user_home()) / ".cache/mindlift")
    return cache / "bin" / f"minio-{version[1] if version else ''}"


def address(text: str) -> str:
    """The host and port of an endpoint. A name and password before them stay out, and a key that was put there by mistake."""
    place = re.split(r"[/?#]", text.partition("://")[2] or text, maxsplit=1)[0].rpartition("@")[2]
    is_host = re.fullmatch(r"localhost|[\w-]+(\.[\w-]+)+(:\d+)?|[\w-]+:\d+|\[[\da-fA-F:]+\](:\d+)?", place)
    return place if is_host else "set, but not a host:port"


def answers(endpoint: str) -> bool:
    """Whether something listens there."""
    try:
        place = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
        port = place.port or (443 if place.scheme == "https" else 80)
        socket.create_connection((place.hostname or "", port), ANSWERS_WITHIN_S).close()
    except (OSError, ValueError):
        return False
    return True


def store_address(env: Env) -> Finding:
    name = next((each for each in settings.ENDPOINTS if env.get(each)), "")
    if not name:
        return Finding("s3 endpoint", OK, "none set: obs:// means AWS, or OBS of a cloud job's region")
    try:
        found = settings.read_endpoint(env, {})
        scheme, place = found.partition("://")[0], address(found)
    except ConfigError:  # its message quotes the value
        return Finding(
            "s3 endpoint",
            WARNING,
            f"{name} is set, but no address",
            "expected http(s)://host:port, without a bucket",
        )
    return Finding("s3 endpoint", OK, f"{place}, by {scheme}, as {name} says")


def store_keys(env: Env, home: Path) -> Finding:
    try:
        found = settings.read_keys(env, {})
    except ConfigError as err:  # it names variables and files only
        return Finding("s3 keys", WARNING, " ".join(str(err).split()), "set both, or unset both")
    if found:
        token = " with a token" if found.token else ""
        return Finding("s3 keys", OK, f"set{token}, by {shown(found.source)}")
    file = Path(env.get("AWS_SHARED_CREDENTIALS_FILE") or home / ".aws" / "credentials")
    return Finding("s3 keys", OK, f"by {shown(file)}" if file.is_file() else ONLY_FOR_OBS)


def proxies(env: Env) -> Finding:
    """A proxy that is asked for 127.0.0.1 breaks rehearsals, whose store is there."""
    names = [
        name for name in ("http_proxy", "https_proxy", "all_proxy") if env.get(name) or env.get(name.upper())
    ]
    spared = (env.get("no_proxy") or env.get("NO_PROXY") or "").replace(" ", "").split(",")
    is_well = not names or "127.0.0.1" in spared or "*" in spared
    return graded(
        "proxy", is_well, f"{', '.join(names) or 'none'} set", "export no_proxy=127.0.0.1,localhost"
    )


def modelarts(env: Env, home: Path) -> Finding:
    given = [name for name in HUAWEI_KEYS if env.get(name)]
    if len(given) == 1:
        return Finding(
            "modelarts keys", WARNING, f"only {given[0]} is set", f"set {' and '.join(HUAWEI_KEYS)}"
        )
    if given:
        return Finding("modelarts keys", OK, f"set, by {HUAWEI_KEYS[0]}")
    named = env.get("HUAWEICLOUD_SDK_CREDENTIALS_FILE")
    file = Path(expanded(named)) if named else home / ".huaweicloud" / "credentials"
    if has_keys(file):
        return Finding("modelarts keys", OK, f"set, by {shown(file)}")
    return Finding("modelarts keys", OK, "none set, needed only to submit jobs there")


def has_keys(file: Path) -> bool:
    parser = configparser.RawConfigParser()
    try:
        parser.read(file, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError, OSError):
        return False
    return all(parser.get("basic", name, fallback="") for name in ("ak", "sk"))


def openi(env: Env, home: Path) -> Finding:
    if env.get("OPENI_TOKEN"):
        return Finding("openi token", OK, "set, by OPENI_TOKEN")
    file = home / ".openi" / "token.json"
    try:
        is_there = bool(json_text.read(file).get("token"))
    except FileNotFoundError:
        is_there = False
    except (OSError, ValueError, AttributeError):
        return Finding(
            "openi token", WARNING, f"{shown(file)} can't be read", "export OPENI_TOKEN, or `openi login`"
        )
    return Finding(
        "openi token",
        OK,
        f"set, by {shown(file)}" if is_there else "none set, needed only to submit jobs there",
    )
