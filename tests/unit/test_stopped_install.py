"""A job that is stopped while pip waits for a package index."""

from __future__ import annotations

import socket
import sys
import time

from mindlift.cloud.platforms.request import Request
from mindlift.cloud.providers.local import machine
from tests.support.rehearsed import NOWHERE


def test_it_ends_at_once(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        code = tmp_path / "code"
        code.mkdir()
        (code / "main.py").write_text("print('never')")
        index = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        (code / "pip-requirements.txt").write_text(f"--index-url {index}\nsome-package==1\n")
        request = Request("modelarts-v2", "job", f"{code}/", "main.py", is_own=False, python=sys.executable)
        job = machine.start(tmp_path / "jobs", "job", request, NOWHERE, {})
        silent.settimeout(60)
        silent.accept()  # pip has asked, and gets no answer
        machine.stop(job)
        deadline = time.monotonic() + 30  # pip alone would try for minutes
        while not job.state().is_final:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert (job.state().phase, job.state().reason) == ("stopped", "stopped on request")
    assert not list((tmp_path / "jobs/environments").glob("*/complete"))
