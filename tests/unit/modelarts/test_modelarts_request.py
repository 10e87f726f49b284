"""What a job of ModelArts is created with."""

from __future__ import annotations

import pytest

from mindlift.cloud.job import Job
from mindlift.cloud.job_rules import finished
from mindlift.cloud.providers.modelarts import request, view


def test_an_own_image_starts_a_process_per_card_itself():
    job = finished(
        Job(
            name="n",
            image="me/image:1",
            cards=8,
            nodes=2,
            train_url="obs://bucket/run/",
            recipe={"ckpt_path": "it's $HOME"},
        )
    )
    algorithm = request.body(job.replace(code_url="obs://bucket/code/abc/mindlift/"), {})["algorithm"]
    assert "parameters" not in algorithm
    assert "boot_file" not in algorithm
    assert algorithm["command"].startswith(
        "cd ${MA_JOB_DIR}/mindlift && msrun --worker_num=16 --local_worker_num=8 --join=True "
        "--master_addr=${VC_WORKER_HOSTS%%,*} --node_rank=${VC_TASK_INDEX} train.py --net=densenet100 "
    )
    assert algorithm["command"].endswith(r"'--ckpt_path=it'\''s $HOME' --resume_url=obs://bucket/run/")
    single = request.body(job.replace(cards=1, nodes=1), {})["algorithm"]["command"]
    assert "&& python train.py " in single


def test_where_an_own_image_writes_is_found_again():
    job = finished(Job(name="n", image="me/image:1", train_url="obs://bucket/run/", access="direct"))
    assert view.outputs_of(request.body(job, {})["algorithm"]) == {"train_url": "obs://bucket/run/"}


@pytest.mark.parametrize(
    "flavor", ["modelarts.kat1.4xlarge", "modelarts.kat1.4xlarge.public", "modelarts.pool.visual.4xlarge"]
)
def test_the_advice_names_a_flavor_that_fits(flavor):
    kind = flavor.partition("4xlarge")[0]
    found = request.machine(Job(flavor=flavor, cards=8, pool_id="pool-1" if "pool" in flavor else ""))
    assert (found.ok, found.advice) == (False, f"use {kind}8xlarge")


@pytest.mark.parametrize("name", ["with space", "ümlaut", "x" * 65])
def test_names_of_parameters(name):
    assert list(request.text_problems(Job(recipe={name: 1}))) == [
        f"parameter {name!r}: expected 1 to 64 letters, digits, - and _"
    ]
