"""`mindlift ui` by HTTP: what it shows, whom it refuses, that nothing of a run becomes HTML or leads out of the folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
from pathlib import Path
from urllib.parse import quote

import pytest

from mindlift.errors import ConfigError
from mindlift.ui import server
from tests.support import synthetic_runs

FIRST, SECOND, OLD = "run:sweep/20260921-140640", "run:sweep/20260921-151200", "run:old/20250101-000000"
HOSTILE = "</script><script>alert(1)</script>\"'<img src=x onerror=alert(2)>"


def of(*names: str) -> str:
    return "&".join(f"of={quote(name, safe='')}" for name in names)


def test_the_first_page_lists_runs_by_what_differs(serve, folder):
    page = serve(folder).get("")
    assert page.status == 200
    links = re.findall(r'<a href="show\?of=([^"]+)">([^<]+)</a>', page.text)
    assert dict(links) == {
        quote(FIRST, safe=""): "lr 0.1, seed 1",
        quote(SECOND, safe=""): "lr 0.02, seed 2",
        quote(OLD, safe=""): "20250101-000000",
    }
    assert "sweep/20260921-140640" in page.text, "the folder's name stays"
    assert "top-1 " in page.text


def test_a_run_is_shown_as_its_report(serve, folder):
    asked = serve(folder)
    page = asked.get(f"show?{of(FIRST)}")
    assert page.status == 200
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page.text)[1])
    assert {"loss", "lr", "score"} <= {chart["id"] for chart in data["charts"]}
    assert 'data-part="head"' in page.text
    assert 'id="log"' in page.text


def test_ticked_runs_are_compared(serve, folder):
    page = serve(folder).get(f"show?{of(FIRST, SECOND, OLD)}")
    assert "3 runs compared" in page.text
    assert "Options that differ" in page.text
    assert "20250101-000000" in page.text


def test_what_is_written_is_seen(serve, folder, tmp_path):
    base = tmp_path / "runs"
    shutil.copytree(folder / "sweep", base)
    name, asked = "run:20260921-151200", serve(base)
    page = asked.get(f"show?{of(name)}").text
    mark = re.search(r'data-mark="([^"]+)"', page)[1]
    same = asked.get(f"show.json?{of(name)}&mark={mark}").json
    assert ("data" in same, same["mark"]) == (False, mark)
    line = {"time": 1.79e9 + 5000, "epoch": 1, "step": 91, "loss": 0.125, "lr": 0.01}
    with open(base / "20260921-151200/metrics.jsonl", "a") as file:
        file.write(json.dumps(line) + "\n")
    news = asked.get(f"show.json?{of(name)}&mark={mark}").json
    loss = next(chart for chart in news["data"]["charts"] if chart["id"] == "loss")["series"][0]
    assert (loss["steps"][-1], loss["values"][-1]) == (91, 0.125)
    assert news["mark"] != mark
    assert "0.125" in news["parts"]["head"]


def test_the_list_follows_as_well(serve, tmp_path):
    asked = serve(tmp_path)
    assert "No runs yet" in asked.get("list.json").json["parts"]["runs"]
    synthetic_runs.old(tmp_path / "20250101-000000")
    asked_again = serve(tmp_path)  # the first one looks for new runs every two seconds
    assert "20250101-000000" in asked_again.get("list.json").json["parts"]["runs"]


def test_a_log_is_followed(serve, folder, tmp_path):
    base = tmp_path / "runs"
    shutil.copytree(folder / "old", base)
    logs = base / "20250101-000000/logs"
    logs.mkdir()
    (logs / "rank_0.log").write_text(
        "one\n\x1b[31mtwo\x1b[0m\x07 <b>\n 10%\r 90%\nunfinished", encoding="utf-8"
    )
    (logs / "rank_1.log").write_text("other\n")
    name, asked = of("run:20250101-000000"), serve(base)
    found = asked.get(f"log.json?{name}&part=0").json
    assert found["lines"] == ["one", "two\\x07 <b>", " 90%"]
    assert found["parts"] == [0, 1]
    assert asked.get(f"log.json?{name}&part=0&after={found['next']}").json["lines"] == []
    with open(logs / "rank_0.log", "a") as file:
        file.write(" no more\nlast\n")
    more = asked.get(f"log.json?{name}&part=0&after={found['next']}").json
    assert more["lines"] == ["unfinished no more", "last"]
    assert asked.get(f"log.json?{name}&part=1").json["lines"] == ["other"]
    assert "no log" in asked.get(f"log.json?{name}&part=7").json["note"]


def test_a_long_log_begins_at_its_end(serve, folder, tmp_path):
    base = tmp_path / "runs"
    shutil.copytree(folder / "old", base)
    (base / "20250101-000000/logs").mkdir()
    lines = [f"line {number:06d} {'x' * 80}" for number in range(3000)]
    (base / "20250101-000000/logs/rank_0.log").write_text("".join(line + "\n" for line in lines))
    found = serve(base).get(f"log.json?{of('run:20250101-000000')}&part=0").json["lines"]
    assert found == lines[-len(found) :]
    assert 300 < len(found) < 3000


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Host": ""}]
)
def test_strangers_are_refused(serve, folder, headers):
    asked = serve(folder)
    found = asked.get("", **headers)
    assert found.status == 403
    assert "sweep" not in found.text


@pytest.mark.parametrize("path", ["/", "/show", "/x/", "/favicon.ico", "/x/list.json"])
def test_without_the_token_there_is_nothing(serve, folder, path):
    found = serve(folder).path(path)
    assert found.status == 404
    assert "sweep" not in found.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_changed(serve, folder, method):
    assert serve(folder).get("", method=method).status == 501


def test_only_this_machine_is_listened_to(folder, tmp_path):
    with server.make(folder, 0, [], tmp_path) as found:
        assert found.socket.getsockname()[0] == "127.0.0.1"
        assert found.address == f"http://127.0.0.1:{found.server_port}/{found.token}/"
        assert len(found.token) >= 32, "192 bits"


def test_headers_keep_other_sites_out(serve, folder):
    headers = serve(folder).get("").headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer", "the address has the token"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize(
    "name",
    [
        "run:../secret",
        "run:/etc",
        "run:..",
        "run:sweep/../../secret",
        "run:",
        "run:sweep",
        "run:\x00",
        "x",
        "local://..",
    ],
)
def test_what_was_not_found_below_the_folder_is_not_read(serve, folder, name):
    asked = serve(folder, ("local",))
    for page in (f"show?{of(name)}", f"show.json?{of(name)}", f"log.json?{of(name)}&part=0"):
        assert asked.get(page).status == 404


def test_links_do_not_lead_out(serve, tmp_path):
    secret = synthetic_runs.old(tmp_path / "secret")
    (secret / "logs").mkdir()
    (secret / "logs/rank_0.log").write_text("the secret\n")
    served = tmp_path / "served"
    for name in ("a", "b", "c"):
        synthetic_runs.old(served / name)
    os.symlink(secret, served / "linked")
    os.symlink(secret / "metrics.jsonl", served / "a/result.json")
    os.mkfifo(served / "b/run.json")
    (served / "c/logs").mkdir()
    os.symlink(secret / "logs/rank_0.log", served / "c/logs/rank_0.log")
    asked = serve(served)
    assert set(re.findall(r'value="run:(\w+)"', asked.get("").text)) == {"c"}
    assert "secret" not in asked.get(f"log.json?{of('run:c')}&part=0").text


def test_nothing_of_a_run_becomes_html(serve, tmp_path):
    folder = "<img src=x onerror=alert(3)>"
    root = synthetic_runs.classification(tmp_path / folder, steps=90)
    options = (root / "config.yaml").read_text()
    (root / "config.yaml").write_text(re.sub(r"net: densenet100", f"net: {json.dumps(HOSTILE)}", options))
    with open(root / "metrics.jsonl", "a") as file:
        file.write(
            json.dumps({"time": 1.79e9 + 9999, "event": "failed", "step": 90, "error": HOSTILE}) + "\n"
        )
    (root / "result.json").unlink()
    asked = serve(tmp_path)
    name = f"run:{folder}"
    pages = [
        asked.get("").text,
        asked.get(f"show?{of(name)}").text,
        asked.get(f"show?{of('run:' + HOSTILE)}").text,
    ]
    for page in pages:
        assert "<img src=x" not in page
        assert "<script>alert" not in page
    assert "&lt;img src=x onerror=alert(2)&gt;" in pages[1], "it is shown, as text"
    parts = asked.get(f"show.json?{of(name)}").json["parts"]
    assert "<img" not in "".join(parts.values())


def test_names_that_are_no_text_open_too(serve, tmp_path):
    synthetic_runs.old(tmp_path / os.fsdecode(b"run\xff"))
    asked = serve(tmp_path)
    link = re.search(r'href="(show[^"]+)"', asked.get("").text)[1]
    assert asked.get(link).status == 200


def test_a_folder_with_a_configuration_of_somebody_elses_is_no_run(serve, tmp_path):
    (tmp_path / "project").mkdir()
    (tmp_path / "project/config.yaml").write_text("name: x\n")
    synthetic_runs.old(tmp_path / "project/output/20250101-000000")
    assert re.findall(r'value="run:([^"]+)"', serve(tmp_path).get("").text) == [
        "project/output/20250101-000000"
    ]


def test_damaged_runs_are_listed_with_the_others(serve, folder, tmp_path):
    base = tmp_path / "runs"
    shutil.copytree(folder, base)
    for name in ("config.yaml", "metrics.jsonl", "versions.json"):
        (base / "sweep/20260921-140640" / name).write_bytes(b"\xff\x00[")
    page = serve(base).get("")
    assert page.status == 200
    assert page.text.count('value="run:') == 3


def test_mistakes_are_one_line(folder, tmp_path):
    with pytest.raises(ConfigError, match="is not a folder"):
        server.make(tmp_path / "nowhere", 0, [], tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"--port {port} can't be used: .*leave it out"):
            server.make(folder, port, [], tmp_path)


def test_too_many_are_not_compared(serve, folder):
    found = serve(folder).get(f"show?{of(*[f'run:{number}' for number in range(13)])}")
    assert found.status == 404
    assert "tick fewer" in found.text


def test_the_page_asks_nobody_but_its_server(serve, folder):
    page = serve(folder).get("").text
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)[1]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert "unsafe" not in policy
    assert not re.findall(r"https?://", page)


def read_only(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_nothing_is_written_to_what_is_shown(serve, folder):
    before, asked = read_only(folder), serve(folder)
    for page in ("", f"show?{of(FIRST)}", f"show?{of(FIRST, SECOND)}", f"log.json?{of(FIRST)}&part=0"):
        assert asked.get(page).status == 200
    assert read_only(folder) == before
