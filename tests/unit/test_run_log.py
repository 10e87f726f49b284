"""What a run's log keeps of its end."""

from __future__ import annotations

import json

from mindlift.runs.log import RunLog
from mindlift.runs.paths import RunPaths


def test_a_failure_is_an_event_and_the_last_line_of_the_log(tmp_path, capsys):
    paths = RunPaths(tmp_path / "run").create()
    with RunLog(paths, 0, False) as log:
        log.info("begun")
        log.metric(step=7, loss=1.0)
        log.failed("disk full", 3)
    line = json.loads(paths.metrics.read_text().splitlines()[-1])
    assert {**line, "time": 0} == {"time": 0, "event": "failed", "step": 7, "error": "disk full"}
    assert paths.log.read_text().endswith(" ERROR disk full\n")
    assert capsys.readouterr().out == "begun\n"


def test_other_ranks_write_to_their_logs_alone(tmp_path):
    paths = RunPaths(tmp_path / "run", rank=3).create()
    with RunLog(paths, 3, False) as log:
        log.failed("no memory")
    assert paths.log.read_text().endswith(" ERROR no memory\n")
    assert not paths.metrics.exists()
