"""How to reach the store and with which keys: `set_auth`, environment variables, profile files.

| what | first that is set |
|---|---|
| endpoint | set_auth(server, port, is_secure), S3_ENDPOINT, OBS_ENDPOINT, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, else AWS |
| http or https | is_secure, S3_USE_HTTPS (0 or 1), the endpoint's own scheme, else https |
| certificates | ssl_verify, S3_VERIFY_SSL (0: not checked), AWS_CA_BUNDLE, REQUESTS_CA_BUNDLE or SSL_CERT_FILE (a file), else the system's |
| keys | set_auth(ak, sk), ACCESS_KEY_ID + SECRET_ACCESS_KEY, OBS_*, AWS_*, CREDENTIAL_PROFILES_FILE, then boto3's own chain (AWS_SHARED_CREDENTIALS_FILE, ~/.aws, roles) |
| token | SECURITY_TOKEN, OBS_SECURITY_TOKEN or AWS_SESSION_TOKEN of the same family as the keys |
| addressing | path_style, S3_ADDRESSING_STYLE (path or virtual), else virtual on OBS and AWS, path elsewhere |
| region | AWS_REGION, AWS_DEFAULT_REGION, the part of the OBS host after `obs.`, else us-east-1 |
"""

from __future__ import annotations

import configparser
import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Mapping, Sequence
from urllib.parse import urlsplit

from mindlift.errors import ConfigError
from mindlift.sanitize import address

Env = Mapping[str, str]
KEY_FAMILIES = (
    ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SECURITY_TOKEN"),
    ("OBS_ACCESS_KEY_ID", "OBS_SECRET_ACCESS_KEY", "OBS_SECURITY_TOKEN"),
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
)
PROFILE_KEYS = (
    ("aws_access_key_id", "access_key_id", "access_key", "ak"),
    ("aws_secret_access_key", "secret_access_key", "secret_key", "sk"),
    ("aws_session_token", "security_token", "session_token", "securitytoken"),
)
ENDPOINTS = ("S3_ENDPOINT", "OBS_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
CA_BUNDLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
OFF = ("0", "false", "no", "off")
VIRTUAL_HOSTS = re.compile(
    r"(^|\.)obs[.-]|\.amazonaws\.com(\.cn)?$|myhuaweicloud|aliyuncs\.com$|myqcloud\.com$"
)


@dataclass(frozen=True)
class Keys:
    """One access key. Its repr shows nothing of it."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)
    source: str = ""


@dataclass(frozen=True)
class Settings:
    """Everything that a client of the store is made from."""

    endpoint: str = ""  # scheme://host[:port]; '' means AWS
    region: str = "us-east-1"
    path_style: bool = False
    verify: bool | str = True  # or the path of a CA bundle
    timeout_s: float = 60.0  # between two pieces of an answer
    attempts: int = 10
    retry_wait_s: float = 0.1
    list_max_keys: int = 1000
    long_connections: bool = True
    endpoint_name: str = ""  # the variable that the endpoint is from, or `server`

    @property
    def host(self) -> str:
        amazon = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
        return urlsplit(self.endpoint).netloc or f"s3.{self.region}.{amazon}"

    @property
    def named_endpoint(self) -> str:
        """The store with the variable that names it."""
        if not self.endpoint_name:
            return f"{self.host} (AWS, because {ENDPOINTS[0]} is not set)"
        return f"{self.endpoint_name}={self.endpoint}"

    @property
    def is_obs(self) -> bool:
        host = self.host.split(":")[0]
        return "obs" in host.replace("-", ".").split(".") or "myhuaweicloud" in host

    @property
    def is_secure(self) -> bool:
        return not self.endpoint.startswith("http://")


def read_settings(env: Env, given: Mapping[str, object]) -> Settings:
    """Settings from the environment and the keywords of `set_auth`; ConfigError in one line."""
    endpoint = read_endpoint(env, given)
    host = urlsplit(endpoint).hostname or ""
    region = env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or region_of(host)
    return Settings(
        endpoint,
        region,
        read_path_style(env, given, host),
        read_verify(env, given),
        timeout_s=number(given, "client_timeout", 60.0, least=0.001),
        attempts=int(number(given, "retry", 10)),
        retry_wait_s=number(given, "retry_wait", 0.1),
        list_max_keys=int(number(given, "list_max_keys", 1000, least=1)),
        long_connections=given.get("long_conn_mode") is not False,
        endpoint_name=endpoint_name(env, given),
    )


def read_endpoint(env: Env, given: Mapping[str, object]) -> str:
    name = endpoint_name(env, given)
    text = str(given["server"]) if name == "server" else env.get(name, "")
    secure = given.get("is_secure")
    if secure is None and env.get("S3_USE_HTTPS"):
        secure = env["S3_USE_HTTPS"].lower() not in OFF
    if not text:
        return ""
    scheme, _, rest = text.strip().rpartition("://")
    host = rest.strip("/ \t\r\n")
    if secure is None:
        secure = scheme.lower() != "http"
    if given.get("port") and not re.search(r":\d+$", host):
        host = f"{host}:{given['port']}"
    refuse_user(name, host)
    if not host or "/" in host or scheme.lower() not in ("", "http", "https"):
        raise ConfigError(
            f"{name} is {address(text)!r}: expected host, host:port or http(s)://host:port of the store, without a bucket"
        )
    return f"{'https' if secure else 'http'}://{host}"


def refuse_user(name: str, address: str) -> None:
    """ConfigError for an address with a user or a password in it, which would be shown and stored with it."""
    if "@" in address:
        raise ConfigError(
            f"{name} has a user or a password in it; write http(s)://host:port alone, and keys into their own variables"
        )


def endpoint_name(env: Env, given: Mapping[str, object]) -> str:
    """The variable that the endpoint is read from, `server` for the keyword of `set_auth`, '' for none."""
    if given.get("server"):
        return "server"
    return next((variable for variable in ENDPOINTS if env.get(variable)), "")


def read_path_style(env: Env, given: Mapping[str, object], host: str) -> bool:
    style = env.get("S3_ADDRESSING_STYLE", "").lower()
    if given.get("path_style") is not None:
        return bool(given["path_style"])
    if style not in ("", "auto", "path", "virtual"):
        raise ConfigError(f"S3_ADDRESSING_STYLE is {style!r}; choose one of path, virtual, auto")
    if style in ("path", "virtual"):
        return style == "path"
    return bool(host) and (is_address(host) or VIRTUAL_HOSTS.search(host) is None)


def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
        return True
    except ValueError:
        return "." not in host


def region_of(host: str) -> str:
    match = re.search(r"(?:^|\.)(?:obs|s3)[.-]([a-z]{2,}(?:-[a-z0-9]+)+)\.", host)
    return match.group(1) if match else "us-east-1"


def read_verify(env: Env, given: Mapping[str, object]) -> bool | str:
    wanted = given.get("ssl_verify")
    if wanted is not None:
        return wanted if isinstance(wanted, str) else bool(wanted)
    if env.get("S3_VERIFY_SSL", "1").lower() in OFF:
        return False
    return read_ca_bundle(env) or True


def read_ca_bundle(env: Env) -> str:
    return next((env[name] for name in CA_BUNDLES if env.get(name)), "")


def number(given: Mapping[str, object], name: str, default: float, least: float = 0) -> float:
    value = default if given.get(name) is None else given[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < least:
        raise ConfigError(f"set_auth({name}={value!r}): expected a number of at least {least}")
    return value


def key_text(name: str, text: object) -> str:
    """A key or token without the blanks and line ends that copying brings along.

    ConfigError, with the name of its variable and no part of it, for what can't be in a header of HTTP: Python's own
    error would show the key.
    """
    found = str(text or "").strip()
    if not all("!" <= letter <= "~" for letter in found):
        raise ConfigError(
            f"{name} holds a blank, a line end or another character that no key has: set it again"
        )
    return found


def read_keys(env: Env, given: Mapping[str, object]) -> Keys | None:
    """The keys, read again at every call; None if only boto3's own chain can have some."""
    access, secret, token = (
        key_text(f"set_auth({name})", given.get(name)) for name in ("ak", "sk", "security_token")
    )
    if access and secret:
        return Keys(access, secret, token, "set_auth")
    for names in KEY_FAMILIES:
        found = keys_in(env, names)
        if found.access_key and found.secret_key:
            return found
        if found.access_key or found.secret_key:
            access, secret, _ = names
            missing = secret if found.access_key else access
            raise ConfigError(f"{missing} is not set, but its partner is; set both {access} and {secret}")
    name = env.get("CREDENTIAL_PROFILES_FILE")
    return read_profile(Path(name), env.get("AWS_PROFILE", "default")) if name else None


def keys_in(env: Env, names: Sequence[str]) -> Keys:
    """The access key, the secret key and the token of three variables, '' where there is none."""
    access, secret, token = (key_text(name, env.get(name)) for name in names)
    return Keys(access, secret, token, names[0])


def read_profile(path: Path, profile: str) -> Keys | None:
    """The keys of an INI file's section; None without the file."""
    if not path.is_file():
        return None
    parser = configparser.RawConfigParser()
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        raise ConfigError(f"{path} is no credential file; expected [default] and lines key = value") from None
    section = dict(parser.items(profile)) if parser.has_section(profile) else {}
    found = [
        next((key_text(f"{key} of {path}", section[key]) for key in keys if key in section), "")
        for keys in PROFILE_KEYS
    ]
    if not found[0] or not found[1]:
        raise ConfigError(f"{path} has no access key and secret key in section [{profile}]")
    return Keys(found[0], found[1], found[2], str(path))
