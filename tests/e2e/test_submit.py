"""The whole way: submit to a service, ranks train, logs followed, results fetched, evaluated; and every mistake."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mindlift.storage.moxing import file
from tests.doubles.modelarts import ENGINE, ModelArtsDouble
from tests.doubles.openi import OpenIDouble
from tests.support.desks import Desk
from tests.support.programs import ROOT, check_evaluation, environment, run_program


@pytest.fixture
def modelarts(desk) -> Iterator[tuple[Desk, ModelArtsDouble, list[str]]]:
    with ModelArtsDouble(desk.runner) as double:
        desk.env.update(HUAWEICLOUD_SDK_AK=double.access_key, HUAWEICLOUD_SDK_SK=double.secret_key)
        desk.env["MODELARTS_ENDPOINT"] = double.endpoint
        job = desk.home / "job.yaml"
        job.write_text(
            f"provider: modelarts\nendpoint: {double.endpoint}\nproject_id: {double.project_id}\nnet: densenet22\ndataset: digits\n"
            f"cards: 2\nflavor: modelarts.kat1.2xlarge\nengine: {ENGINE}\ndata_url: {desk.url}/data/digits/\n"
            f"train_url: {desk.url}/run/\nallow_dirty: true\nrecipe: {{max_epoch: 1, log_interval: 1, run_eval: true}}\n"
        )
        yield desk, double, ["--config", str(job)]


def reported_by_handle(handle: str, page: Path, env: dict[str, str]) -> None:
    """mindlift.report shows the run of a job of which it knows the handle alone."""
    command = [sys.executable, "-m", "mindlift", "report", handle, "--out", str(page)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(**env), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(page)
    text = page.read_text(encoding="utf-8")
    assert "ended after step" in text
    assert "densenet22 on digits" in text


def test_the_whole_way_through_modelarts(modelarts, few_digits):
    desk, double, config = modelarts
    done = desk.run("--provider", "modelarts", *config, "--wait", "--out", desk.home / "fetched")
    assert done.code == 0, done.err + done.out
    handle, *lines = done.out.strip().splitlines()
    assert handle.startswith(f"modelarts://127.0.0.1:{double.server.server_address[1]}/{double.project_id}/")
    assert any(re.match(r"epoch 1 of \d+, step 1 of", line) for line in lines)
    check_evaluation(Path(lines[-1]), few_digits, desk.env)
    status = json.loads(desk.run("status", handle, "--json").out)
    assert (status["phase"], status["cards"], status["train_url"]) == ("succeeded", 2, f"{desk.url}/run/")
    reported_by_handle(handle, desk.home / "page.html", desk.env)
    again = desk.run("fetch", handle, "--best", "--out", desk.home / "best")
    assert again.code == 0, again.err
    assert len(list((desk.home / "best").glob("*/checkpoints/*.ckpt"))) == 1
    assert "test-sk-hush" not in done.out + done.err + again.err
    sent = next(
        call for call in double.requests if call.path.endswith("training-jobs") and call.method == "POST"
    ).json()
    code = sent["algorithm"]["code_dir"]
    note = json.loads(file.read(f"obs:/{code}revision.json"))
    assert (
        note["revision"]
        == subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()
    )
    second = desk.run(*config, "--train_url", f"{desk.url}/other/")
    assert "code: 0 files sent" in second.err, "it is there already"
    assert desk.run("cancel", second.out.strip()).code == 0


@pytest.mark.heavy
def test_the_whole_way_through_openi(desk, few_digits):
    from mindlift.cloud.prepare import package

    pushed = package.collect(ROOT, "train.py", True)
    package.sync(pushed, f"{desk.url}/code/mindlift/")
    with OpenIDouble(desk.runner, f"{desk.url}/code/mindlift/", f"{desk.url}/results/") as double:
        double.commits["me/code", "main"] = pushed.revision
        double.datasets["me/digits"] = f"{desk.url}/data/digits/"
        words = [
            "--provider",
            "openi",
            "--endpoint",
            double.endpoint,
            "--repo",
            "me/code",
            "--branch",
            "main",
            "--image",
            "mindspore",
            "--cards",
            "2",
            "--net",
            "densenet22",
            "--dataset",
            "digits",
            "--datasets",
            "me/digits",
            "--recipe",
            "max_epoch=1",
            "log_interval=1",
            "run_eval=true",
            "--allow_dirty",
            "true",
        ]
        env = {**desk.env, "OPENI_TOKEN": double.token}
        refused = run_program("cloud/submit.py", *words, "--branch", "unpushed", **env)
        assert refused.code == 2
        advice = f"git push {double.endpoint}/me/code.git HEAD:unpushed"
        assert f"branch: me/code has no branch unpushed; {advice}" in refused.error
        assert not double.tasks
        done = run_program(
            "cloud/submit.py", *words, "--wait", "--out", desk.home / "fetched", **env, timeout=200
        )
        assert done.code == 0, done.err + done.out
        handle, *lines = done.out.strip().splitlines()
        reported_by_handle(handle, desk.home / "page.html", {**env, "OPENI_ENDPOINT": double.endpoint})
    assert handle.startswith("openi://me/code/")
    assert any(re.match(r"epoch 1 of \d+, step 1 of", line) for line in lines)
    check_evaluation(Path(lines[-1]), few_digits, desk.env)
    assert not (desk.home / "fetched/.download").exists()
    assert double.token not in done.out + done.err


MISTAKES = {
    "wrong keys": ([], {"HUAWEICLOUD_SDK_SK": "wrong-hush"}, "ModelArts answered APIGW.0301"),
    "no keys": (
        [],
        {"HUAWEICLOUD_SDK_AK": "", "HUAWEICLOUD_SDK_SK": "", "ACCESS_KEY_ID": "", "SECRET_ACCESS_KEY": ""},
        "no keys for ModelArts",
    ),
    "half a key": (
        [],
        {"HUAWEICLOUD_SDK_SK": ""},
        "of HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK only one is set",
    ),
    "keys of the bucket": ([], {"SECRET_ACCESS_KEY": "wrong-hush"}, "bucket"),
    "no such bucket": (
        ["--train_url", "obs://no-such-bucket-at-all/x/"],
        {},
        "there is no such bucket in this store",
    ),
    "no data": (["--data_url", "{url}/nothing/"], {}, "there is nothing at {url}/nothing/"),
    "results in the data": (["--train_url", "{url}/data/digits/run/"], {}, "is inside data_url"),
    "no such flavor": (
        ["--flavor", "modelarts.kat7.2xlarge"],
        {},
        "the service has no modelarts.kat7.2xlarge; it has modelarts.kat1",
    ),
    "too many cards": (
        ["--cards", "8"],
        {},
        "8 cards asked of modelarts.kat1.2xlarge, which has 2; use modelarts.kat1.8xlarge",
    ),
    "no engine": (
        ["--engine", "Ascend-Powered-Engine/old"],
        {},
        "Ascend-Powered-Engine/old is not there; there is " + ENGINE,
    ),
    "a mistyped option": (["--recipe", "max_epoc=3"], {}, "did you mean '--max_epoch'?"),
    "no region": (
        ["--endpoint", ""],
        {"MODELARTS_ENDPOINT": ""},
        "no region: pass --region, such as cn-north-4, or --endpoint",
    ),
    "no project": (["--project_id", ""], {}, "no project: pass --project_id"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_one_line_before_anything_is_created(modelarts, case):
    desk, double, config = modelarts
    words, env, expected = MISTAKES[case]
    done = desk.run(*config, *(word.format(url=desk.url) for word in words), **env)
    assert done.code == 2, done.err + done.out
    assert expected.format(url=desk.url) in done.error
    assert "(nothing was created)" in done.error or "inside data_url" in done.error
    assert not double.jobs
    assert not file.exists(f"{desk.url}/code")
    assert "hush" not in done.err + done.out


def test_services_refusals_are_one_line(modelarts):
    desk, double, config = modelarts
    double.quota = 0
    assert "quota: job-num: 0 of 0 in use; wait for a job to end" in desk.run(*config).error
    double.quota, double.clock_offset_s = 8, 3600
    late = desk.run("selfcheck", *config)
    assert late.code == 1
    assert "set this machine's clock right" in late.out
    double.clock_offset_s = 0
    assert desk.run("selfcheck", *config).code == 0
    first = desk.run(*config, "--name", "mine")
    assert first.code == 0, first.err
    second = desk.run(*config, "--name", "mine")
    assert "name: mine is the name of modelarts://" in second.error
    assert f"train_url: {desk.url}/run/ is in use by modelarts://" in second.error
    assert len(double.jobs) == 1
    assert desk.run("cancel", first.out.strip()).code == 0
    listed = json.loads(desk.run("list", *config, "--json").out)
    assert [item["name"] for item in listed] == ["mine"]


def test_an_answer_that_is_lost_does_not_make_two_jobs(modelarts):
    desk, double, config = modelarts
    double.lose_next_answer()
    done = desk.run(*config)
    assert done.code == 0, done.err
    assert "does not answer" in done.err
    assert len(double.jobs) == 1
    assert done.out.strip().endswith(next(iter(double.jobs)))
    desk.run("cancel", done.out.strip())


def test_the_plan_shows_request_and_ranks(modelarts):
    desk, double, config = modelarts
    done = desk.run("plan", *config, "--json", "--secrets", "TOKEN=env:MINE", MINE="hush")
    assert done.code == 0, done.err + done.out
    found = json.loads(done.out)
    assert found["request"]["algorithm"]["environments"] == {"TOKEN": "***"}
    ranks = found["nodes"][0]["ranks"]
    assert [rank["environment"]["RANK_ID"] for rank in ranks] == ["0", "1"]
    assert found["nodes"][0]["command"][1].startswith(
        "/home/ma-user/modelarts/user-job-dir/mindlift/train.py"
    )
    assert [check for check in found["checks"] if check["ok"] is False] == []
    unknown = {check["name"] for check in found["checks"] if check["ok"] is None}
    assert unknown == {"price", "cost", "packages"}, "no call of ModelArts tells an amount"
    assert not double.jobs
    assert "hush" not in done.out + done.err
    offline = desk.run("plan", *config, "--offline", HUAWEICLOUD_SDK_AK="", HUAWEICLOUD_SDK_SK="")
    assert offline.code == 0
    assert '"flavor_id": "modelarts.kat1.2xlarge"' in offline.out
