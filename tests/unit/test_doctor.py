"""The doctor's lines: what is well, what is not, and that no key ever shows."""

from __future__ import annotations

import itertools
import signal
from pathlib import Path

import pytest

from mindlift.cloud.errors import JobError
from mindlift.cloud.providers.local.servers import find_minio
from mindlift.cloud.providers.modelarts.keys import read_keys
from mindlift.cloud.providers.openi.rest import read_token
from mindlift.doctor import access, machine, probe, software, trial
from mindlift.doctor.finding import OK, PROBLEM, WARNING, Finding, as_text, shown
from tests.support.programs import ROOT

AVX512 = frozenset({"avx2", "avx512f"})
AVX2 = frozenset({"avx2"})


def test_lines_say_what_to_do():
    found = [Finding("a", OK, "fine"), Finding("b", PROBLEM, "broken", "mend it")]
    assert as_text(found, False) == "ok       a: fine\nproblem  b: broken\n         -> mend it"
    assert "\033[31mproblem\033[0m  b" in as_text(found, True)


def test_paths_do_not_name_their_owner(monkeypatch):
    monkeypatch.setenv("HOME", "/home/jane")
    assert [shown(path) for path in ("/home/jane/x", "/home/jane", "/home/janet/x", Path("/cache"))] == [
        "~/x",
        "~",
        "/home/janet/x",
        "/cache",
    ]
    monkeypatch.setenv("HOME", "/")
    assert shown("/cache") == "/cache"


# software


@pytest.mark.parametrize(
    ("version", "level"), [((3, 8), PROBLEM), ((3, 9), OK), ((3, 12), OK), ((3, 13), PROBLEM)]
)
def test_pythons(version, level):
    assert software.python(version).level == level


@pytest.mark.parametrize(
    ("version", "built", "level", "part"),
    [
        ("2.8.0", "_c_expression.abi3.so", OK, "2.8.0"),
        ("2.10.0", "_c_expression.abi3.so", OK, "2.10.0"),
        ("2.6.1", "_c_expression.abi3.so", WARNING, "2.6.1"),
        ("2.11.0", "_c_expression.abi3.so", WARNING, "2.11.0"),
        ("2.8.0", "_c_expression.cpython-36m-x86_64-linux-gnu.so", PROBLEM, "built for Python 3.6"),
    ],
)
def test_mindspores(tmp_path, version, built, level, part):
    (tmp_path / built).touch()
    found = software.mindspore(version, tmp_path)
    assert (found.level, bool(found.advice)) == (level, level != OK)
    assert part in found.says


def test_no_mindspore():
    assert software.mindspore("", None).level == PROBLEM


@pytest.mark.parametrize(
    ("version", "flags", "given", "level", "part"),
    [
        ("2.8.0", AVX512, "", OK, "left as it is"),
        ("2.10.0", AVX512, "", OK, "ONEDNN_MAX_CPU_ISA=AVX2 will be set"),
        ("2.10.0", AVX2, "", OK, "left as it is"),
        ("2.10.0", AVX512, "AVX512_CORE", WARNING, "AVX512_CORE"),
        ("2.10.0", AVX512, "avx2", OK, "avx2, as the environment has it"),
        ("2.8.0", AVX512, "AVX2", OK, "AVX2, as the environment has it"),
    ],
)
def test_onednn(version, flags, given, level, part):
    env = {"ONEDNN_MAX_CPU_ISA": given} if given else {}
    found = software.onednn(env, version, flags)
    assert (found.level, part in found.says) == (level, True)
    assert env == ({"ONEDNN_MAX_CPU_ISA": given} if given else {}), "a doctor changes nothing"


PINS = "numpy==1.26.4\nboto3==1.42.97  # a note\nrequests==2.32.5\nmoto[server]==5.1\n"
RANGES = "numpy>=1.22,<2\nboto3>=1.36\n"
THERE = {"numpy": "1.26.4", "boto3": "1.42.97", "requests": "2.32.5", "moto": "5.1.0"}


@pytest.mark.parametrize(
    ("change", "level", "says"),
    [
        ({}, OK, "4 as pinned"),
        ({"numpy": "2.0.1"}, PROBLEM, "numpy 2.0.1 (needs >=1.22,<2)"),
        ({"numpy": "1.9"}, PROBLEM, "numpy 1.9 (needs >=1.22,<2)"),
        ({"numpy": "1.25.0"}, WARNING, "numpy 1.25.0 (pinned 1.26.4)"),
        ({"boto3": None}, PROBLEM, "missing boto3"),
        ({"requests": None}, WARNING, "missing requests"),
        (
            {"numpy": "2.1.0rc1", "requests": "3"},
            PROBLEM,
            "numpy 2.1.0rc1 (needs >=1.22,<2); requests 3 (pinned 2.32.5)",
        ),
    ],
)
def test_requirements(change, level, says):
    there = {name: version for name, version in {**THERE, **change}.items() if version}
    found = software.requirements(PINS, RANGES, there)
    assert (found.level, found.says) == (level, says)


def test_requirements_of_this_project_are_all_read():
    for name in ("requirements.txt", "container-requirements.txt"):
        text = (ROOT / name).read_text()
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        assert len(software.specifications(text)) == len(lines)


def test_msrun_of_another_python(tmp_path, monkeypatch):
    for name in ("msrun", "python"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert software.msrun().level == WARNING
    assert "which starts" in software.msrun().says
    monkeypatch.setattr(software.sys, "executable", str(tmp_path / "python3"))
    assert software.msrun().level == OK
    monkeypatch.setenv("PATH", "/nowhere")
    assert software.msrun().says == "not on PATH"


# the machine


def test_the_device_and_why(tmp_path):
    assert "chooses CPU: there is no" in machine.device(tmp_path).says
    (tmp_path / "davinci0").touch()
    assert "chooses Ascend: 1 card(s)" in machine.device(tmp_path).says


@pytest.mark.parametrize(
    ("env", "level", "part"),
    [
        ({}, OK, "rank 0 of 1"),
        ({"RANK_ID": "1", "RANK_SIZE": "2"}, WARNING, "rank 1 of 2 by rank_table"),
        ({"RANK_ID": "1"}, PROBLEM, "RANK_SIZE"),
        ({"RANK_ID": "1", "RANK_SIZE": "2", "MA_JOB_DIR": "/x"}, OK, "rank 1 of 2"),
    ],
)
def test_what_an_earlier_job_left(env, level, part):
    found = machine.ranks(env)
    assert (found.level, part in found.says) == (level, True), found


@pytest.mark.parametrize(
    ("env", "usable", "quota", "level", "part"),
    [
        ({}, 8, None, OK, "8 usable"),
        ({}, 8, 8.0, OK, "8 usable"),
        ({}, 8, 2.0, WARNING, "a quota of 2"),
        ({"OMP_NUM_THREADS": "8"}, 8, None, OK, "8 usable"),
        ({"OMP_NUM_THREADS": "1"}, 8, None, WARNING, "OMP_NUM_THREADS=1"),
    ],
)
def test_cpus(env, usable, quota, level, part):
    found = machine.cpus(env, usable, quota)
    assert (found.level, part in found.says) == (level, True)


def test_limits_of_containers(tmp_path):
    assert (machine.cpu_quota(tmp_path), machine.memory_limit(tmp_path)) == (None, None)
    (tmp_path / "cpu").mkdir()
    (tmp_path / "memory").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("-1\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    (tmp_path / "memory/memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert (machine.cpu_quota(tmp_path), machine.memory_limit(tmp_path)) == (None, None)
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("150000\n")
    (tmp_path / "memory/memory.limit_in_bytes").write_text(f"{3 << 30}\n")
    assert (machine.cpu_quota(tmp_path), machine.memory_limit(tmp_path)) == (1.5, 3.0)
    (tmp_path / "cpu.max").write_text("400000 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert (machine.cpu_quota(tmp_path), machine.memory_limit(tmp_path)) == (4.0, 3.0)


@pytest.mark.parametrize(
    ("available", "limit", "level"),
    [
        (8.0, None, OK),
        (8.0, 16.0, OK),
        (8.0, 1.5, WARNING),
        (1.5, None, WARNING),
        (0.5, None, PROBLEM),
        (8.0, 0.5, PROBLEM),
        (None, None, WARNING),
    ],
)
def test_memory(available, limit, level):
    assert machine.memory(available, limit).level == level


def test_disks(tmp_path, monkeypatch):
    assert machine.disk("output", tmp_path / "not/there/yet").level == OK
    assert not (tmp_path / "not").exists()
    (tmp_path / "file").touch()
    found = machine.disk("cache", tmp_path / "file" / "below")
    assert (found.level, "MINDLIFT_CACHE" in found.advice) == (PROBLEM, True)
    monkeypatch.setattr(machine.os, "access", lambda *_: False)
    assert machine.disk("output", tmp_path).level == PROBLEM
    monkeypatch.undo()
    for free_gb, level in ((1.0, WARNING), (0.01, PROBLEM)):
        usage = machine.shutil.disk_usage(tmp_path)._replace(free=int(free_gb * machine.GB))
        monkeypatch.setattr(machine.shutil, "disk_usage", lambda _, usage=usage: usage)
        assert machine.disk("temporary files", tmp_path).level == level


def test_ports_that_can_not_be_opened(monkeypatch):
    assert machine.ports().level == OK

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(machine.socket, "create_server", refused)
    assert "Operation not permitted" in machine.ports().says


@pytest.mark.parametrize(
    ("preferred", "output", "level"),
    [
        ("UTF-8", "utf-8", OK),
        ("ANSI_X3.4-1968", "utf-8", WARNING),
        ("UTF-8", "latin-1", WARNING),
        ("utf8", None, OK),
    ],
)
def test_encodings(preferred, output, level):
    assert machine.encoding(preferred, output).level == level


# keys and stores

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


# how a probe ended

COMPUTED = (
    f'noise\n{probe.MARK}{{"imported": "2.8.0", "import_seconds": 3.1}}\n{probe.MARK}{{"computed": true}}\n'
)
IMPORTED = COMPUTED.splitlines(keepends=True)[1]


@pytest.mark.parametrize(
    ("out", "err", "code", "level", "part"),
    [
        (COMPUTED, "", 0, OK, "mindspore 2.8.0 in 3.1 s, and it computes on CPU"),
        (COMPUTED.replace("true", "false"), "", 0, PROBLEM, "failed with exit code 0"),
        ("", "", -signal.SIGSEGV, PROBLEM, "ended by SIGSEGV while mindspore was being imported"),
        (IMPORTED, "", -signal.SIGILL, PROBLEM, "ended by SIGILL after the import"),
        ("", "Traceback\n  x\nImportError: libgomp.so.1\n", 1, PROBLEM, "ImportError: libgomp.so.1"),
        (IMPORTED, "", None, PROBLEM, "not done after 60 s, after the import"),
        (IMPORTED + probe.MARK + '{"error": "no card"}', "", 2, PROBLEM, "no card"),
    ],
)
def test_how_a_probe_ended(out, err, code, level, part):
    found = trial.finding(trial.read(out, err, code), "CPU", False, 60)
    assert (found.level, bool(found.advice)) == (level, level != OK)
    assert part in found.says
