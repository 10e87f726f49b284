"""One epoch over images in a bucket, as batches of their encoded bytes, for bench_stream: a process of its own.

    python benchmarks/stream_client.py CLIENT FOLDER_OR_URL CACHE BATCH IMAGES_PER_S STARTED

It prints a line of JSON. Where the store is, and its keys, is in the environment, by the names that boto3 knows.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

SEED, READERS, AHEAD = 1, 8, 4  # threads that read; batches that they may be ahead
LAYOUTS = {
    "mindlift-stream": "folders",
    "mindlift-index": "folders",
    "mindlift-copy": "folders",
    "mosaicml-streaming": "mds",
    "webdataset": "tar",
    "litdata": "litdata",
}


def order_of(count: int, batch: int) -> list[int]:
    """In which a training reads so many images."""
    from mindlift.data.order import reading_order, shuffled

    return reading_order(count, batch, shuffled(count, SEED), 0).tolist()


def in_order(files: list[str], batch: int, read: Callable[[str], bytes]) -> Iterator[list[bytes]]:
    """Batches of what `read` gives, in the order of a training, read by threads as a pipeline does."""
    names = [files[index] for index in order_of(len(files), batch)]
    groups = [names[at : at + batch] for at in range(0, len(names), batch)]
    with ThreadPoolExecutor(READERS) as pool:
        waiting: list[list[Future[bytes]]] = []
        for group in groups:
            waiting.append([pool.submit(read, name) for name in group])
            if len(waiting) > AHEAD:
                yield [future.result() for future in waiting.pop(0)]
        for futures in waiting:
            yield [future.result() for future in futures]


def mindlift(url: str, cache: Path, batch: int, client: str) -> Iterator[list[bytes]]:
    from mindlift.model_utils.inputs import Source
    from mindlift.model_utils.staging.stage_in import stage_in
    from mindlift.model_utils.staging.stager import Stager
    from mindlift.model_utils.streaming.arrivals import ARRIVALS, Arriving, read_bytes
    from mindlift.model_utils.streaming.start import How, start

    stager = Stager(cache, lambda line: print(line, file=sys.stderr), show_bar=False)
    if client == "mindlift-copy":
        folder = stage_in(stager, Source(url))
        import mindspore.dataset

        yield from in_order(sorted(map(str, folder.rglob("*.jpg"))), batch, read_bytes)
        return
    index = os.environ["BENCH_INDEX"] if client == "mindlift-index" else ""
    streamer, folder, control = start(stager, Source(url), How(index_place=index), sys.stderr.fileno())
    arriving = Arriving(folder, control, stager.timeout_s, stager.say)
    ARRIVALS.begin(arriving)
    import mindspore.dataset  # noqa: F401

    files = arriving.images(folder).files
    streamer.order([files[at][len(f"{folder}/") :] for at in order_of(len(files), batch)])
    yield from in_order(files, batch, read_bytes)
    streamer.close()


def mosaicml(url: str, cache: Path, batch: int) -> Iterator[list[bytes]]:
    """Its documents' form for training: a DataLoader on a shuffled StreamingDataset."""
    from streaming import StreamingDataset
    from streaming.base.util import clean_stale_shared_memory
    from torch.utils.data import DataLoader

    clean_stale_shared_memory()  # of a run that was ended; its documents ask for it
    dataset = StreamingDataset(
        remote=url, local=str(cache), shuffle=True, shuffle_seed=SEED, batch_size=batch
    )
    loader = DataLoader(dataset, batch_size=batch, num_workers=2, collate_fn=list, drop_last=False)
    yield from ([row["image"] for row in rows] for rows in loader)


def webdataset(url: str, cache: Path, batch: int) -> Iterator[list[bytes]]:
    """Its documents' form: shards by name, shuffled, then single images through a buffer."""
    import webdataset as wds
    from torch.utils.data import DataLoader

    shards = Path(os.environ["BENCH_SHARDS"]).read_text().split()
    dataset = wds.WebDataset([f"{url}/{name}" for name in shards], shardshuffle=100, cache_dir=str(cache))
    loader = DataLoader(dataset.shuffle(1000), batch_size=batch, num_workers=2, collate_fn=list)
    yield from ([row["jpg"] for row in rows] for rows in loader)


def litdata(url: str, cache: Path, batch: int) -> Iterator[list[bytes]]:
    """Without workers: with them version 0.2.76 comes to rest after its first shards where forks share two cores."""
    from litdata import StreamingDataLoader, StreamingDataset

    options = {"endpoint_url": os.environ["S3_ENDPOINT_URL"]}
    dataset = StreamingDataset(
        url, cache_dir=str(cache), shuffle=True, seed=SEED, drop_last=False, storage_options=options
    )
    loader = StreamingDataLoader(dataset, batch_size=batch, drop_last=False, collate_fn=list)
    yield from ([row["image"] for row in rows] for rows in loader)


def batches(client: str, url: str, cache: Path, batch: int) -> Iterator[list[bytes]]:
    if client.startswith("mindlift"):
        return mindlift(url, cache, batch, client)
    return {"mosaicml-streaming": mosaicml, "webdataset": webdataset, "litdata": litdata}[client](
        url, cache, batch
    )


def main() -> None:
    client, url, cache, batch, rate, started = sys.argv[1:]
    first = waited = busy = 0.0
    images = size = 0
    before = time.time()
    for group in batches(client, url, Path(cache), int(batch)):
        now = time.time()
        if not images:
            first = now - float(started)
        else:
            waited += now - before
        images, size = images + len(group), size + sum(map(len, group))
        seconds = len(group) / float(rate)
        busy += seconds
        time.sleep(seconds)
        before = time.time()
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    figures = {
        "first": first,
        "whole": before - float(started),
        "waited": waited / (waited + busy),
        "peak_mib": peak / 1024,
    }
    print(json.dumps({"images": images, "bytes": size, **figures}))


if __name__ == "__main__":
    main()
