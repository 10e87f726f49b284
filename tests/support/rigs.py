"""Each provider with its service, real processes behind it, and a job that it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from mindlift.cloud import providers
from mindlift.cloud.errors import MindLiftError, Refused
from mindlift.cloud.handle import Handle
from mindlift.cloud.job import Job
from mindlift.cloud.prepare import package as packages
from mindlift.cloud.prepare.package import Package
from mindlift.cloud.providers.base import Provider, Status
from tests.doubles.modelarts import ENGINE, ModelArtsDouble
from tests.doubles.openi import OpenIDouble
from tests.doubles.runner import LocalRunner

PROGRAM = b"""import sys, time
given = dict(word[2:].split("=", 1) for word in sys.argv[1:])
for number in range(int(given["lines"])):
    print("line", number, flush=True)
time.sleep(float(given["sleep"]))
sys.exit(int(given["code"]))
"""

PACKAGE = Package("0" * 40, False, {"train.py": PROGRAM})


@dataclass
class Rig:
    """A provider with its service, and a job that its service takes."""

    job: Job
    double: ModelArtsDouble | OpenIDouble | None

    @property
    def provider(self) -> Provider:
        return providers.load(self.job)

    def named(self, name: str, **recipe: object) -> Job:
        given = {"lines": 1, "sleep": 0, "code": 0, **recipe}
        return replace(
            self.job, name=name, recipe=given, train_url=self.job.train_url and f"{self.job.train_url}{name}/"
        )

    def create(self, name: str = "job-one", **recipe: object) -> Handle:
        job, provider = self.named(name, **recipe), self.provider
        with provider.reach_store():
            if job.code_url:
                packages.sync(PACKAGE, job.code_url)
            return provider.create(provider.complete(job), PACKAGE)

    def wait(
        self, handle: Handle, until: Callable[[Status], bool] = lambda status: status.phase.is_final
    ) -> Status:
        deadline, status = time.monotonic() + 60, self.provider.show(handle)
        while not until(status):
            assert time.monotonic() < deadline, status
            time.sleep(0.1)
            status = self.provider.show(handle)
        return status


def local(url: str, runner: LocalRunner, monkeypatch) -> Iterator[Rig]:
    monkeypatch.setenv("MINDLIFT_REHEARSALS", str(runner.home))
    yield Rig(Job(provider="local", train_url=f"{url}/runs/", code_url=f"{url}/code/mindlift/"), None)


def modelarts(url: str, runner: LocalRunner, monkeypatch) -> Iterator[Rig]:
    with ModelArtsDouble(runner) as double:
        monkeypatch.setenv("HUAWEICLOUD_SDK_AK", double.access_key)
        monkeypatch.setenv("HUAWEICLOUD_SDK_SK", double.secret_key)
        monkeypatch.setenv("MODELARTS_ENDPOINT", double.endpoint)
        yield Rig(
            Job(
                provider="modelarts",
                endpoint=double.endpoint,
                project_id=double.project_id,
                flavor="modelarts.kat1.xlarge",
                engine=ENGINE,
                train_url=f"{url}/runs/",
                code_url=f"{url}/code/mindlift/",
            ),
            double,
        )


def openi(url: str, runner: LocalRunner, monkeypatch, cluster: str = "C2Net") -> Iterator[Rig]:
    packages.sync(PACKAGE, f"{url}/code/mindlift/")
    with OpenIDouble(runner, f"{url}/code/mindlift/", f"{url}/runs/") as double:
        monkeypatch.setenv("OPENI_TOKEN", double.token)
        yield Rig(
            Job(
                provider="openi",
                endpoint=double.endpoint,
                repo="me/code",
                branch="main",
                cluster=cluster,
                image="mindspore",
            ),
            double,
        )


def qizhi(url: str, runner: LocalRunner, monkeypatch) -> Iterator[Rig]:
    yield from openi(url, runner, monkeypatch, "OpenICloudbrainTwo")


RIGS = {"local": local, "modelarts": modelarts, "openi": openi, "qizhi": qizhi}

on_all = pytest.mark.parametrize("rig", RIGS, indirect=True)

on_services = pytest.mark.parametrize("rig", ["modelarts", "openi", "qizhi"], indirect=True)

on_modelarts = pytest.mark.parametrize("rig", ["modelarts"], indirect=True)

on_openi = pytest.mark.parametrize("rig", ["openi"], indirect=True)


def refused(rig: Rig, **changes: object) -> str:
    """What the checks say of a job that can't be, and that creating it all the same is refused."""
    job = replace(rig.named("job-one"), **changes)
    provider = providers.load(job)
    failed = [
        check
        for check in provider.check(provider.complete(job), PACKAGE)
        if check.ok is False and check.name != "branch"
    ]
    with pytest.raises((Refused, MindLiftError)) as caught:
        provider.create(provider.complete(job), PACKAGE)
    assert caught.value.exit_code == 2
    assert failed
    return (
        " | ".join(f"{check.name}: {check.says}; {check.advice}" for check in failed)
        + " || "
        + str(caught.value)
    )
