"""Whose account and which project a job belongs to, from the environment and the SDK's own file."""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from pathlib import Path

from mindlift.cloud.errors import JobError
from mindlift.storage import settings
from mindlift.storage.settings import Keys

AK, SK, TOKEN = "HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN"
PROJECT = "HUAWEICLOUD_SDK_PROJECT_ID"
FILE = "HUAWEICLOUD_SDK_CREDENTIALS_FILE"


def read_keys(env: Mapping[str, str]) -> Keys:
    """The variables of the SDK, its profile file, then what the storage layer reads; JobError for none."""
    if env.get(AK) or env.get(SK):
        if not (env.get(AK) and env.get(SK)):
            raise JobError(f"of {AK} and {SK} only one is set; set both")
        return Keys(env[AK], env[SK], env.get(TOKEN, ""), AK)
    profile = read_profile(env)
    if profile.get("ak") and profile.get("sk"):
        source = str(profile_path(env))
        return Keys(profile["ak"], profile["sk"], profile.get("security_token", ""), source)
    if found := settings.read_keys(env, {}):
        return found
    raise JobError(f"no keys for ModelArts: export {AK} and {SK}, or write them to {profile_path(env)}")


def read_project(env: Mapping[str, str]) -> str:
    """The project that the user has named; '' for none."""
    return env.get(PROJECT) or read_profile(env).get("project_id", "")


def profile_path(env: Mapping[str, str]) -> Path:
    home = Path(env.get("HOME") or Path.home())
    return Path(env.get(FILE) or home / ".huaweicloud" / "credentials").expanduser()


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
