"""Seconds and CPU seconds of copying to and from an S3 store next to s5cmd, rclone and aws-cli.

    make bench-sync
    python benchmarks/bench_sync.py --rows down_small,up_small --networks near,tls,far --rounds 5 --s5cmd ~/bin/s5cmd

The store is a MinIO on this machine. Every client is a process of its own, started for every run. The
clients take turns, one run each per round, in an order that rotates; what has arrived is counted after
every run. Only ratios within one run mean something: see benchmarks/README.md for what is compared.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from figures import machine, names_of, positive, spread, write
from slow_network import slow_network
from sync_clients import (
    ENDPOINT_NAMES,
    OURS,
    Client,
    clients,
    environment,
    is_remote,
    mindlift,
    program_version,
)

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
BUCKET = "bench"
NOTHING = subprocess.DEVNULL
FILES_PER_FOLDER = 100
NETWORKS = {
    "near": "plain HTTP on this machine",
    "tls": "HTTPS on this machine",
    "far": "plain HTTP with 20 ms of round trip",
}
CLIENTS = ("mindlift", "s5cmd", "rclone", "aws")
DELAY_MS = 10  # each way


class Row(NamedTuple):
    """One line of work."""

    verb: str  # copy, sync (copy what has changed: nothing), rest (what a killed copy has left) or list
    data: str  # small, large or keys
    way: str = "down"


ROWS = {
    "down_small": Row("copy", "small"),
    "up_small": Row("copy", "small", "up"),
    "down_large": Row("copy", "large"),
    "up_large": Row("copy", "large", "up"),
    "list": Row("list", "keys"),
    "resync_down": Row("sync", "small"),
    "resync_up": Row("sync", "small", "up"),
    "rest_down": Row("rest", "small"),
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=positive, default=3, help="timed runs of each client")
    parser.add_argument("--rows", type=names_of(ROWS), default=",".join(ROWS), help="of " + ", ".join(ROWS))
    parser.add_argument(
        "--networks", type=names_of(NETWORKS), default="near", help="of " + ", ".join(NETWORKS)
    )
    parser.add_argument(
        "--clients", type=names_of(CLIENTS), default=",".join(CLIENTS), help="of " + ", ".join(CLIENTS)
    )
    parser.add_argument("--objects", type=int, default=10_000, help="number of small objects")
    parser.add_argument("--object_kb", type=int, default=110, help="KiB of each of them")
    parser.add_argument("--large", type=int, default=2, help="number of large objects")
    parser.add_argument("--large_mb", type=int, default=1024, help="MiB of each of them")
    parser.add_argument("--keys", type=int, default=20_000, help="empty objects that are listed")
    for peer in ("s5cmd", "rclone", "aws"):
        parser.add_argument(f"--{peer}", type=Path, help="the program, if it is not on PATH")
    parser.add_argument("--planes", action="store_true", help="add plain Python clients to the rows down_*")
    parser.add_argument("--output", type=Path, help="write all figures to this JSON file")
    return parser.parse_args()


# Runs


class Bench:
    """The store with its data, and runs of clients against it."""

    def __init__(self, store: Any, endpoint: str, folder: Path, options: argparse.Namespace):
        """`endpoint` leads the clients to the store, over the network that is measured."""
        from tests.support.servers import s3_client

        self.store, self.folder = store, folder
        self.near = environment(store.endpoint, store.access_key, store.secret_key, store.trusted)
        self.env = {**self.near, **dict.fromkeys(ENDPOINT_NAMES, endpoint)}
        self.sizes = {
            "small": (options.objects, options.object_kb << 10),
            "large": (options.large, options.large_mb << 20),
            "keys": (options.keys, 0),
        }  # number of objects, bytes of each
        os.environ["AWS_CA_BUNDLE"] = str(store.trusted or "")  # of the benchmark's own client
        self.s3 = s3_client(store)
        self.s3.create_bucket(Bucket=BUCKET)

    def place(self, name: str, way: str = "down") -> str:
        """Where data comes to: a local folder on the way down, a prefix of the bucket on the way up."""
        return f"s3://{BUCKET}/{name}" if way == "up" else str(self.folder / name)

    def provide(self, data: str) -> None:
        """Random files in a local folder, and the same in the bucket."""
        here, there = self.place(data), self.place(data, "up")
        if Path(here).exists():
            return
        number, size = self.sizes[data]
        print(f"making {number:,} files of {size:,} bytes", file=sys.stderr)
        for at in range(number):
            path = Path(here, f"{at // FILES_PER_FOLDER:04}", f"{at:07}.bin")
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                for start in range(0, size, 1 << 20):
                    file.write(os.urandom(min(size - start, 1 << 20)))
        subprocess.run(mindlift(self.folder, "copy", here, there), env=self.near, cwd=ROOT, check=True)

    def run(self, client: Client, row: Row, target: str) -> dict:
        """Wall and CPU seconds of one run, or the error that it ended with."""
        source = self.place(row.data, "down" if row.way == "up" else "up")
        command = client.command("sync" if row.verb == "rest" else row.verb, source, target)
        env = {**self.env, **client.env}
        os.sync()  # what others have written is not this one's to wait for
        with open(self.folder / "said", "wb") as said, open(self.folder / "errors", "wb") as errors:
            cpu, started = children_cpu(), time.perf_counter()
            done = subprocess.run(command, env=env, cwd=ROOT, stdin=NOTHING, stdout=said, stderr=errors)
            wall, cpu = time.perf_counter() - started, children_cpu() - cpu
        problem = self.last_error(done.returncode) if done.returncode else self.difference(row, target)
        return {"error": problem} if problem else {"wall": round(wall, 3), "cpu": round(cpu, 3)}

    def last_error(self, code: int) -> str:
        lines = (self.folder / "errors").read_text(errors="replace").split("\n")
        return next(
            (line.strip()[:200] for line in reversed(lines) if line.strip()), f"ended with code {code}"
        )

    def difference(self, row: Row, target: str) -> str:
        """How what has arrived differs from what was sent; '' if it does not."""
        number, size = self.sizes[row.data]
        if row.verb == "list":
            found, there = (self.folder / "said").read_bytes().count(b"\n"), 0
        else:
            sizes = [size for size, _ in self.inventory(target).values()]
            found, there = len(sizes), sum(sizes)
        if (found, there) == (number, number * size):
            return ""
        return f"{found:,} of {number:,} files, {there:,} of {number * size:,} bytes"

    def inventory(self, place: str) -> dict[str, tuple[int, object]]:
        """Size and a mark that changes with every write, by name."""
        if is_remote(place):
            return {item["Key"]: (item["Size"], item["LastModified"]) for item in self.objects(place)}
        files = {str(path): path.stat() for path in Path(place).rglob("*") if path.is_file()}
        return {name: (found.st_size, (found.st_ino, found.st_mtime_ns)) for name, found in files.items()}

    def objects(self, place: str) -> Iterator[dict]:
        prefix = place[len(f"s3://{BUCKET}/") :] + "/"
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix):
            yield from page.get("Contents", ())

    def remove(self, place: str) -> None:
        if not is_remote(place):
            shutil.rmtree(place, ignore_errors=True)
            return
        keys = [{"Key": item["Key"]} for item in self.objects(place)]
        for at in range(0, len(keys), 1000):
            self.s3.delete_objects(Bucket=BUCKET, Delete={"Objects": keys[at : at + 1000], "Quiet": True})
        self.store.empty_trash()

    def copy_anew(self, name: str, client: Client, at: int) -> dict:
        """A run into a target that is new."""
        target = self.place(f"{name}-{client.name.replace(' ', '-')}-{at}", ROWS[name].way)
        try:
            return self.run(client, ROWS[name], target)
        finally:
            self.remove(target)

    def copy_again(self, name: str, client: Client, _: int) -> dict:
        """A run into the target that the same client has filled before."""
        row, target = ROWS[name], self.place(f"{name}-{client.name}", ROWS[name].way)
        if not self.inventory(target):
            self.run(client, row, target)
        before = self.inventory(target)
        result = self.run(client, row, target)
        changed = sum(before.get(key) != mark for key, mark in self.inventory(target).items())
        return {"error": f"copied {changed:,} files again"} if changed and "wall" in result else result

    def copy_rest(self, name: str, client: Client, at: int) -> dict:
        """A run into a target where one was killed when half of the files were there."""
        row, target = ROWS[name], self.place(f"{name}-{client.name}-{at}")
        command = client.command("sync", self.place(row.data, "up"), target)
        try:
            with open(os.devnull, "wb") as nothing:
                killed = subprocess.Popen(
                    command,
                    env={**self.env, **client.env},
                    cwd=ROOT,
                    stdin=NOTHING,
                    stdout=nothing,
                    stderr=nothing,
                )
            while sum(1 for _ in Path(target).rglob("*.bin")) < self.sizes[row.data][0] // 2:
                if killed.poll() is not None:
                    return {"error": "ended before half of the files were there"}
                time.sleep(0.1)
            killed.kill()
            killed.wait()
            return self.run(client, row, target)
        finally:
            self.remove(target)


def children_cpu() -> float:
    """User and system seconds of all children that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def compare(bench: Bench, name: str, everyone: list[Client], rounds: int) -> dict:
    """Rounds of all clients in turn; figures of each by name."""
    row = ROWS[name]
    bench.provide(row.data)
    taking = [client for client in everyone if not client.is_plane or (row.verb, row.way) == ("copy", "down")]
    playing = [client for client in taking if client.version]
    measure = {"sync": bench.copy_again, "rest": bench.copy_rest}.get(row.verb, bench.copy_anew)
    results: dict[str, list[dict]] = {client.name: [] for client in taking}
    for at in range(rounds):
        first = at % len(playing)
        for client in playing[first:] + playing[:first]:
            results[client.name].append(measure(name, client, at))
            print(f"{name} {at + 1}/{rounds} {client.name}: {results[client.name][-1]}", file=sys.stderr)
    if row.verb == "sync":
        for client in playing:
            bench.remove(bench.place(f"{name}-{client.name}", row.way))
    figures = {client.name: summary(client, results[client.name], results[OURS]) for client in taking}
    number, size = bench.sizes[row.data]
    return {"row": name, "files": number, "bytes_each": size, "clients": figures}


def summary(client: Client, rounds: list[dict], ours: list[dict]) -> dict:
    """Quartiles of the seconds, and of theirs / ours over the rounds; no figures after an error."""
    about: dict[str, Any] = {"version": client.version, "rounds": rounds}
    errors = [each["error"] for each in rounds if "error" in each]
    if errors or not rounds:
        return {**about, "problem": errors[0] if errors else "not installed"}
    about.update(n=len(rounds), **{name: spread(each[name] for each in rounds) for name in ("wall", "cpu")})
    if all("wall" in each for each in ours):
        about["this_over_ours"] = spread(a["wall"] / b["wall"] for a, b in zip(rounds, ours))
    return about


def table(results: list[dict]) -> str:
    lines = [
        "| work | client | wall s (quartiles) | client CPU s | its wall / mindlift's (median, quartiles, n) |",
        "|---|---|---|---|---|",
    ]
    for result in results:
        job = f"{result['network']}: {result['row']}, {result['files']:,} x {readable(result['bytes_each'])}"
        for name, found in result["clients"].items():
            client = f"{name} {found['version']}".strip()
            lines.append(f"| {job} | {client} | {' | '.join(cells(name, found))} |")
    return "\n".join(lines)


def readable(size: int) -> str:
    return f"{size >> 20} MiB" if size >> 20 else f"{size >> 10} KiB" if size else "0 bytes"


def cells(name: str, found: dict) -> list[str]:
    if "problem" in found:
        return [found["problem"].replace("|", "\\|"), "", ""]
    ratio = "1" if name == OURS else "-"
    if name != OURS and "this_over_ours" in found:
        ratio = (
            f"**{found['this_over_ours']['median']:.2f}** ({shown(found['this_over_ours'])}, {found['n']})"
        )
    wall, cpu = found["wall"], found["cpu"]
    return [f"{wall['median']:.2f} ({shown(wall)})", f"{cpu['median']:.2f}", ratio]


def shown(found: dict) -> str:
    low, high = found["quartiles"]
    return f"{low:.2f} - {high:.2f}"


def compare_all(options: argparse.Namespace) -> tuple[list[dict], dict]:
    """Results of all rows on all networks, and what they were taken with."""
    from sync_store import Store, find_minio

    program = find_minio()
    if program is None or not program.exists():
        sys.exit("bench_sync: no MinIO; run bash scripts/minio.sh, or set MINIO_BINARY")
    results = []
    for network in options.networks:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder, contextlib.ExitStack() as stack:
            store = stack.enter_context(Store(Path(folder), network == "tls"))
            endpoint = store.endpoint
            if network == "far":
                endpoint = f"http://{stack.enter_context(slow_network(f'127.0.0.1:{store.port}', DELAY_MS))}"
            bench = Bench(store, endpoint, Path(folder), options)
            everyone = [
                client
                for client in clients(options, Path(folder))
                if client.name in options.clients or client.is_plane
            ]
            results += [
                {"network": network, **compare(bench, name, everyone, options.rounds)}
                for name in options.rows
            ]
    minio = program_version(str(program), "--version", "github.com/minio/minio")
    about = machine(os.cpu_count() or 1)
    del about["threads"]
    return results, {**about, "minio": minio}


def main() -> None:
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the store ends, too
    results, about = compare_all(options)
    print(
        f"{about['cpu']}, {about['cpus']} CPUs, {about['system']}, MinIO {about['minio']}, {about['date']}\n"
    )
    print(table(results))
    write(options.output, about, results)


if __name__ == "__main__":
    main()
