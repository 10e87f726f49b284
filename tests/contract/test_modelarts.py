"""What ModelArts refuses, from plan to creation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mindlift.cloud.errors import Refused
from mindlift.cloud.prepare import bucket as buckets
from mindlift.cloud.prepare import package as packages
from mindlift.cloud.states import Phase
from mindlift.storage import places
from tests.support.rigs import PACKAGE, on_modelarts, refused

MODELARTS = {
    "no such flavor": (
        {"flavor": "modelarts.kat9.xlarge"},
        {},
        ["the service has no modelarts.kat9.xlarge", "2781"],
    ),
    "no such engine": ({"engine": "Ascend-Powered-Engine/none"}, {}, ["engine", "not there", "2780"]),
    "quota": ({}, {"quota": 0}, ["quota: job-num: 0 of 0 in use", "2815"]),
    "wrong secret key": ({}, {"secret_key": "another"}, ["401", "APIGW.0301", "look at the access key"]),
    "unknown access key": ({}, {"access_key": "another"}, ["APIGW.0301", "not exist"]),
    "clock": ({}, {"clock_offset_s": 3600}, ["signature expired", "clock right"]),
    "other project": ({"project_id": "feedfeed"}, {}, ["2786"]),
}


@pytest.mark.parametrize("case", MODELARTS)
@on_modelarts
def test_what_modelarts_refuses(rig, case):
    changes, edits, parts = MODELARTS[case]
    for name, value in edits.items():
        setattr(rig.double, name, value)
    said = refused(rig, **changes)
    assert [part for part in parts if part not in said and part != "401"] == [], said
    assert "test-sk-hush" not in said


@on_modelarts
def test_places_have_to_be_there(rig):
    """ModelArts' user manual, Creating a Training Job: code, data and the folder of results exist before the job."""

    def exists(url: str) -> bool:
        store, key = places.locate(url)
        return store.stat(key) is not None

    rig.double.exists = exists
    job, provider = rig.named("job-one"), rig.provider
    job = provider.complete(replace(job, log_url=f"{rig.job.train_url}logs/"))
    with pytest.raises(Refused, match="2802"):
        provider.create(job, PACKAGE)
    packages.sync(PACKAGE, job.code_url)
    with pytest.raises(Refused, match="2791.*does not exist"):
        provider.create(job, PACKAGE)
    buckets.make_folders(job)
    assert rig.wait(provider.create(job, PACKAGE)).phase is Phase.SUCCEEDED
