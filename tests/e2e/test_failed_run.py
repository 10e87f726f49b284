"""A training that fails leaves what it failed with in its run: in the events, at the end of the log, on the page."""

from __future__ import annotations

import json

from mindlift.report import figures
from mindlift.runs import folder as run_folder
from tests.support.programs import TINY, TRAIN, run_program


def test_a_training_that_diverges(few_digits, tmp_path):
    words = ["--data_dir", few_digits, "--ckpt_path", tmp_path, "--lr", "1e30", "--max_epoch", 3]
    done = run_program(TRAIN, *TINY, *words, "--log_interval", 1)
    assert done.code == 1
    error = done.error.partition("error: ")[2]
    assert "loss is " in error
    run = run_folder.read(run_folder.find(tmp_path))
    assert figures.state(run, 0)[0] == "failed"
    assert figures.errors(run, 0) == [error]
    assert run.failures == {0: error}, "the log ends with it"
    lines = (run.root / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["event"] == "failed"
    assert error.partition(";")[0] in (run.root / "report.html").read_text(), "the page was drawn again"
    assert error not in done.out, "the terminal hears of it once"
