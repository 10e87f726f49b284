"""How soon and how fast a training gets its images from a bucket: streamed, copied first, and by other libraries.

    python benchmarks/bench_stream.py --rounds 5 --output benchmarks/results/stream.json
    python benchmarks/bench_stream.py --peers ~/peers/bin/python

The store is a MinIO of this machine behind a network of 50 MB/s and 20 ms. A consumer takes batches of encoded images and
sleeps for as long as a device would compute: at half of the rate at which images can arrive, at the same, and at double.
`--peers` is a Python that has mosaicml-streaming, webdataset or litdata; each gets the same images in the form that it wants.
See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from io import BytesIO
from pathlib import Path
from typing import Any

from figures import machine, names_of, positive, spread, write
from slow_network import slow_network
from stream_client import LAYOUTS
from sync_clients import environment, mindlift

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
BUCKET, BATCH, CLASSES = "bench", 64, 20
DELAY_MS = 10  # each way
SHARD_BYTES = 64 << 20  # of the peers that have shards, as MosaicML's default
LONGEST_S = 60  # of a run, beside five times what the consumer computes
SHORTEST = 0.98  # of the images: LitData ends a worker's share at its last full batch
SPEEDS = {"half": 0.5, "equal": 1.0, "double": 2.0}
OURS = "mindlift-stream"
PACKAGES = {"mosaicml-streaming": "streaming", "webdataset": "webdataset", "litdata": "litdata"}
CONVERT = {
    "mds": """
import sys
from pathlib import Path
from streaming import MDSWriter
with MDSWriter(out=sys.argv[2], columns={"image": "bytes", "label": "int"}, size_limit=int(sys.argv[3])) as out:
    for path in sorted(Path(sys.argv[1]).rglob("*.jpg")):
        out.write({"image": path.read_bytes(), "label": int(path.parent.name)})
""",
    "litdata": """
import sys
from pathlib import Path
from litdata import optimize

def row(path):
    return {"image": Path(path).read_bytes(), "label": int(Path(path).parent.name)}

if __name__ == "__main__":
    paths = sorted(map(str, Path(sys.argv[1]).rglob("*.jpg")))
    optimize(fn=row, inputs=paths, output_dir=sys.argv[2], num_workers=1, chunk_bytes=int(sys.argv[3]))
""",
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=positive, default=3, help="timed runs of each client")
    parser.add_argument("--images", type=positive, default=20_000)
    parser.add_argument("--image_kb", type=positive, default=110, help="KiB of each of them")
    parser.add_argument("--mb_s", type=positive, default=50, help="MB/s of the network")
    parser.add_argument("--speeds", type=names_of(SPEEDS), default=",".join(SPEEDS), help="of the consumer")
    parser.add_argument("--clients", type=names_of(LAYOUTS), default=",".join(LAYOUTS))
    parser.add_argument("--peers", type=Path, help="a Python that has the other libraries")
    parser.add_argument("--output", type=Path, help="write all figures to this JSON file")
    return parser.parse_args()


class Bench:
    def __init__(self, store: Any, endpoint: str, folder: Path, options: argparse.Namespace):
        from tests.support.servers import s3_client

        self.store, self.folder, self.options, self.endpoint = store, folder, options, endpoint
        keys = {"AWS_ACCESS_KEY_ID": store.access_key, "AWS_SECRET_ACCESS_KEY": store.secret_key}
        self.env = {
            **environment(endpoint, store.access_key, store.secret_key, None),
            **keys,
            "S3_ENDPOINT_URL": endpoint,
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
            "BENCH_SHARDS": str(folder / "shards"),
            "BENCH_INDEX": str(folder / "index.gz"),
            "PYTHONPATH": f"{ROOT / 'src'}",
        }
        self.s3 = s3_client(store)
        self.s3.create_bucket(Bucket=BUCKET)

    def python(self, client: str) -> Path | None:
        """What runs the client; None if it is not installed."""
        if client.startswith("mindlift"):
            return Path(sys.executable)
        peers = self.options.peers
        command = [str(peers), "-c", f"import {PACKAGES[client]}"]
        if peers is None or subprocess.run(command, capture_output=True, check=False).returncode:
            return None
        return peers

    def provide(self, clients: list[str]) -> None:
        """Random bytes with the names of images in class folders, and the same in what the peers read."""
        images = self.folder / "folders"
        for at in range(self.options.images):
            path = images / f"{at % CLASSES:03}" / f"{at:06}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(self.options.image_kb << 10))
        for layout in dict.fromkeys(LAYOUTS[client] for client in clients):
            target = self.folder / layout
            if layout == "tar":
                self.tar(images, target)
            elif layout in CONVERT:
                python = next(self.python(client) for client in clients if LAYOUTS[client] == layout)
                code = self.folder / "convert.py"
                code.write_text(CONVERT[layout])
                words = [str(python), str(code), str(images), str(target), str(SHARD_BYTES)]
                subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
            near = environment(self.store.endpoint, self.store.access_key, self.store.secret_key, None)
            command = mindlift(self.folder, "copy", str(target), f"s3://{BUCKET}/{layout}")
            subprocess.run(command, env=near, cwd=ROOT, check=True)
        if "mindlift-index" in clients:
            command = [sys.executable, "-m", "mindlift", "data", "index", f"s3://{BUCKET}/folders"]
            command += ["--out", self.env["BENCH_INDEX"]]
            subprocess.run(command, env={**os.environ, **self.env}, check=True, stdout=subprocess.DEVNULL)

    def tar(self, images: Path, target: Path) -> None:
        target.mkdir()
        each = SHARD_BYTES // (self.options.image_kb << 10)
        paths = sorted(images.rglob("*.jpg"), key=lambda path: path.name)
        for number, at in enumerate(range(0, len(paths), each)):
            with tarfile.open(target / f"{number:05}.tar", "w") as shard:
                for path in paths[at : at + each]:
                    shard.add(path, path.name)
                    label = tarfile.TarInfo(f"{path.stem}.cls")
                    label.size = len(path.parent.name)
                    shard.addfile(label, BytesIO(path.parent.name.encode()))
        (self.folder / "shards").write_text("\n".join(sorted(path.name for path in target.iterdir())))
        policy = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": ["*"]},
                    "Action": ["s3:GetObject"],
                    "Resource": [f"arn:aws:s3:::{BUCKET}/tar/*"],
                }
            ],
        }
        self.s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))  # it reads by curl, without keys

    def run(self, client: str, rate: float) -> dict:
        cache = self.folder / "cache"
        shutil.rmtree(cache, ignore_errors=True)
        cache.mkdir()
        layout = LAYOUTS[client]
        url = f"{self.endpoint}/{BUCKET}/{layout}" if layout == "tar" else f"s3://{BUCKET}/{layout}"
        words = [self.python(client), ROOT / "benchmarks/stream_client.py", client, url, cache, BATCH, rate]
        expected = self.options.images
        limit_s = LONGEST_S + 5 * expected / rate
        try:
            done = subprocess.run(
                [str(word) for word in (*words, time.time())],
                env={**os.environ, **self.env},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=limit_s,
            )
        except subprocess.TimeoutExpired:
            return {"error": f"not at its end after {limit_s:.0f} s"}
        if done.returncode:
            return {"error": (done.stderr.strip().splitlines() or ["no line"])[-1][:300]}
        found = json.loads(done.stdout.splitlines()[-1])
        if not expected * SHORTEST <= found["images"] <= expected:
            return {"error": f"{found['images']:,} of {expected:,} images"}
        return found


def summary(rounds: list[dict], ours: list[dict], bound_s: float) -> dict:
    errors = [each["error"] for each in rounds if "error" in each]
    if errors or not rounds:
        return {"rounds": rounds, "problem": errors[0] if errors else "not installed"}
    found: dict[str, Any] = {"rounds": rounds, "n": len(rounds)}
    found.update(
        {name: spread(each[name] for each in rounds) for name in ("first", "whole", "waited", "peak_mib")}
    )
    found["over_bound"] = spread(each["whole"] / bound_s for each in rounds)
    if all("whole" in each for each in ours):
        for name in ("first", "whole"):
            found[f"{name}_over_ours"] = spread(a[name] / b[name] for a, b in zip(rounds, ours))
    return found


def compare(bench: Bench, speed: str) -> dict:
    options = bench.options
    size = options.images * (options.image_kb << 10)
    arrival_s = size / (options.mb_s * 1e6)
    rate = options.images / arrival_s * SPEEDS[speed]
    results: dict[str, list[dict]] = {client: [] for client in options.clients}
    playing = [client for client in options.clients if bench.python(client)]
    for at in range(options.rounds):
        first = at % len(playing)
        for client in playing[first:] + playing[:first]:
            results[client].append(bench.run(client, rate))
            print(f"{speed} {at + 1}/{options.rounds} {client}: {results[client][-1]}", file=sys.stderr)
    bound_s = max(arrival_s, options.images / rate)
    ours = results.get(OURS, [])
    return {
        "speed": speed,
        "images_per_s": round(rate, 1),
        "copy_s": round(arrival_s, 2),
        "bound_s": round(bound_s, 2),
        "clients": {client: summary(rounds, ours, bound_s) for client, rounds in results.items()},
    }


def table(results: list[dict]) -> str:
    lines = [
        "| consumer | client | first batch s | whole s | whole / max(copy, compute) | waited | whole / ours | MiB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        for client, found in result["clients"].items():
            start = f"| {result['speed']}, {result['images_per_s']:.0f} images/s | {client} |"
            if "problem" in found:
                lines.append(f"{start} {found['problem'].replace('|', ' ')} | | | | | |")
                continue
            cells = [shown(found["first"]), shown(found["whole"]), shown(found["over_bound"])]
            cells.append(f"{100 * found['waited']['median']:.0f} %")
            cells.append(shown(found["whole_over_ours"]) if "whole_over_ours" in found else "-")
            lines.append(f"{start} {' | '.join(cells)} | {found['peak_mib']['median']:.0f} |")
    return "\n".join(lines)


def shown(found: dict) -> str:
    low, high = found["quartiles"]
    return f"{found['median']:.2f} ({low:.2f} - {high:.2f})"


def main() -> None:
    options = arguments()
    from sync_store import Store, find_minio

    if not find_minio():
        sys.exit("bench_stream: no MinIO; run bash scripts/minio.sh, or set MINIO_BINARY")
    with tempfile.TemporaryDirectory(prefix="bench-") as name, contextlib.ExitStack() as stack:
        store = stack.enter_context(Store(Path(name), False))
        address = stack.enter_context(slow_network(f"127.0.0.1:{store.port}", DELAY_MS, options.mb_s))
        bench = Bench(store, f"http://{address}", Path(name), options)
        bench.provide([client for client in options.clients if bench.python(client)])
        results = [compare(bench, speed) for speed in options.speeds]
    about = machine(os.cpu_count() or 1)
    del about["threads"]
    about.update(
        images=options.images, image_bytes=options.image_kb << 10, mb_s=options.mb_s, rounds=options.rounds
    )
    print(table(results))
    write(options.output, about, results)


if __name__ == "__main__":
    main()
