"""What is asked of OpenI before a job is created, and what a creation waits for.

Numbers are files of aiforge, as in test_openi_answers.py.
"""

from __future__ import annotations

import pytest

from mindlift.cloud.errors import Refused
from mindlift.cloud.prepare.package import Package
from mindlift.cloud.prepare.submission import Submission
from mindlift.cloud.providers.base import Price
from mindlift.cloud.providers.openi.client import OpenI
from mindlift.cloud.retry import RetryPolicy
from tests.support.openi_jobs import PACKAGE, checks_of, client_of, created, job_at


def test_the_account_is_compared_in_the_services_units(service):
    """GB, 0 for none: role.GetUserContainerStorageLimits (69515834139)."""
    package = Package("0" * 40, False, {"train.py": bytes(1_900_000)})
    assert "code size" not in checks_of(service, package)
    service.code_size_limit_gb = 5
    assert checks_of(service, package)["code size"] == (True, "1.9 MB of 5 GB")


@pytest.mark.parametrize(
    ("points", "nodes", "expected"), [(8, 1, True), (7.5, 1, False), (15, 2, False), (16, 2, True)]
)
def test_the_balance_has_to_cover_an_hour_of_all_nodes(service, points, nodes, expected):
    """account.IsPointBalanceEnough: the spec's price x work_server_number (69469839516)."""
    service.points, service.worker_numbers = points, [1, 2]
    job = job_at(service, cards=8, nodes=nodes)
    assert checks_of(service, cards=8, nodes=nodes)["points"][0] is expected
    if expected:
        client_of(job).create(job, PACKAGE)
    else:
        with pytest.raises(Refused, match="2006"):
            client_of(job).create(job, PACKAGE)


def test_the_price_of_a_job(service):
    """unit_price is of an hour: unitPrice * CloudBrainPayInterval / time.Hour (69717669718)."""
    assert client_of(job_at(service)).price(job_at(service, cards=8, nodes=2)) == Price(16, "points", "hour")
    assert client_of(job_at(service)).price(job_at(service, cards=5)) is None
    found = {
        check.name: check.says for check in client_of(job_at(service)).selfcheck(job_at(service, repo=""))
    }
    assert "8 x ASCEND910 (8 points per hour)" in found["machines"]
    service.pays = False
    assert client_of(job_at(service)).price(job_at(service)) == Price(0, "points", "hour")
    assert "points" not in checks_of(service)


def test_one_job_at_a_time_is_the_default(service):
    """task.GetUserMultiLimitNum (69816740485)."""
    provider, _ = created(service)
    assert checks_of(service, name="job-two")["quota"] == (False, "1 of 1 jobs in use")
    with pytest.raises(Refused) as caught:
        provider.create(job_at(service, name="job-two"), PACKAGE)
    assert caught.value.code in OpenI.full_codes


def test_a_branch_that_is_there(service):
    """`branches` and `default_branch`: entity.CreationRequiredRepoInfo (69543632572)."""
    assert checks_of(service)["branch"] == (True, "main is pushed")
    assert checks_of(service, branch="work")["branch"] == (False, "me/code has no branch work")


def test_a_commit_that_cant_be_told(service):
    """Where Gitea's branch route is shut, nothing is said against the job."""
    service.branch = lambda repo, name: service.refuse(404)
    ok, says = checks_of(service)["branch"]
    assert ok is None
    assert "main is there; whether it is this code can't be told" in says


def test_an_account_without_wechat(service):
    """reqWeChatStandard (69454651554)."""
    service.is_bound = False
    ok, says = checks_of(service)["service"]
    assert ok is False
    assert "bind a WeChat account" in says


def test_a_name_is_taken_in_its_own_repository_only(service):
    """GetCloudbrainsByDisplayJobName looks in one repository (69733640158)."""
    service.limit, service.repos["me/other"] = 5, ["main"]
    provider, handle = created(service, repo="me/other")
    assert checks_of(service)["name"] == (True, "job-one is free")
    here = provider.create(job_at(service), PACKAGE)
    assert (provider.find(job_at(service)), provider.find(job_at(service, repo="me/other"))) == (here, handle)
    assert provider.find(job_at(service, name="job")) is None


def test_the_queue_waits_until_the_running_job_has_ended(service):
    """One TRAIN job at a time (69816740485): task.GetUserMultiLimitNum."""
    provider, first = created(service)
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        assert len(waited) < 5, said
        service.runner.set(first.id, phase="succeeded")
        provider.show(first)

    job = job_at(service, name="job-two", recipe={"max_epoch": 1})
    said: list[str] = []
    submission = Submission(client_of(job), RetryPolicy(0), said.append, queues=True, sleep=sleep)
    second = submission.run(job, PACKAGE)
    assert second.id != first.id
    assert len(waited) == 1
    assert said[0].startswith("waiting for a place: 1 of 1 jobs in use")
    assert any(line.startswith("cost: ") for line in said)
