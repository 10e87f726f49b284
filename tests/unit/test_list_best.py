"""mindlift list --best: the best checkpoint of each job, as the manifest of its run says."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from mindlift.cli import job_commands
from mindlift.cli.job_arguments import parse
from mindlift.cloud import show
from mindlift.cloud.errors import NoAnswer
from mindlift.cloud.follow import best
from mindlift.cloud.handle import Handle
from mindlift.cloud.providers.base import Status
from mindlift.cloud.states import Phase
from mindlift.runs.manifest import Saved, as_text
from mindlift.runs.remote import Lifetime
from mindlift.storage.copying import copy

BEGUN = 1_000_000.0


def saved(step: int, score: float | None = None) -> Saved:
    metric = "top1" if score is not None else ""
    return Saved(f"net-{step}.ckpt", step, step, 1, 1, 10, "0" * 64, BEGUN + step, metric, score)


def run(folder: Path, *checkpoints: Saved, begun: float = BEGUN) -> None:
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"begun": [begun]}))
    (folder / "checkpoints/manifest.jsonl").write_text(as_text(checkpoints))


def status(name: str, url: str, started: float = BEGUN) -> Status:
    return Status(
        Handle("local", (name,)),
        name,
        Phase.SUCCEEDED,
        "",
        started_at=started,
        duration_s=100.0,
        outputs={"out": url},
    )


class Provider:
    def __init__(self, *jobs: Status, away: bool = False):
        self.jobs, self.away, self.reached = jobs, away, 0

    def list(self, phases, limit=None):
        return iter(self.jobs)

    def reach_store(self):
        self.reached += 1
        if self.away:
            raise NoAnswer("the store is away")
        return contextlib.nullcontext()


def test_the_best_is_that_of_the_jobs_own_run(tmp_path):
    run(tmp_path / "20260921-140640", saved(1, 50.0), saved(2, 98.75), saved(3, 97.0))
    run(tmp_path / "20260922-140640", saved(1, 99.0), begun=BEGUN + 9000)
    found = best.of_run(str(tmp_path), Lifetime(BEGUN, BEGUN + 100))
    assert found == (f"{tmp_path}/20260921-140640", saved(2, 98.75))
    assert best.as_text(found) == "net-2.ckpt (top1 98.75 %)"
    assert best.as_text(None) == "-"


def test_without_scores_there_is_none(tmp_path):
    run(tmp_path / "20260921-140640", saved(1), saved(2))
    assert best.of_run(str(tmp_path), Lifetime(BEGUN, BEGUN + 100)) is None
    assert best.of_run(str(tmp_path / "nothing"), Lifetime(BEGUN)) is None


def test_it_is_a_column_and_in_the_json(url, tmp_path, monkeypatch, capsys):
    run(tmp_path / "20260921-140640", saved(2, 98.75))
    copy.copy_tree(str(tmp_path), f"{url}/runs")
    provider = Provider(status("a", f"{url}/runs"), status("b", ""), status("c", f"{url}/none"))
    monkeypatch.setattr(job_commands, "read_job", lambda args: (None, provider))
    assert job_commands.list_jobs(parse(["list", "--best"])) == 0
    head, first, second, third = capsys.readouterr().out.splitlines()
    assert "BEST CHECKPOINT" in head
    assert "net-2.ckpt (top1 98.75 %)" in first
    assert "net" not in second + third
    job_commands.list_jobs(parse(["list", "--best", "--json"]))
    found = [each["best"] for each in json.loads(capsys.readouterr().out)]
    file = f"{url}/runs/20260921-140640/checkpoints/net-2.ckpt"
    assert found == [{"url": file, "metric": "top1", "score": 98.75}, None, None]
    job_commands.list_jobs(parse(["list"]))
    assert "BEST" not in capsys.readouterr().out
    assert provider.reached == 2


def test_a_store_that_is_away_leaves_the_list():
    jobs = [status("a", "obs://b/run/"), status("b", "")]
    found, problem = best.of_jobs(Provider(away=True), jobs)
    assert (found, problem) == ({}, "not all of the best checkpoints are known: the store is away")
    assert best.of_jobs(Provider(away=True), jobs[1:]) == ({}, "")
    assert "-" in show.statuses(jobs, ["-", "-"])
