"""Precedence of settings and keys, the form of host names, and that no secret is ever shown."""

from __future__ import annotations

import pickle
from dataclasses import fields

import pytest

from mindlift.errors import AccessError, ConfigError
from mindlift.storage.access import Access
from mindlift.storage.retry import Refused, translated
from mindlift.storage.settings import ENDPOINTS, Keys, Settings, read_keys, read_settings

OBS = "obs.cn-north-4.myhuaweicloud.com"
SECRET = "s3cr3t-" + "x" * 20
PROFILES = """
[default]
aws_access_key_id = file-ak
aws_secret_access_key = file-sk
aws_session_token = file-token
[obs]
ak = obs-ak
sk = obs-sk%
"""


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """Nothing of the developer's own keys."""
    for name in (*ENDPOINTS, "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "CREDENTIAL_PROFILES_FILE"):
        monkeypatch.delenv(name, raising=False)
    for family in ("", "OBS_", "AWS_"):
        monkeypatch.delenv(f"{family}ACCESS_KEY_ID", raising=False)
        monkeypatch.delenv(f"{family}SECRET_ACCESS_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.mark.parametrize(
    ("env", "given", "endpoint"),
    [
        ({}, {}, ""),
        ({"AWS_ENDPOINT_URL": "http://d"}, {}, "http://d"),
        ({"AWS_ENDPOINT_URL": "d", "AWS_ENDPOINT_URL_S3": "c"}, {}, "https://c"),
        ({"AWS_ENDPOINT_URL_S3": "c", "OBS_ENDPOINT": "b"}, {}, "https://b"),
        ({"OBS_ENDPOINT": "b", "S3_ENDPOINT": "a"}, {}, "https://a"),
        ({"S3_ENDPOINT": "a"}, {"server": "s"}, "https://s"),
        ({"S3_ENDPOINT": ""}, {"server": ""}, ""),
        ({"S3_ENDPOINT": "http://a:9000/"}, {}, "http://a:9000"),
        ({"S3_ENDPOINT": "HTTPS://a"}, {}, "https://a"),
        ({}, {"server": "s", "port": 9000}, "https://s:9000"),
        ({}, {"server": "s:1", "port": 9000}, "https://s:1"),
        ({}, {"server": "http://[::1]:9000"}, "http://[::1]:9000"),
        ({"S3_USE_HTTPS": "0", "S3_ENDPOINT": "a"}, {}, "http://a"),
        ({"S3_USE_HTTPS": "1", "S3_ENDPOINT": "http://a"}, {}, "https://a"),
        ({"S3_USE_HTTPS": "0", "S3_ENDPOINT": "https://a"}, {}, "http://a"),
        ({"S3_USE_HTTPS": "0", "S3_ENDPOINT": "a"}, {"is_secure": True}, "https://a"),
        ({"S3_USE_HTTPS": "1", "S3_ENDPOINT": "a"}, {"is_secure": False}, "http://a"),
    ],
)
def test_endpoint(env, given, endpoint):
    settings = read_settings(env, given)
    assert settings.endpoint == endpoint
    assert settings.is_secure is not endpoint.startswith("http://")


@pytest.mark.parametrize(
    ("env", "given", "verify"),
    [
        ({}, {}, True),
        ({"AWS_CA_BUNDLE": "/ca"}, {}, "/ca"),
        ({"REQUESTS_CA_BUNDLE": "/other"}, {}, "/other"),
        ({"AWS_CA_BUNDLE": "/ca", "S3_VERIFY_SSL": "0"}, {}, False),
        ({"AWS_CA_BUNDLE": "/ca", "S3_VERIFY_SSL": "1"}, {}, "/ca"),
        ({"SSL_CERT_FILE": "/ca"}, {}, "/ca"),
        ({"S3_VERIFY_SSL": "0"}, {"ssl_verify": True}, True),
        ({"S3_VERIFY_SSL": "1"}, {"ssl_verify": False}, False),
    ],
)
def test_certificates(env, given, verify):
    assert read_settings(env, given).verify == verify


@pytest.mark.parametrize(
    ("env", "server", "region"),
    [
        ({}, OBS, "cn-north-4"),
        ({}, f"bucket.{OBS}", "cn-north-4"),
        ({}, "s3.eu-west-1.amazonaws.com", "eu-west-1"),
        ({}, "127.0.0.1:9000", "us-east-1"),
        ({}, "", "us-east-1"),
        ({"AWS_DEFAULT_REGION": "two"}, OBS, "two"),
        ({"AWS_DEFAULT_REGION": "two", "AWS_REGION": "one"}, OBS, "one"),
    ],
)
def test_region(env, server, region):
    assert read_settings(env, {"server": server}).region == region


@pytest.mark.parametrize(
    ("env", "given", "is_path_style"),
    [
        ({}, {"server": OBS}, False),
        ({}, {"server": "obs.lab.example"}, False),
        ({}, {}, False),
        ({}, {"server": "s3.us-west-2.amazonaws.com"}, False),
        ({}, {"server": "s3.cn-north-1.amazonaws.com.cn"}, False),
        ({}, {"server": "minio.lab.example"}, True),
        ({}, {"server": "jobs.lab.example"}, True),
        ({}, {"server": "http://127.0.0.1:9000"}, True),
        ({}, {"server": "http://[::1]:9000"}, True),
        ({}, {"server": "localhost:9000"}, True),
        ({}, {"server": "minio"}, True),
        ({"S3_ADDRESSING_STYLE": "path"}, {"server": OBS}, True),
        ({"S3_ADDRESSING_STYLE": "Virtual"}, {"server": "minio.lab.example"}, False),
        ({"S3_ADDRESSING_STYLE": "auto"}, {"server": OBS}, False),
        ({"S3_ADDRESSING_STYLE": "path"}, {"server": OBS, "path_style": False}, False),
        ({"S3_ADDRESSING_STYLE": "virtual"}, {"server": OBS, "path_style": True}, True),
    ],
)
def test_addressing(env, given, is_path_style):
    assert read_settings(env, given).path_style is is_path_style


@pytest.mark.parametrize(
    ("given", "bucket", "key", "address"),
    [
        ({"server": OBS}, "data", "a/b", (f"data.{OBS}", "/a/b")),
        ({"server": OBS}, "my.data", "a", (OBS, "/my.data/a")),
        ({"server": OBS}, "Data_1", "a", (OBS, "/Data_1/a")),
        ({"server": "http://127.0.0.1:9000"}, "data", "", ("127.0.0.1:9000", "/data/")),
        ({}, "data", "a", ("data.s3.us-east-1.amazonaws.com", "/a")),
        (
            {"server": OBS},
            "data",
            "数 +%41&?#'\"~e\u0301",
            (f"data.{OBS}", "/%E6%95%B0%20%2B%2541%26%3F%23%27%22~e%CC%81"),
        ),
    ],
)
def test_address_of_an_object(given, bucket, key, address):
    assert Access(given).address(bucket, key) == address


def test_amazon_in_china_has_a_domain_of_its_own():
    assert read_settings({"AWS_REGION": "cn-north-1"}, {}).host == "s3.cn-north-1.amazonaws.com.cn"


@pytest.mark.parametrize(
    ("env", "given", "said"),
    [
        ({"S3_ENDPOINT": "https://host/bucket"}, {}, "S3_ENDPOINT is 'https://host/bucket'"),
        ({"OBS_ENDPOINT": "ftp://host"}, {}, "OBS_ENDPOINT is 'ftp://host'"),
        ({}, {"server": "https://"}, "server is 'https://'"),
        ({"S3_ADDRESSING_STYLE": "dns"}, {}, "S3_ADDRESSING_STYLE is 'dns'"),
        ({}, {"retry": "many"}, "retry='many'"),
        ({}, {"retry_wait": -1}, "retry_wait=-1"),
        ({}, {"client_timeout": True}, "client_timeout=True"),
        ({}, {"client_timeout": 0}, "client_timeout=0"),
        ({}, {"list_max_keys": 0}, "list_max_keys=0"),
    ],
)
def test_mistakes_are_one_line(env, given, said):
    with pytest.raises(ConfigError) as caught:
        read_settings(env, given)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_numbers_of_set_auth():
    given = {"client_timeout": 5, "retry": 3, "retry_wait": 0, "list_max_keys": 7, "long_conn_mode": False}
    found = read_settings({}, given)
    assert (found.timeout_s, found.attempts, found.retry_wait_s) == (5, 3, 0)
    assert (found.list_max_keys, found.long_connections) == (7, False)
    assert read_settings({}, dict.fromkeys(given)) == Settings(), "None means the default"


def pair(family: str, name: str) -> dict[str, str]:
    return {f"{family}ACCESS_KEY_ID": f"{name}-ak", f"{family}SECRET_ACCESS_KEY": f"{name}-sk"}


@pytest.mark.parametrize(
    ("env", "given", "keys"),
    [
        (pair("", "plain"), {"ak": "a", "sk": "b", "security_token": "t"}, ("a", "b", "t", "set_auth")),
        ({**pair("", "plain"), **pair("OBS_", "obs")}, {}, ("plain-ak", "plain-sk", "", "ACCESS_KEY_ID")),
        ({**pair("OBS_", "obs"), **pair("AWS_", "aws")}, {}, ("obs-ak", "obs-sk", "", "OBS_ACCESS_KEY_ID")),
        (
            {**pair("AWS_", "aws"), "AWS_SESSION_TOKEN": "t"},
            {},
            ("aws-ak", "aws-sk", "t", "AWS_ACCESS_KEY_ID"),
        ),
        ({**pair("", "plain"), "SECURITY_TOKEN": "t"}, {}, ("plain-ak", "plain-sk", "t", "ACCESS_KEY_ID")),
        ({**pair("", "plain"), "AWS_SESSION_TOKEN": "t"}, {}, ("plain-ak", "plain-sk", "", "ACCESS_KEY_ID")),
        (
            {**pair("AWS_", "aws"), "CREDENTIAL_PROFILES_FILE": "FILE"},
            {},
            ("aws-ak", "aws-sk", "", "AWS_ACCESS_KEY_ID"),
        ),
        ({"CREDENTIAL_PROFILES_FILE": "FILE"}, {}, ("file-ak", "file-sk", "file-token", "FILE")),
        ({"CREDENTIAL_PROFILES_FILE": "FILE", "AWS_PROFILE": "obs"}, {}, ("obs-ak", "obs-sk%", "", "FILE")),
    ],
)
def test_keys(tmp_path, env, given, keys):
    file = tmp_path / "profiles"
    file.write_text(PROFILES)
    found = read_keys({name: str(file) if value == "FILE" else value for name, value in env.items()}, given)
    assert found is not None
    source = str(file) if keys[3] == "FILE" else keys[3]
    assert (found.access_key, found.secret_key, found.token, found.source) == (*keys[:3], source)


@pytest.mark.parametrize("env", [{}, {"CREDENTIAL_PROFILES_FILE": "/nowhere"}, {"ACCESS_KEY_ID": ""}])
def test_no_keys_of_ours(env):
    assert read_keys(env, {}) is None


@pytest.mark.parametrize(
    ("env", "missing"),
    [
        ({"ACCESS_KEY_ID": SECRET}, "SECRET_ACCESS_KEY"),
        ({"AWS_SECRET_ACCESS_KEY": SECRET}, "AWS_ACCESS_KEY_ID"),
    ],
)
def test_half_a_pair_names_the_other_half_and_no_value(env, missing):
    with pytest.raises(ConfigError, match=f"^{missing} is not set") as caught:
        read_keys(env, {})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        f"{SECRET}\n",
        f"[default]\naws_secret_access_key = {SECRET}\n",
        f"[default]\nx\n{SECRET}",
        "[other]\n",
        b"\xff\xfe" + SECRET.encode(),
    ],
)
def test_a_damaged_profile_file_is_one_line_that_shows_nothing_of_it(tmp_path, content):
    file = tmp_path / "profiles"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as caught:
        read_keys({"CREDENTIAL_PROFILES_FILE": str(file)}, {})
    assert str(file) in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_any_keys_the_error_says_what_to_set():
    with pytest.raises(AccessError, match="set ACCESS_KEY_ID and SECRET_ACCESS_KEY"):
        Access({"server": OBS}).keys()


def test_the_chain_of_boto3_is_asked_last(tmp_path, monkeypatch):
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id = chain-ak\naws_secret_access_key = chain-sk\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    assert Access().keys().access_key == "chain-ak"
    monkeypatch.setenv("ACCESS_KEY_ID", "env-ak")
    monkeypatch.setenv("SECRET_ACCESS_KEY", "env-sk")
    assert Access().keys().access_key == "env-ak"


def test_nothing_that_is_shown_has_a_secret_in_it():
    given = {"server": OBS, "ak": f"ak-{SECRET}", "sk": f"sk-{SECRET}", "security_token": f"token-{SECRET}"}
    access = Access(given)
    keys = access.keys()
    refused = Refused("GET b/k", 403, "AccessDenied", "no")
    for shown in (
        keys,
        access,
        access.settings,
        [keys],
        {"keys": keys},
        translated(refused, access),
        refused,
    ):
        assert SECRET not in repr(shown) + str(shown) + f"{shown}"
    assert {field.name for field in fields(Keys) if field.repr} == {"source"}


def test_keys_are_read_again_only_for_those_that_were_refused(monkeypatch):
    monkeypatch.setenv("ACCESS_KEY_ID", "one")
    monkeypatch.setenv("SECRET_ACCESS_KEY", "x")
    access = Access()
    first = access.keys()
    assert not access.renew(first), "nothing else is there"
    monkeypatch.setenv("ACCESS_KEY_ID", "two")
    assert access.keys() == first
    assert access.renew(first)
    assert access.keys().access_key == "two"
    monkeypatch.setenv("ACCESS_KEY_ID", "three")
    assert access.renew(first), "another thread has renewed them already"
    assert access.keys().access_key == "two"


def test_an_access_can_be_sent_to_another_process():
    access = pickle.loads(pickle.dumps(Access({"server": OBS, "ak": "a", "sk": "b"})))
    assert (access.settings.host, access.keys().secret_key) == (OBS, "b")
