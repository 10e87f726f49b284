"""Seconds, CPU seconds and memory of a re-sync in which nothing has changed, by the number of files.

    python benchmarks/bench_scale.py --files 10000,100000,1281167 [--s5cmd ~/bin/s5cmd]

The store is a program of this file that makes up listings of ImageNet's form: folders of 1,281 objects without bytes, in
pages of 1,000 keys. The target has the files already, and MindLift's list of what an earlier copy has brought. Every client
is a process of its own; the server shares the two cores with it. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from figures import machine, positive, spread
from sync_clients import COPY, environment, s5cmd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))
from mindlift.storage.copying.manifest import write_manifest  # noqa: E402
from mindlift.storage.copying.plan import Known  # noqa: E402
from mindlift.storage.s3.listing import parse_time  # noqa: E402
from mindlift.storage.store import Entry  # noqa: E402

PER_FOLDER, PAGE = 1281, 1000
TIME = "2026-11-01T00:00:00.000Z"
EMPTY = "d41d8cd98f00b204e9800998ecf8427e"  # MD5 of nothing
SPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def key_of(number: int) -> str:
    folder, image = divmod(number, PER_FOLDER)
    return f"train/n{folder:08d}/n{folder:08d}_{image:05d}.JPEG"


class Listing(BaseHTTPRequestHandler):
    """Pages of keys; the token of a page is the number of its first key."""

    protocol_version = "HTTP/1.1"
    count = 0

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        start = int(asked.get("continuation-token", ["0"])[0])
        end = min(start + PAGE, self.count)
        encoded = asked.get("encoding-type") == ["url"]
        contents = "".join(
            f"<Contents><Key>{quote(key_of(number)) if encoded else key_of(number)}</Key><LastModified>{TIME}</LastModified>"
            f'<ETag>"{EMPTY}"</ETag><Size>0</Size><StorageClass>STANDARD</StorageClass></Contents>'
            for number in range(start, end)
        )
        more = f"<NextContinuationToken>{end}</NextContinuationToken>" if end < self.count else ""
        body = (
            f"<ListBucketResult {SPACE}>{'<EncodingType>url</EncodingType>' if encoded else ''}"
            f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>{more}{contents}</ListBucketResult>"
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def serve(count: int) -> None:
    """A process of its own: prints its port, and goes on until it is killed."""
    Listing.count = count
    server = ThreadingHTTPServer(("127.0.0.1", 0), Listing)
    print(server.server_address[1], flush=True)
    server.serve_forever()


def make_target(folder: Path, source: str, count: int) -> None:
    """The files, with the time of the objects, and the list that an earlier copy would have left."""
    target, moment = folder / "target", parse_time(TIME)

    def brought() -> Iterator[Known]:
        for number in range(count):
            name = key_of(number)[len("train/") :]
            path = target / name
            if not number % PER_FOLDER:
                path.parent.mkdir(parents=True)
            path.touch()
            os.utime(path, ns=(moment, moment))
            yield Known(Entry(name, 0, EMPTY, moment), Entry(name, 0, "", moment))

    write_manifest(folder / "manifest", source, str(target), brought())


def run(command: list[str], env: dict[str, str]) -> tuple[float, float, float]:
    """Seconds, CPU seconds, and MiB at the peak."""
    started = time.monotonic()
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"bench_scale: {command[0]} ended with {os.waitstatus_to_exitcode(status)}")
    return time.monotonic() - started, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def measure(count: int, rounds: int, program: str) -> dict:
    folder = Path(tempfile.mkdtemp(prefix="bench-scale-"))
    server = subprocess.Popen(
        [sys.executable, __file__, "--serve", str(count)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        env = environment(f"http://127.0.0.1:{server.stdout.readline().strip()}", "key", "secret")
        source = "s3://bench/train"
        target = folder / "target"
        make_target(folder, source, count)
        commands = {"mindlift": [sys.executable, "-c", COPY, source, str(target), str(folder / "manifest")]}
        if program:
            commands["s5cmd"] = s5cmd(program, "sync", source, str(target))
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in commands}
        for _ in range(rounds):
            for name, command in commands.items():
                found[name].append(run(command, env))
        return {
            name: {
                "seconds": spread(each[0] for each in figures),
                "cpu_seconds": spread(each[1] for each in figures),
                "peak_mib": spread(each[2] for each in figures),
            }
            for name, figures in found.items()
        }
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder)


def counts(text: str) -> list[int]:
    """For argparse: numbers with commas between them."""
    return [positive(each) for each in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=counts, default=[10_000, 100_000, 1_281_167])
    parser.add_argument("--rounds", type=positive, default=3)
    parser.add_argument("--s5cmd", default="")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
    rows = {}
    for count in options.files:
        rows[str(count)] = measure(count, options.rounds, options.s5cmd)
        print(count, json.dumps(rows[str(count)]), flush=True)
    if options.output:
        result = {"machine": machine(8), "rounds": options.rounds, "rows": rows}
        options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
