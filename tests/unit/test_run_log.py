"""What a run's log keeps of its end."""

from __future__ import annotations

import json
import sys

from mindlift.runs.log import RunLog
from mindlift.runs.paths import RunPaths
from tests.support.terminal import Terminal


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


# What MindSpore does while it compiles: it starts CPython once more, whose first step is this.
REPLACED = """
import ctypes, sys, time
from mindlift.runs.log import RunLog
log = RunLog(None, 0, True)
log.watch.limit_s = 0.2
with log:
    log.start_bar("train net", "step", 4, first="compiling the graph")
    printer = ctypes.pythonapi.PyFile_NewStdPrinter
    printer.restype = ctypes.py_object
    sys.stderr = printer(2)
    time.sleep(1)
    log.advance(2)
    log.info("epoch 1")
    log.end_bar()
    log.info("the end")
"""


def test_no_bar_stays_above_a_line_once_a_compiler_has_replaced_stderr():
    with Terminal([sys.executable, "-c", REPLACED], {"PYTHONUTF8": "1"}, 60, 20) as terminal:
        assert terminal.process.wait(60) == 0
        said = terminal.read()
    assert ", 1 s so far" in said or ", 0 s so far" in said, "compiling is heard beside the bar"
    for line in said.split("\r\n"):
        assert "%|" not in line.rpartition("\r")[2], "the bar is gone where a line is written"
