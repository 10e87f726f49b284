"""What a job's bucket has to be for ModelArts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mindlift.cloud.job import Job
from mindlift.cloud.job_rules import finished
from mindlift.cloud.prepare import bucket as buckets
from mindlift.cloud.prepare.bucket import Needs, Traits
from mindlift.storage import places
from mindlift.storage.moxing import file
from mindlift.storage.places import SERVICES

OBS = "https://obs.cn-north-4.myhuaweicloud.com"


@pytest.mark.parametrize(
    ("endpoint", "ok"),
    [
        (OBS, True),
        ("obs.cn-north-4.myhuaweicloud.com", True),
        ("https://obs.cn-east-3.myhuaweicloud.com", False),
        ("http://127.0.0.1:9000", False),
        ("https://s3.amazonaws.com", False),
        ("https://obs.myhuaweicloud.com", None),
    ],
)
def test_the_endpoint_of_the_store(endpoint, ok):
    """GUIDE, Preparations, Creating an OBS Bucket: in the region of the job."""
    assert buckets.check_endpoint(endpoint, "cn-north-4").ok is ok


NEEDS = Needs("cn-north-4", False, False, True)
GOOD = Traits("cn-north-4", False, False)


@pytest.mark.parametrize(
    (
        "traits",
        "found",
    ),  # GUIDE, Creating a Training Job, Prerequisites: no encrypted buckets, and the region's own
    [
        (GOOD, []),
        (replace(GOOD, region="cn-east-3"), [(False, "it is in cn-east-3, the job in cn-north-4")]),
        (replace(GOOD, is_encrypted=True), [(False, "its default encryption is on")]),
        (replace(GOOD, is_file_system=True), [(False, "it is a parallel file system")]),
        (Traits(), [(None, "this store does not tell its region and encryption")]),
        (
            Traits("cn-east-3", True, True),
            [(False, "it is in"), (False, "its default"), (False, "it is a parallel")],
        ),
    ],
)
def test_what_a_bucket_has_to_be(traits, found):
    checks = list(buckets.bucket_checks("b", traits, NEEDS))
    assert [check.ok for check in checks] == [ok for ok, _ in found]
    assert all(text in check.says for check, (_, text) in zip(checks, found))
    assert list(buckets.bucket_checks("b", traits, Needs())) == [] or traits.is_file_system is None


class Answers:
    """A store that answers questions about a bucket; `refused` as HTTP status and code."""

    def __init__(self, headers: dict[str, str], location: object, encryption: object):
        self.answers = {
            "head_bucket": {"ResponseMetadata": {"HTTPHeaders": headers}},
            "get_bucket_location": location,
            "get_bucket_encryption": encryption,
        }

    def get(self) -> Answers:
        return self

    def once(self, what: str, operation: str, arguments: dict[str, str]) -> object:
        from mindlift.storage.retry import Refused

        answer = self.answers[operation]
        if isinstance(answer, tuple):
            raise Refused(what, *answer, "no")
        return answer


RULES = {"ServerSideEncryptionConfiguration": {"Rules": [{}]}}
NONE = (404, "NoSuchEncryptionConfiguration")


@pytest.mark.parametrize(
    ("headers", "location", "encryption", "expected"),
    # https://support.huaweicloud.com/en-us/api-obs/obs_04_0023.html: x-obs-bucket-location, and
    # x-obs-fs-file-interface, which only a parallel file system has
    [
        ({"x-obs-bucket-location": "cn-north-4"}, None, NONE, Traits("cn-north-4", False, False)),
        (
            {"x-obs-bucket-location": "cn-north-4", "X-Obs-Fs-File-Interface": "Enabled"},
            None,
            RULES,
            Traits("cn-north-4", True, True),
        ),
        ({}, {"LocationConstraint": "cn-east-3"}, NONE, Traits("cn-east-3", False, None)),
        ({}, {"LocationConstraint": None}, (501, "NotImplemented"), Traits()),
        ({}, (403, "AccessDenied"), (403, "AccessDenied"), Traits()),
    ],
)
def test_what_a_store_tells(monkeypatch, headers, location, encryption, expected):
    monkeypatch.setattr(buckets, "SERVICES", Answers(headers, location, encryption))
    assert buckets.traits("b", NEEDS) == expected


def test_a_store_without_these_questions_fails_no_check(url):
    """MinIO tells no region."""
    job = finished(Job(train_url=f"{url}/run/", name="n"))
    found = list(buckets.check(job, NEEDS))
    assert {check.ok for check in found} <= {True, None}
    assert {check.ok for check in buckets.check(job)} == {True}, "no needs, no questions"


def test_a_log_folder_that_is_not_empty(url):
    """GUIDE, Creating a Training Job, Persistent Log Saving: "select an empty OBS path"."""
    job = finished(Job(train_url=f"{url}/run/", name="n"))
    buckets.make_folders(job)
    assert buckets.check_empty("log_url", job.log_url).ok
    file.write(f"{job.log_url}old.log", "x")
    found = [check for check in buckets.check(job, NEEDS) if check.name == "log_url"]
    assert [(check.ok, "holds files already" in check.says) for check in found] == [(None, True)]


def test_folders_that_have_to_be_there(url):
    """GUIDE, Creating a Training Job, Prerequisites: the output folder has been created."""
    job = finished(Job(train_url=f"{url}/run/", name="n"))
    file.write(f"{job.log_url}old.log", "x")
    buckets.make_folders(job)
    buckets.make_folders(job)
    store, _ = places.locate(url)
    found = {entry.key: entry.size for entry in store.walk("")}
    assert found == {"run/": 0, "logs/n/old.log": 1}
    buckets.make_folders(Job(train_url=f"{url}/"))
    assert "" not in {entry.key for entry in store.walk("")}
    SERVICES.forget()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([100], "1 file, 100 B"),
        ([500_000_000], "1 file, 500.0 MB"),  # 57 s at 70 Mbit/s
        (
            [105_000_000, 420_000_000],
            "2 files, 525.0 MB: a copy before the first step takes 6 s at 700 Mbit/s and 1 min 00 s at 70",
        ),
        (
            [144_000_000] * 1001,
            "more than 1,000 files, at least 144.0 GB: a copy before the first step takes at least 27 min 25 s at 700"
            " Mbit/s and 4 h 34 min at 70",
        ),
    ],
)
def test_what_a_copy_of_an_input_takes(monkeypatch, files, said):
    """GUIDE's page on the MemArts cache: small files come at about 70 Mbit/s. Bits by bits a second."""
    monkeypatch.setattr(buckets, "COUNTED", 1000)
    assert buckets.amount(files).partition(" (what")[0] == said


def test_an_input_is_counted(url):
    for name in ("a", "b/c"):
        file.write(f"{url}/set/{name}", "12345")
    assert buckets.check_there("data_url", f"{url}/set").says == f"{url}/set has 2 files, 10 B"
