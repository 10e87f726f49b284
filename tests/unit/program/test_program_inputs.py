"""Inputs of programs: from buckets, web servers and this machine; as they are, unpacked, and at a path of the program's."""

from __future__ import annotations

import http.server
import io
import os
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mindlift.errors import ConfigError, StageError, TransferError
from mindlift.model_utils.staging.stager import Stager
from mindlift.program import web
from mindlift.program.channels import read_channels
from mindlift.program.inputs import InputStager, check_exists
from mindlift.program.outputs import Outputs
from mindlift.program.publishing.publisher import Rules
from mindlift.program.publishing.restore import Nodes
from tests.support.transfers import Bucket, content


def archive(**files: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as found:
        for name, text in files.items():
            found.writestr(name, text)
    return target.getvalue()


@pytest.fixture
def store(minio, bucket, url) -> Bucket:
    return Bucket(minio, bucket)


def staged(tmp_path: Path, place: str, unpacks: bool = False, local: str = "") -> tuple[Path, list[str]]:
    said: list[str] = []
    (channel,) = read_channels([f"d={place}"], [], [f"d={local}"] if local else [])
    return InputStager(Stager(tmp_path / "cache", said.append, False), unpacks).stage(channel), said


def test_a_folder_of_a_bucket_is_copied_once_and_then_what_has_changed(store, tmp_path):
    store.put({"d/a": b"1", "d/b/c": b"2", "d/x.zip": archive(f="1")})
    path, _ = staged(tmp_path, store.url("d"))
    assert content(path) == store.content("d/")
    store.put({"d/a": b"11"})
    store.client.delete_object(Bucket=store.name, Key="d/b/c")
    path, said = staged(tmp_path, store.url("d/"))
    assert content(path) == store.content("d/")
    assert "copied 1 of 1 files" in said[-1]
    assert "1 unchanged, " in said[-1]


def test_a_file_of_a_bucket_is_a_file_here_and_an_archive_stays_one(store, tmp_path):
    store.put({"d/x.zip": archive(f="1"), "d/other": b"2"})
    path, _ = staged(tmp_path, store.url("d/x.zip"))
    assert path.name == "x.zip"
    assert path.read_bytes() == store.content("d/")["x.zip"]
    path, said = staged(tmp_path, store.url("d/x.zip"))
    assert "copied 0 of 0 files" in said[-1]
    folder, _ = staged(tmp_path, store.url("d/x.zip"), unpacks=True)
    assert content(folder) == {"f": b"1"}
    assert path.is_file()


def test_a_local_place_is_used_in_place(tmp_path):
    (tmp_path / "d").mkdir()
    assert staged(tmp_path, str(tmp_path / "d")) == (tmp_path / "d", [])
    (tmp_path / "x.zip").write_bytes(archive(f="1"))
    assert staged(tmp_path, str(tmp_path / "x.zip"))[0] == tmp_path / "x.zip"
    assert content(staged(tmp_path, str(tmp_path / "x.zip"), unpacks=True)[0]) == {"f": b"1"}


@pytest.mark.parametrize("there", ["nothing", "link", "empty"])
def test_an_input_at_a_path_of_the_programs(tmp_path, there):
    (tmp_path / "d").mkdir()
    wanted = tmp_path / "written/into/code"
    if there != "nothing":
        wanted.parent.mkdir(parents=True)
        wanted.symlink_to("old") if there == "link" else wanted.mkdir()
    assert staged(tmp_path, str(tmp_path / "d"), local=str(wanted))[0] == wanted
    assert os.path.realpath(wanted) == str(tmp_path / "d")


def test_what_is_at_that_path_already_is_not_lost(tmp_path):
    for name in ("d", "wanted/full"):
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(
        ConfigError, match="--local d=.*/wanted can't be made a link to the data: Directory not empty"
    ):
        staged(tmp_path, str(tmp_path / "d"), local=str(tmp_path / "wanted"))
    assert (tmp_path / "wanted/full").is_dir()


def test_an_input_that_does_not_exist(store):
    (channel,) = read_channels([f"d={store.url('missing/')}"], [])
    with pytest.raises(ConfigError, match="--input d: .*missing/ does not exist in the bucket"):
        check_exists(channel)


def test_a_bucket_that_does_not_exist(store, tmp_path):
    channels = read_channels(["d=obs://no-such-bucket/x/"], ["o=obs://no-such-bucket/y/"])
    with pytest.raises(ConfigError, match="--input d: obs://no-such-bucket/x/: there is no such bucket"):
        check_exists(channels[0])
    outputs = Outputs(Stager(tmp_path, print), Nodes(), Rules(), print)
    with pytest.raises(ConfigError, match="--output o: obs://no-such-bucket/y/: there is no such bucket"):
        outputs.lease(channels[1:])


# web servers


class Site(http.server.ThreadingHTTPServer):
    """Serves one file; the first `faults` answers break off."""

    def __init__(self) -> None:
        self.data, self.faults, self.asked = archive(f="from the web"), 0, []
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/x.zip?Signature=secret"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Site

    def do_GET(self):
        self.server.asked.append(self.headers.get("If-None-Match"))
        if not self.path.startswith("/x.zip"):
            self.send_error(404)
            return
        if self.headers.get("If-None-Match") == '"1"':
            self.send_response(304)
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(len(self.server.data)))
        self.end_headers()
        self.server.faults -= 1
        self.wfile.write(self.server.data[: 10 if self.server.faults >= 0 else None])

    def log_message(self, *_):
        pass


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_file_of_a_web_server_comes_once(site, tmp_path, monkeypatch):
    monkeypatch.setattr(web.time, "sleep", lambda seconds: None)
    site.faults = 2
    path, said = staged(tmp_path, site.url)
    assert (path.name, path.read_bytes()) == ("x.zip", site.data)
    assert "secret" not in "".join(said)
    assert said[-1].startswith("fetched http://127.0.0.1:")
    again, said = staged(tmp_path, site.url)
    assert (again, said[-1].endswith("already")) == (path, True)
    assert site.asked == [None, None, None, '"1"']
    assert content(staged(tmp_path, site.url, unpacks=True)[0]) == {"f": b"from the web"}


def test_a_web_server_that_never_sends_all(site, tmp_path, monkeypatch):
    monkeypatch.setattr(web.time, "sleep", lambda seconds: None)
    site.faults = 99
    with pytest.raises(
        TransferError, match=r"x.zip did not arrive: 10 of \d+ bytes came \(5 attempts\)"
    ) as found:
        staged(tmp_path, site.url)
    assert "secret" not in str(found.value)
    assert not list(tmp_path.rglob("x.zip*"))


def test_a_web_server_that_has_no_such_file(site, tmp_path):
    with pytest.raises(StageError, match="y: the server answered 404 Not Found"):
        staged(tmp_path, site.url.replace("x.zip", "y"))
