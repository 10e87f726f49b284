"""Whose account and which project a job belongs to, from the environment and the SDK's own file."""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from pathlib import Path

from mindlift import files
from mindlift.cloud.errors import JobError
from mindlift.storage import settings
from mindlift.storage.settings import Keys

AK, SK, TOKEN = "HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN"
PROJECT = "HUAWEICLOUD_SDK_PROJECT_ID"
FILE = "HUAWEICLOUD_SDK_CREDENTIALS_FILE"


def read_keys(env: Mapping[str, str]) -> Keys:
    """The variables of the SDK, its profile file, then what the storage layer reads; JobError for none."""
    found = settings.keys_in(env, (AK, SK, TOKEN))
    if found.access_key and found.secret_key:
        return found
    if found.access_key or found.secret_key:
        raise JobError(f"of {AK} and {SK} only one is set; set both")
    profile, source = read_profile(env), str(profile_path(env))
    if profile.get("ak") and profile.get("sk"):
        access, secret, token = (
            settings.key_text(f"{name} of {source}", profile.get(name))
            for name in ("ak", "sk", "security_token")
        )
        return Keys(access, secret, token, source)
    if known := settings.read_keys(env, {}):
        return known
    raise JobError(f"no keys for ModelArts: export {AK} and {SK}, or write them to {profile_path(env)}")


def read_project(env: Mapping[str, str]) -> str:
    """The project that the user has named; '' for none."""
    return env.get(PROJECT, "").strip() or read_profile(env).get("project_id", "")


def profile_path(env: Mapping[str, str]) -> Path:
    home = Path(env.get("HOME") or files.home())
    return Path(files.expanded(env[FILE])) if env.get(FILE) else home / ".huaweicloud" / "credentials"


def read_profile(env: Mapping[str, str]) -> dict[str, str]:
    """Section [basic] of the SDK's own file; empty without it."""
    path = profile_path(env)
    if not path.is_file():
        return {}
    parser = configparser.RawConfigParser()
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):  # the cause would show lines of the file
        raise JobError(
            f"{path} is no credentials file; expected [basic] with ak, sk and project_id"
        ) from None
    return dict(parser.items("basic")) if parser.has_section("basic") else {}
