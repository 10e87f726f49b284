"""A rehearsal whose store dies, or whose results can't be uploaded: real processes, ended by SIGKILL."""

from __future__ import annotations

import json
import os
import signal
from http.client import HTTPConnection
from pathlib import Path

import pytest

from mindlift.cloud.providers.local import keeper
from mindlift.errors import StorageError
from tests.support.home import wait_for
from tests.support.rehearsed import rehearse
from tests.support.servers import s3_client

FAILS = """
    import os, sys
    print("attempt")
    open(os.path.join(os.environ["out"], "x"), "w").close()
    sys.exit(3)
"""


@pytest.fixture
def rehearsals(minio, tmp_path, monkeypatch) -> Path:
    """A folder of rehearsals with a store of its own."""
    monkeypatch.delenv("MINIO_ENDPOINT", raising=False)
    return tmp_path / "rehearsals"


def end(folder: Path, who: str) -> None:
    """SIGKILL to the keeper or the server of the store."""
    note = json.loads((folder / "store/store.json").read_text())
    os.kill(note[who]["pid"], signal.SIGKILL)
    wait_for(lambda: keeper.Process(**note[who]).is_gone(), 10)


def is_healthy(access: keeper.StoreAccess) -> bool:
    connection = HTTPConnection(access.endpoint.partition("//")[2], timeout=5)
    try:
        connection.request("GET", "/minio/health/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@pytest.mark.parametrize("who", ["server", pytest.param("keeper", marks=pytest.mark.heavy)])
def test_a_store_that_died_is_there_again_at_the_same_place(rehearsals, who):
    """The server of a living keeper, and the server that a killed keeper has left: for old users and for new ones."""
    with keeper.store_of(rehearsals) as first:
        s3_client(first).create_bucket(Bucket="kept")
        end(rehearsals, who)
        with keeper.store_of(rehearsals) as second:
            assert second == first
            assert is_healthy(second)
            assert [each["Name"] for each in s3_client(first).list_buckets()["Buckets"]] == ["kept"]
    wait_for(lambda: not (rehearsals / "store/store.json").exists(), 30)


@pytest.mark.heavy
def test_a_keeper_that_does_not_start_the_store_again_is_named(rehearsals, monkeypatch):
    with keeper.store_of(rehearsals) as first:
        note = json.loads((rehearsals / "store/store.json").read_text())
        os.kill(note["keeper"]["pid"], signal.SIGSTOP)
        monkeypatch.setattr(keeper, "READY_WITHIN_S", 1.0)
        says = rf"{first.endpoint} has ended.*process {note['keeper']['pid']}"
        try:
            end(rehearsals, "server")
            with pytest.raises(StorageError, match=says), keeper.store_of(rehearsals):
                pass
        finally:
            os.kill(note["keeper"]["pid"], signal.SIGCONT)
        wait_for(lambda: is_healthy(first), 30)
    wait_for(lambda: not (rehearsals / "store/store.json").exists(), 30)


@pytest.mark.parametrize("retries", [0, 1])
def test_the_reason_is_the_programs_and_not_the_uploads(tmp_path, retries):
    """The output's place is a file, so nothing can be copied there."""
    (tmp_path / "taken").write_text("")
    found = rehearse(
        tmp_path,
        FAILS,
        outputs=(("out", f"{tmp_path / 'taken'}/"),),
        access="env",
        retries=retries,
        unconditional_retry=True,
    )
    assert found.lines == ["attempt"] * (1 + retries)
    assert (found.state.phase, found.state.exit_code, found.state.restarts) == ("failed", 3, retries)
    assert found.state.reason == "node 0 ended with exit code 3"
    assert "upload failed" in found.platform


def test_results_that_can_not_be_uploaded_fail_the_job_and_stay(tmp_path):
    """The program has ended well: it is not started again."""
    (tmp_path / "taken").write_text("")
    found = rehearse(
        tmp_path,
        FAILS.replace("sys.exit(3)", ""),
        outputs=(("out", f"{tmp_path / 'taken'}/"),),
        access="env",
        retries=1,
        unconditional_retry=True,
    )
    assert found.lines == ["attempt"]
    assert (found.state.phase, found.state.restarts) == ("failed", 0)
    assert found.state.reason.startswith(f"the results could not be uploaded, they are in {found.root}: ")
    assert list(found.root.rglob("x"))
