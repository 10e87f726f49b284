"""The doctor's lines about keys and stores: what is found, and that no key ever shows."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from mindlift.cloud.errors import JobError
from mindlift.cloud.providers.local.servers import find_minio
from mindlift.cloud.providers.modelarts.keys import read_keys
from mindlift.cloud.providers.openi.rest import read_token
from mindlift.doctor import access
from mindlift.doctor.finding import OK, WARNING, Finding, as_text

HUSH = "hush-hush-1234"
SECRETS = [
    *itertools.chain(*access.settings.KEY_FAMILIES),
    *access.HUAWEI_KEYS,
    "OPENI_TOKEN",
    *access.MINIO_KEYS,
]
FORMS = [
    "{}",
    "http://me:{}@127.0.0.1:1",
    "{}@127.0.0.1",
    "http://127.0.0.1:1/{}",
    "{}://x",
    "http://[{}",
    "http://127.0.0.1:{}",
]


def lines(env: dict[str, str], home: Path) -> list[Finding]:
    return [
        access.minio(env),
        access.store_address(env),
        access.store_keys(env, home),
        access.proxies(env),
        access.modelarts(env, home),
        access.openi(env, home),
    ]


@pytest.mark.parametrize("form", FORMS)
def test_no_line_shows_a_secret(tmp_path, form):
    """Not where keys belong, and not where they were written by mistake."""
    (tmp_path / ".huaweicloud").mkdir()
    (tmp_path / ".huaweicloud/credentials").write_text(f"[basic]\nak = {HUSH}\nsk = {HUSH}\n{HUSH}")
    (tmp_path / ".openi").mkdir()
    (tmp_path / ".openi/token.json").write_text(f'{{"token": "{HUSH}"')
    (tmp_path / "profile").write_text(f"{HUSH}\n")
    places = dict.fromkeys(("MINIO_ENDPOINT", "http_proxy", "HTTPS_PROXY"), form.format(HUSH))
    for endpoint in access.settings.ENDPOINTS:
        for given in (SECRETS, SECRETS[:1], SECRETS[1:2], []):
            env = {**dict.fromkeys(given, HUSH), **places, endpoint: form.format(HUSH)}
            env["CREDENTIAL_PROFILES_FILE"] = str(tmp_path / "profile")
            said = as_text(lines(env, tmp_path), False)
            assert "hush" not in said
            assert "1234" not in said
            assert endpoint in said


ENVIRONMENTS = [
    {},
    {"HUAWEICLOUD_SDK_AK": "a", "HUAWEICLOUD_SDK_SK": "b"},
    {"HUAWEICLOUD_SDK_AK": "a"},
    {"HUAWEICLOUD_SDK_SK": "b"},
    {"OPENI_TOKEN": "t"},
]


@pytest.mark.parametrize("has_files", [False, True])
@pytest.mark.parametrize("env", ENVIRONMENTS, ids=str)
def test_the_doctor_finds_the_keys_that_submitting_uses(tmp_path, env, has_files):
    if has_files:
        for name, text in (
            (".huaweicloud/credentials", "[basic]\nak=a\nsk=b\n"),
            (".openi/token.json", '{"token": "t"}'),
        ):
            (tmp_path / name).parent.mkdir()
            (tmp_path / name).write_text(text)
    env = {**env, "HOME": str(tmp_path)}
    for found, read in (
        (access.modelarts(env, tmp_path), lambda: read_keys(env).source),
        (access.openi(env, tmp_path), lambda: read_token(env)[2]),
    ):
        try:
            source = read()
        except JobError:
            source = ""
        assert found.says.startswith("set, by") == bool(source)
        assert source in found.says


@pytest.mark.parametrize(
    ("env", "level", "part"),
    [
        ({}, OK, "none set"),
        ({"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}, OK, "set, by ACCESS_KEY_ID"),
        (
            {"OBS_ACCESS_KEY_ID": "a", "OBS_SECRET_ACCESS_KEY": "b", "OBS_SECURITY_TOKEN": "c"},
            OK,
            "set with a token, by OBS",
        ),
        ({"AWS_ACCESS_KEY_ID": "a"}, WARNING, "AWS_SECRET_ACCESS_KEY is not set"),
    ],
)
def test_keys_of_the_store(tmp_path, env, level, part):
    found = access.store_keys(env, tmp_path)
    assert (found.level, part in found.says) == (level, True)


def test_boto3s_own_file(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").touch()
    assert access.store_keys({}, tmp_path).says == "by ~/.aws/credentials"


def test_addresses(tmp_path):
    found = access.store_address({"OBS_ENDPOINT": "obs.cn-north-4.myhuaweicloud.com"})
    assert (found.level, found.says) == (
        OK,
        "obs.cn-north-4.myhuaweicloud.com, by https, as OBS_ENDPOINT says",
    )
    assert access.store_address({"S3_ENDPOINT": "http://x:9/bucket"}).level == WARNING


@pytest.mark.parametrize("host", ["minio:9000", "localhost", "10.0.0.1", "[::1]:9000", "a.b-c.com:443"])
def test_hosts_are_shown(host):
    assert (
        access.address(f"http://{host}")
        == access.address(f"{host}/x")
        == access.address(f"me:pw@{host}")
        == host
    )


def test_minio(tmp_path):
    with access.socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        keys = dict.fromkeys(access.MINIO_KEYS, "k")
        assert access.minio({"MINIO_ENDPOINT": endpoint, **keys}).level == OK
        assert (
            "MINIO_SECRET_KEY not set"
            in access.minio({"MINIO_ENDPOINT": endpoint, "MINIO_ACCESS_KEY": "k"}).says
        )
    assert "does not answer" in access.minio({"MINIO_ENDPOINT": endpoint, **keys}).advice
    (tmp_path / "minio").touch()
    assert access.minio({"MINIO_BINARY": str(tmp_path / "minio")}).says == str(tmp_path / "minio")


def test_minio_is_looked_for_where_rehearsals_do(tmp_path, monkeypatch):
    monkeypatch.setenv("MINDLIFT_CACHE", str(tmp_path))
    monkeypatch.delenv("MINIO_BINARY", raising=False)
    place = access.installed_minio({"MINDLIFT_CACHE": str(tmp_path)})
    place.parent.mkdir()
    place.touch()
    assert find_minio() == place


def test_a_proxy_in_the_way():
    assert (
        access.proxies({}).level
        == access.proxies({"http_proxy": "p", "no_proxy": "x, 127.0.0.1"}).level
        == OK
    )
    assert access.proxies({"HTTP_PROXY": "p"}).level == WARNING
