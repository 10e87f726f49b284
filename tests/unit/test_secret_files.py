"""Keys stay here: files that hold some are not sent, and lines that look like one stop a submission."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from mindlift.checkout import ROOT
from mindlift.cloud.errors import JobError
from mindlift.cloud.job import Job
from mindlift.cloud.job_rules import finished
from mindlift.cloud.prepare import code_files, package, preflight, secret_files

# made of pieces, so that scanners of this repository find nothing; forms: GitHub's, GitLab's, AWS's and Huawei's documents
LINES = {
    "an access key": b"key = 'AKIA" + b"Z7TQ2MNB4KLP6RVW'",
    "a private key": b"-----BEGIN RSA " + b"PRIVATE KEY-----\nMIIE",
    "a token of GitHub": b"ghp_" + b"aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI6",
    "a token of GitLab": b"curl -H 'PRIVATE-TOKEN: glpat" + b"-aB3dE6gH9jK2mN5pQ8sT'",
    "a token of Hugging Face": b"login('hf_" + b"aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeFgH')",
    "a JSON web token": b"eyJhbGciOiJIUzI1NiJ9abc.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
    "a password in a URL": b"dsn = 'postgres://svc:" + b"k3yst0ne77@db.internal/x'",
    "a key beside its name": b"OPENI_TOKEN = '" + b"0f3c9a7be1d2456897ab0cde13f24568" + b"a1b2c3d4'",
}
HARMLESS = [
    b"sha256 = '0f3c9a7be1d2456897ab0cde13f245680f3c9a7be1d2456897ab0cde13f24568'",
    b"revision: 0f3c9a7be1d2456897ab0cde13f24568a1b2c3d4",
    b"token = os.environ['OPENI_TOKEN']",
    b"password = getpass.getpass('password of the store: ')",
    b"AKIAIOSFODNN7EXAMPLE",
    b"redis://user:password@host/0",
    b"https://github.com/user/repo@v1",
    b"tokenizer = 'bert-base-uncased-whole-word-masking-finetuned-squad'",
    b"key_padding_mask = MultiHeadAttentionWithRelativePositionalEncoding2d(x)",
]


@pytest.mark.parametrize("what", LINES)
def test_a_line_that_looks_like_a_key_is_found_and_not_shown(what):
    found = list(secret_files.find({"a/train.py": b"import os\n\n" + LINES[what] + b"\nx = 1\n"}))
    assert [(each.file, each.line) for each in found] == [("a/train.py", 3)]
    assert str(found[0]) == f"a/train.py:3 holds what looks like {what}"


@pytest.mark.parametrize("mark", [b"  # gitleaks:allow", b"  # pragma: allowlist secret"])
def test_a_line_may_say_that_it_is_none(mark):
    assert not list(secret_files.find({"a.py": LINES["an access key"] + mark}))


@pytest.mark.parametrize("line", HARMLESS)
def test_what_programs_write_is_no_key(line):
    assert not list(secret_files.find({"a.py": line + b"\n"}))


def test_this_project_holds_none():
    assert not list(secret_files.find(package.collect(ROOT, "train.py", True).files))


def test_a_submission_stops(tmp_path):
    (tmp_path / "train.py").write_bytes(LINES["a token of GitHub"])
    job = finished(Job(provider="local", name="x", code=str(tmp_path), boot_file="train.py"))
    sent = package.Package("r", False, {"train.py": LINES["a token of GitHub"]}, "x")
    failed = [check for check in preflight.keys_in_code(sent) if check.ok is False]
    assert [check.says for check in failed] == ["train.py:1 holds what looks like a token of GitHub"]
    assert "gitleaks:allow" in failed[0].advice
    assert job.boot_file == "train.py"


SECRET_FILES = (
    ".env", ".env.local", ".netrc", "id_rsa", "deep/id_ed25519", ".git-credentials", "server.key", ".aws/credentials", ".ssh/config",
    "core", "core.4711", ".kube/config", "credentials.csv", ".npmrc", "keystore.jks",
)  # fmt: off


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")


def test_files_of_secrets_in_a_folder_of_code_stay_here(tmp_path):
    write(
        tmp_path,
        "train.py",
        ".env.example",
        "core/net.py",
        "keys.py",
        *(each for each in SECRET_FILES if each != "core"),
    )
    found = code_files.find(tmp_path, [])
    assert sorted(found.files) == [".env.example", "core/net.py", "keys.py", "train.py"]
    assert sorted(code_files.find(tmp_path, ["!.env"]).files) == [
        ".env",
        ".env.example",
        "core/net.py",
        "keys.py",
        "train.py",
    ]


def test_a_link_out_of_the_folder_is_sent_on_request_only(tmp_path):
    write(tmp_path, "home/.aws/credentials", "code/train.py", "code/real.py")
    (tmp_path / "code/notes.txt").symlink_to(tmp_path / "home/.aws/credentials")
    (tmp_path / "code/inside.py").symlink_to("real.py")
    found = code_files.find(tmp_path / "code", [])
    assert sorted(found.files) == ["inside.py", "real.py", "train.py"]
    assert found.left_out == ("links out of the folder (1 file, 1 B: notes.txt)",)
    assert "notes.txt" in code_files.find(tmp_path / "code", ["!notes.txt"]).files


def test_uncommitted_files_are_named_links_go_as_links_and_secrets_stay(tmp_path):
    root = tmp_path / "checkout"
    write(root, "train.py")
    identity = {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"]):
        subprocess.run(["git", "-C", str(root), *words], check=True, env={**os.environ, **identity})
    write(root, "new.py", *SECRET_FILES)
    write(tmp_path, "home/credentials")
    (root / "link").symlink_to("../home/credentials")
    found = package.collect(root, "train.py", True)
    assert sorted(found.files) == ["link", "new.py", "revision.json", "train.py"]
    assert found.files["link"] == b"../home/credentials"
    assert found.untracked == ("link", "new.py")
    says = preflight.code(found).says
    assert "new to git: link, new.py" in says
    assert "left out: secrets (.aws/credentials, .env, " in says


# of the documents of the services that they belong to
@pytest.mark.parametrize(
    "name",
    "GITHUB_PAT DATABASE_URL PASS APIKEY OPENAI_API_KEY DB_PASS MYSQL_PWD REDIS_URL SENTRY_DSN SLACK_WEBHOOK NPM_TOKEN HF_TOKEN"
    " WANDB_API_KEY PGPASSWORD MONGODB_URI AWS_ACCESS_KEY_ID AWS_SESSION_TOKEN GOOGLE_CREDENTIALS SSH_PRIVATE_KEY ENCRYPTION_KEY"
    " JWT_SECRET BASIC_AUTH COOKIE SESSION_SECRET_2 AZURE_STORAGE_CONNECTION_STRING SAS DOCKER_AUTH_CONFIG GHTOKEN clientSecret"
    " apiKey OBS_AK OBS_SK STRIPE_SK PASSPHRASE".split(),
)
def test_usual_names_of_secrets_are_no_plain_variables(name):
    with pytest.raises(JobError, match=f"environment.{name} looks like a secret"):
        job(name, "hunter2-x")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_TOKENS", "512"), ("TOKENIZERS_PARALLELISM", "false"), ("TOKEN_FILE", "/cache/token"), ("MONKEY", "rhesus"),
        ("KEYPOINTS", "coco"), ("AUTHOR", "me"), ("PASSES", "3"), ("COMPASS", "north"), ("KEEP", "all"), ("OUTPUT_URL", "obs://b/x/"),
        ("PATH_PREFIX", "/cache"), ("USE_AUTH", "false"), ("TOKENIZER", "bert"),
    ],
)  # fmt: off
def test_other_variables_stay(name, value):
    assert job(name, value).environment == {name: value}


@pytest.mark.parametrize("value", ["postgres://u:p@h/db", "a,redis://:p4ss@h:1/0"])
def test_a_password_in_a_value_is_seen_whatever_its_name(value):
    with pytest.raises(JobError, match="environment.PLACE holds what looks like a key"):
        job("PLACE", value)


def job(name: str, value: str) -> Job:
    return finished(
        Job(provider="local", name="x", net="densenet22", dataset="digits", environment={name: value})
    )
