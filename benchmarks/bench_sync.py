"""Seconds and CPU seconds of copying to and from an S3 store next to s5cmd, rclone and aws-cli.

    make bench-sync
    python benchmarks/bench_sync.py --rows down_small,up_small --rounds 5 --s5cmd ~/bin/s5cmd

The store is a MinIO on this machine. Every client is a process of its own, started for every run. The
clients take turns, one run each per round, in an order that rotates; what has arrived is counted after
every run. Only ratios within one run mean something: see benchmarks/README.md for what is compared.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from figures import machine, names_of, positive, spread

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
OURS = "mindlift"
BUCKET = "bench"
NOTHING = subprocess.DEVNULL
REGION = "us-east-1"
PEER_THREADS = 64
PLANE_THREADS = 32
FILES_PER_FOLDER = 100
FOREIGN = re.compile(
    r"(AWS|OBS|S3|RCLONE|MINDLIFT|CREDENTIAL)_|(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SECURITY_TOKEN)$|\w+_proxy$",
    re.IGNORECASE,
)  # variables that would lead a client elsewhere

COPY = """
import sys
from pathlib import Path
from mindlift.storage.copying.copy import copy_tree
copy_tree(sys.argv[1], sys.argv[2], manifest=Path(sys.argv[3]) if sys.argv[3] else None)
"""
LIST = """
import sys
from mindlift.storage.places import locate
store, folder = locate(sys.argv[1])
for entry in store.walk(folder):
    print(entry.size, entry.key)
"""


class Row(NamedTuple):
    """One line of work."""

    verb: str  # copy, sync (copy what has changed: nothing) or list
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
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=positive, default=3, help="timed runs of each client")
    parser.add_argument("--rows", type=names_of(ROWS), default=",".join(ROWS), help="of " + ", ".join(ROWS))
    parser.add_argument("--objects", type=int, default=10_000, help="number of small objects")
    parser.add_argument("--object_kb", type=int, default=110, help="KiB of each of them")
    parser.add_argument("--large", type=int, default=2, help="number of large objects")
    parser.add_argument("--large_mb", type=int, default=1024, help="MiB of each of them")
    parser.add_argument("--keys", type=int, default=20_000, help="empty objects that are listed")
    for peer in ("s5cmd", "rclone", "aws"):
        parser.add_argument(f"--{peer}", type=Path, help="the program, if it is not on PATH")
    parser.add_argument("--planes", action="store_true", help="add plain Python clients to the rows down_*")
    parser.add_argument("--output", type=Path, help="write all figures to this JSON file")
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)  # a child: plane, source, target
    return parser.parse_args()


# Clients: the command lines of a verb, for places like s3://bench/folder and /folder


@dataclass(frozen=True)
class Client:
    """A program that copies, or a way of calling it."""

    name: str
    version: str  # '' if it is not installed
    command: Callable[[str, str, str], list[str]]  # of a verb, a source and a target
    env: Mapping[str, str] = field(default_factory=dict)
    is_plane: bool = False  # knows downloads only


def clients(options: argparse.Namespace, folder: Path) -> list[Client]:
    ours = partial(mindlift, folder)
    obstore, boto3 = version_of("obstore"), f"boto3 {version_of('boto3')}"
    found = [
        Client(OURS, f"with obstore {obstore}" if obstore else f"with {boto3}", ours),
        Client(f"{OURS}-http", f"with {boto3}", ours, {"MINDLIFT_DATA_PLANE": "http"}),
        peer("s5cmd", options.s5cmd, s5cmd, "version", "github.com/peak/s5cmd/v2"),
        peer("rclone", options.rclone, rclone, "version", "github.com/rclone/rclone"),
        peer("aws", options.aws, aws, "--version"),
    ]
    if options.planes:
        found += [Client(f"plain {name}", version_of(name), plane(name), is_plane=True) for name in PLANES]
    return found


def mindlift(folder: Path, verb: str, source: str, target: str) -> list[str]:
    if verb == "list":
        return [sys.executable, "-c", LIST, source]
    manifest = str(folder / f"{Path(target).name}.manifest") if verb == "sync" else ""
    return [sys.executable, "-c", COPY, source, target, manifest]


def s5cmd(program: str, verb: str, source: str, target: str) -> list[str]:
    source = f"{source}/*" if is_remote(source) else f"{source}/"
    if verb == "list":
        return [program, "ls", source]
    copy = "cp" if verb == "copy" else "sync"
    return [program, "--log", "error", "--numworkers", f"{PEER_THREADS}", copy, source, f"{target}/"]


def rclone(program: str, verb: str, source: str, target: str) -> list[str]:
    source, target = (place.replace("s3://", "bench:") for place in (source, target))
    if verb == "list":
        return [program, "lsf", "--recursive", "--files-only", "--format", "sp", "--fast-list", source]
    many = ["--transfers", f"{PEER_THREADS}", "--checkers", f"{PEER_THREADS}", "--fast-list"]
    return [program, "copy", *many, "--s3-no-head", "--s3-no-check-bucket", "--size-only", source, target]


def aws(program: str, verb: str, source: str, target: str) -> list[str]:
    if verb == "list":
        return [program, "s3", "ls", "--recursive", f"{source}/"]
    how = ["cp", "--recursive"] if verb == "copy" else ["sync"]
    return [program, "s3", *how, "--only-show-errors", source, target]


def peer(name: str, given: Path | None, command: Callable, ask: str, module: str = "") -> Client:
    program = shutil.which(given or name)
    if program is None and given:
        sys.exit(f"bench_sync: no program {given}")
    version = program_version(program, ask, module) if program else ""
    return Client(name, version, partial(command, os.path.abspath(program or name)))


def plane(name: str) -> Callable[[str, str, str], list[str]]:
    return lambda _, source, target: [sys.executable, __file__, "--work", name, source, target]


def program_version(program: str, ask: str, module: str = "") -> str:
    """What a Go binary knows of the module that it was built from, else what it says itself."""
    known = rb"(?:mod|dep)\t%s\tv([\w.+-]+)" % re.escape(module.encode())
    built = re.search(known, Path(program).read_bytes()) if module else None
    if built:
        return built[1].decode()
    said = subprocess.run([program, ask], capture_output=True, text=True, check=True).stdout
    version = re.search(r"\d[\w.-]+", said)
    return version[0] if version else "unknown"


def version_of(package: str) -> str:
    """'' if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def is_remote(place: str) -> bool:
    return place.startswith("s3://")


def environment(endpoint: str, access_key: str, secret_key: str) -> dict[str, str]:
    """Leads every client to the store, whatever the user has configured."""
    own = {name: value for name, value in os.environ.items() if not FOREIGN.match(name)}
    return {
        **own,
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "S3_ENDPOINT_URL": endpoint,
        "RCLONE_CONFIG": "",
        "RCLONE_CONFIG_BENCH_TYPE": "s3",
        "RCLONE_CONFIG_BENCH_PROVIDER": "Minio",
        "RCLONE_CONFIG_BENCH_ENV_AUTH": "true",
        "RCLONE_CONFIG_BENCH_ENDPOINT": endpoint,
        "RCLONE_CONFIG_BENCH_REGION": REGION,
    }


# Planes: ways for a Python program to fetch one object; each runs on threads of a child


def download(name: str, source: str, target: str) -> None:
    """The child's work: all objects below `source` into the folder `target`."""
    import boto3

    bucket, _, prefix = source[len("s3://") :].partition("/")
    fetch = PLANES[name](bucket)
    pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
    paths = [Path(target, key[len(prefix) + 1 :]) for key in keys]
    for folder in {path.parent for path in paths}:
        folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(PLANE_THREADS) as threads:
        for _ in threads.map(fetch, keys, paths):
            pass


Fetch = Callable[[str, Path], Any]


def by_boto3(bucket: str) -> Fetch:
    import boto3
    from botocore.config import Config

    client = boto3.client("s3", config=Config(max_pool_connections=PLANE_THREADS))
    return lambda key, path: client.download_file(bucket, key, str(path))


def by_urllib3(bucket: str) -> Fetch:
    """botocore signs, urllib3 fetches."""
    import urllib3
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.session import Session

    pool = urllib3.PoolManager(maxsize=PLANE_THREADS)
    signer = S3SigV4Auth(Session().get_credentials(), "s3", REGION)

    def fetch(key: str, path: Path) -> None:
        request = AWSRequest("GET", f"{os.environ['AWS_ENDPOINT_URL']}/{bucket}/{quote(key)}")
        signer.add_auth(request)
        answer = pool.request("GET", request.url, headers=dict(request.headers), preload_content=False)
        if answer.status != 200:
            raise OSError(f"{key}: status {answer.status}")
        with path.open("wb") as file:
            shutil.copyfileobj(answer, file, 1 << 20)
        answer.release_conn()

    return fetch


def by_awscrt(bucket: str) -> Fetch:
    from awscrt import auth, http, io, s3

    group = io.EventLoopGroup()
    keys = auth.AwsCredentialsProvider.new_environment()
    client = s3.S3Client(
        bootstrap=io.ClientBootstrap(group, io.DefaultHostResolver(group)),
        region=REGION,
        tls_mode=s3.S3RequestTlsMode.DISABLED,
        signing_config=s3.create_default_s3_signing_config(region=REGION, credential_provider=keys),
    )
    host = os.environ["AWS_ENDPOINT_URL"].partition("://")[2]

    def fetch(key: str, path: Path) -> None:
        request = http.HttpRequest("GET", f"/{bucket}/{quote(key)}", http.HttpHeaders([("Host", host)]))
        kind = s3.S3RequestType.GET_OBJECT
        client.make_request(type=kind, request=request, recv_filepath=str(path)).finished_future.result()

    return fetch


def by_obstore(bucket: str) -> Fetch:
    from obstore.store import S3Store

    store = S3Store(bucket, client_options={"allow_http": True}, virtual_hosted_style_request=False)

    def fetch(key: str, path: Path) -> None:
        with path.open("wb") as file:
            for piece in store.get(key).stream(min_chunk_size=1 << 20):
                file.write(piece)

    return fetch


PLANES = {"boto3": by_boto3, "urllib3": by_urllib3, "awscrt": by_awscrt, "obstore": by_obstore}


# Runs


class Bench:
    """The store with its data, and runs of clients against it."""

    def __init__(self, store: Any, folder: Path, options: argparse.Namespace):
        from tests.support.servers import s3_client

        self.store, self.folder = store, folder
        self.env = environment(store.endpoint, store.access_key, store.secret_key)
        self.sizes = {
            "small": (options.objects, options.object_kb << 10),
            "large": (options.large, options.large_mb << 20),
            "keys": (options.keys, 0),
        }  # number of objects, bytes of each
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
        subprocess.run(mindlift(self.folder, "copy", here, there), env=self.env, cwd=ROOT, check=True)

    def run(self, client: Client, row: Row, target: str) -> dict:
        """Wall and CPU seconds of one run, or the error that it ended with."""
        source = self.place(row.data, "down" if row.way == "up" else "up")
        command = client.command(row.verb, source, target)
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
    measure = bench.copy_again if row.verb == "sync" else bench.copy_anew
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
        job = f"{result['row']}, {result['files']:,} x {readable(result['bytes_each'])}"
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
    """Results of all rows, and what they were taken with."""
    from tests.support.servers import Minio, find_minio

    class Store(Minio):
        def empty_trash(self) -> None:
            """MinIO removes what was deleted minutes later, which would fill the disk and disturb a run."""
            for path in (self.folder / "data/.minio.sys/tmp/.trash").glob("*"):
                shutil.rmtree(path, ignore_errors=True)

    program = find_minio()
    if program is None or not program.exists():
        sys.exit("bench_sync: no MinIO; run bash scripts/minio.sh, or set MINIO_BINARY")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, Store() as store:
        everyone = clients(options, Path(folder))
        bench = Bench(store, Path(folder), options)
        results = [compare(bench, name, everyone, options.rounds) for name in options.rows]
    minio = program_version(str(program), "--version", "github.com/minio/minio")
    about = machine(os.cpu_count() or 1)
    del about["threads"]
    return results, {**about, "minio": minio, "boto3": version_of("boto3")}


def main() -> None:
    options = arguments()
    if options.work:
        download(*options.work)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the store ends, too
    results, about = compare_all(options)
    print(
        f"{about['cpu']}, {about['cpus']} CPUs, {about['system']}, MinIO {about['minio']}, {about['date']}\n"
    )
    print(table(results))
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps({"machine": about, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
