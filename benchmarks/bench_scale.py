"""Seconds and memory by the number of files: of a re-sync in which nothing has changed, or of opening a data set.

    python benchmarks/bench_scale.py --files 10000,100000,1281167 [--s5cmd ~/bin/s5cmd] [--rclone ~/bin/rclone]
    python benchmarks/bench_scale.py --object_gib 50
    python benchmarks/bench_scale.py --images 100,10000,100000,1281167 [--cases "first batch from folders"]

With --images: what a training does before its first step with so many images, and other work that grows with them, on data sets
of hard links and made-up indexes (`scale_data.py`). Else: the store is a program of this file that makes up listings of ImageNet's form: folders of 1,281 objects without bytes, in
pages of 1,000 keys, or one large object. The target has the files already, and MindLift's list of what an earlier copy has brought. Every client
is a process of its own; the server shares the two cores with it. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import scale_data
from figures import machine, names_of, positive, spread
from sync_clients import COPY, environment, rclone, s5cmd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))
from mindlift.storage.copying.manifest import write_manifest  # noqa: E402
from mindlift.storage.copying.plan import Known  # noqa: E402
from mindlift.storage.s3.listing import parse_time  # noqa: E402
from mindlift.storage.store import Entry  # noqa: E402

PER_FOLDER, PAGE = 1281, 1000
TIME = "2026-11-01T00:00:00.000Z"
EMPTY = "d41d8cd98f00b204e9800998ecf8427e"  # MD5 of nothing
UNKNOWN = "made-up"  # an ETag that says nothing of the bytes
HTTP_TIME = "Sun, 01 Nov 2026 00:00:00 GMT"
BIG, FIRST = "/object.bin", "/first"
ZEROS = memoryview(bytes(1 << 20))
SPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def key_of(number: int) -> str:
    folder, image = divmod(number, PER_FOLDER)
    return f"train/n{folder:08d}/n{folder:08d}_{image:05d}.JPEG"


def folder_of(number: int) -> str:
    return f"train/n{number // PER_FOLDER:08d}/"


def numbers_below(prefix: str, count: int) -> tuple[int, int]:
    """The first of them, and the one behind the last; `prefix` is that of all, or a folder."""
    match = re.fullmatch(r"train/n(\d+)/", prefix)
    first = int(match[1]) * PER_FOLDER if match else 0
    return first, min(first + PER_FOLDER, count) if match else count


def number_behind(key: str) -> str:
    match = re.fullmatch(r"train/n(\d+)/n\d+_(\d+)\.JPEG", key)
    return str(int(match[1]) * PER_FOLDER + int(match[2]) + 1) if match else ""


class Listing(BaseHTTPRequestHandler):
    """Pages of keys; the token of a page is the number of its first key."""

    protocol_version = "HTTP/1.1"
    count = size = 0  # of objects; bytes of a single one
    first_at = 0.0  # when the first bytes of an object were asked for

    def do_HEAD(self) -> None:
        if urlsplit(self.path).path.endswith(BIG):
            self.answer(200, self.size)
            return
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        asked_path = urlsplit(self.path).path
        if asked_path == FIRST:
            self.say(str(Listing.first_at).encode())
        elif asked_path.endswith(BIG):
            self.send_object()
        else:
            self.send_list()

    def send_object(self) -> None:
        Listing.first_at = Listing.first_at or time.monotonic()
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "bytes=0-")
        assert wanted
        start, end = int(wanted[1]), min(int(wanted[2] or self.size - 1), self.size - 1)
        place = f"bytes {start}-{end}/{self.size}" if "Range" in self.headers else ""
        self.answer(206 if place else 200, end + 1 - start, place)
        left = end + 1 - start
        while left:
            left -= self.wfile.write(ZEROS[:left])

    def answer(self, status: int, length: int, place: str = "") -> None:
        self.send_response(status)
        for name, value in (
            ("ETag", f'"{UNKNOWN}"'),
            ("Last-Modified", HTTP_TIME),
            ("Content-Length", str(length)),
        ):
            self.send_header(name, value)
        if place:
            self.send_header("Content-Range", place)
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()

    def say(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_list(self) -> None:
        self.say(self.list_of_one() if self.size else self.page())

    def list_of_one(self) -> bytes:
        return (
            f"<ListBucketResult {SPACE}><IsTruncated>false</IsTruncated><Contents><Key>train{BIG}</Key>"
            f"<LastModified>{TIME}</LastModified><ETag>&quot;{UNKNOWN}&quot;</ETag><Size>{self.size}</Size>"
            "</Contents></ListBucketResult>"
        ).encode()

    def page(self) -> bytes:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        first, last = numbers_below(asked.get("prefix", ""), self.count)
        after = asked.get("continuation-token") or number_behind(asked.get("start-after", ""))
        start, is_deep = (
            max(first, int(after or 0)),
            asked.get("delimiter") != "/" or last - first <= PER_FOLDER,
        )
        encoded = asked.get("encoding-type") == "url"
        end = min(start + (PAGE if is_deep else PAGE * PER_FOLDER), last)
        contents = "".join(
            f"<Contents><Key>{quote(key_of(number)) if encoded else key_of(number)}</Key><LastModified>{TIME}</LastModified>"
            f'<ETag>"{EMPTY}"</ETag><Size>0</Size><StorageClass>STANDARD</StorageClass></Contents>'
            for number in (range(start, end) if is_deep else ())
        )
        folders = "".join(
            f"<CommonPrefixes><Prefix>{folder_of(number)}</Prefix></CommonPrefixes>"
            for number in (() if is_deep else range(start, end, PER_FOLDER))
        )
        more = f"<NextContinuationToken>{end}</NextContinuationToken>" if end < last else ""
        return (
            f"<ListBucketResult {SPACE}>{'<EncodingType>url</EncodingType>' if encoded else ''}"
            f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>{more}{contents}{folders}</ListBucketResult>"
        ).encode()

    def log_message(self, *_: object) -> None:
        pass


def serve(count: int, size: int) -> None:
    """A process of its own: prints its port, and goes on until it is killed."""
    Listing.count, Listing.size = count, size
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


def measure_object(size: int, rounds: int, programs: dict[str, str]) -> dict:
    """The same of one object of `size` bytes, and the seconds until its first bytes are asked for."""
    found: dict[str, list[tuple[float, ...]]] = {}
    for _ in range(rounds):
        for name in ("mindlift", *programs):
            with server(0, size) as address, tempfile.TemporaryDirectory(prefix="bench-scale-") as folder:
                target = f"{folder}/target"
                commands = commands_of("s3://bench/train", target, f"{folder}/manifest", programs, "copy")
                began = time.monotonic()
                figures = run(commands[name], environment(f"http://{address}", "key", "secret"))
                if os.path.getsize(f"{target}{BIG}") != size:
                    sys.exit(f"bench_scale: {name} has not copied all")
                with urllib.request.urlopen(f"http://{address}{FIRST}") as answer:
                    found.setdefault(name, []).append((*figures, float(answer.read()) - began))
    return {name: summary(figures) for name, figures in found.items()}


def commands_of(
    source: str, target: str, manifest: str, programs: dict[str, str], verb: str
) -> dict[str, list[str]]:
    peers = {"s5cmd": s5cmd, "rclone": rclone}
    return {
        "mindlift": [sys.executable, "-c", COPY, source, target, manifest],
        **{name: peers[name](program, verb, source, target) for name, program in programs.items()},
    }


@contextmanager
def server(count: int, size: int = 0) -> Iterator[str]:
    """host:port of a store with so many objects, or one of so many bytes."""
    command = [sys.executable, __file__, "--serve", str(count), "--serve_bytes", str(size)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


def summary(figures: list[tuple[float, ...]]) -> dict:
    names = ("seconds", "cpu_seconds", "peak_mib", "first_byte_s")
    return {name: spread(each) for name, each in zip(names, zip(*figures))}


def measure(count: int, rounds: int, programs: dict[str, str]) -> dict:
    with server(count) as address, tempfile.TemporaryDirectory(prefix="bench-scale-") as name:
        folder, source = Path(name), "s3://bench/train"
        make_target(folder, source, count)
        commands = commands_of(source, str(folder / "target"), str(folder / "manifest"), programs, "sync")
        env = environment(f"http://{address}", "key", "secret")
        found: dict[str, list[tuple[float, ...]]] = {name: [] for name in commands}
        for _ in range(rounds):
            for name, command in commands.items():
                found[name].append(run(command, env))
        return {name: summary(figures) for name, figures in found.items()}


def counts(text: str) -> list[int]:
    """For argparse: numbers with commas between them."""
    return [positive(each) for each in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=counts, default=[10_000, 100_000, 1_281_167])
    parser.add_argument("--images", type=counts, help="data sets of so many images, rising, instead")
    parser.add_argument("--cases", type=names_of(scale_data.CASES), default=[*scale_data.CASES])
    parser.add_argument("--rounds", type=positive, default=3)
    parser.add_argument("--s5cmd", default="")
    parser.add_argument("--rclone", default="")
    parser.add_argument("--object_gib", type=positive, help="copy one object of so many GiB instead")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--serve_bytes", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        serve(options.serve, options.serve_bytes)
    if options.images:
        rows = scale_data.table_of(scale_data.measure(options.images, options.rounds, options.cases))
        print(json.dumps(rows, indent=1))
        write(options, rows)
        return
    programs = {name: getattr(options, name) for name in ("s5cmd", "rclone") if getattr(options, name)}
    rows: dict[str, dict] = {}
    if options.object_gib:
        name = f"object of {options.object_gib} GiB"
        rows[name] = measure_object(options.object_gib << 30, options.rounds, programs)
        print(name, json.dumps(rows[name]), flush=True)
    for count in [] if options.object_gib else options.files:
        rows[str(count)] = measure(count, options.rounds, programs)
        print(count, json.dumps(rows[str(count)]), flush=True)
    write(options, rows)


def write(options: argparse.Namespace, rows: dict[str, dict]) -> None:
    if options.output:
        result = {"machine": machine(8), "rounds": options.rounds, "rows": rows}
        options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
