"""Data sets of any size for bench_scale.py, of hard links and made-up indexes, and what is measured with them.

Each case runs in a process of its own (`python scale_data.py CASE FOLDER COUNT`), which prints a line of JSON.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))
from figures import spread  # noqa: E402

PER_CLASS, EPOCHS, BATCH, RANKS = 1281, 90, 8, 8
MOST_LINKS = 60_000  # of one file; ext4 has 65,000
SHARDS = 64
PEER = "torchvision's walk"  # which may not be installed
LINES_LIKE = {
    "time": 1.79e9,
    "epoch": 0,
    "loss": 2.302585,
    "lr": 0.1,
    "images_per_second": 760.25,
    "updated": True,
    "data_wait": 0.0012,
    "step_seconds": [0.0425],
    "memory_mb": [4096.5],
    "loss_scale": 1024.0,
    "skipped": 0,
}


def classes_of(count: int) -> int:
    return -(-count // PER_CLASS)


def name_of(number: int, suffix: str = "JPEG") -> str:
    folder, image = divmod(number, PER_CLASS)
    return f"n{folder:08d}/n{folder:08d}_{image:05d}.{suffix}"


def link_all(one: Path, folder: Path, count: int, suffix: str) -> None:
    """`count` hard links to copies of one file."""
    source = one
    for number in range(count):
        path = folder / name_of(number, suffix)
        if not number % PER_CLASS:
            path.parent.mkdir(parents=True, exist_ok=True)
        if not number % MOST_LINKS:
            source = Path(shutil.copy(one, folder / f"one{number}"))
            with contextlib.suppress(FileExistsError):
                (folder / ".copies").mkdir()
            source = source.rename(folder / ".copies" / source.name)
        os.link(source, path)


def make_folders(folder: Path, count: int) -> None:
    import numpy as np
    from PIL import Image

    one = folder / "one.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(one, "JPEG")
    link_all(one, folder / "train", count, "JPEG")


def make_list(folder: Path, count: int) -> None:
    import numpy as np
    from PIL import Image

    make_folders(folder, count)
    label = folder / "one.png"
    Image.fromarray(np.ones((64, 64), np.uint8)).save(label, "PNG")
    link_all(label, folder / "labels", count, "png")
    with open(folder / "list.txt", "w", encoding="utf-8") as file:
        file.writelines(f"train/{name_of(n)} labels/{name_of(n, 'png')}\n" for n in range(count))


def make_shards(folder: Path, count: int) -> None:
    """Real shards of a few images, with indexes that say that there are `count`: all rows lie where the first one does."""
    made = folder / "made"
    made.mkdir()
    make_folders(made, 2 * SHARDS)
    command = [sys.executable, "-m", "mindlift", "data", "to_mindrecord", "--data_dir", str(made / "train")]
    command += ["--out", str(folder / "shards"), "--num_shards", str(SHARDS), "--workers", "2"]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=env)
    index_file = folder / "shards" / "index.json"
    index = json.loads(index_file.read_text())
    index["classes"] = [f"n{number:08d}" for number in range(classes_of(count))]
    (split,) = index["splits"].values()
    order = list(range(count))
    random.Random(0).shuffle(order)
    split["count"] = count
    for number, shard in enumerate(split["shards"]):
        own = order[number::SHARDS]
        database = folder / "shards" / f"{shard['file']}.db"
        fill(database, own)
        shard["rows"], shard["index_bytes"] = len(own), database.stat().st_size
    index_file.write_text(json.dumps(index))


def fill(database: Path, numbers: list[int]) -> None:
    """As many rows as there are numbers of images, each a copy of the first one."""
    connection = sqlite3.connect(database)
    names = [row[1] for row in connection.execute("PRAGMA table_info(INDEXES)")]
    first = dict(zip(names, connection.execute("SELECT * FROM INDEXES ORDER BY ROW_ID LIMIT 1").fetchone()))
    rows = [
        {**first, "ROW_ID": at, "index_0": n, "label_0": n // PER_CLASS, "file_0": name_of(n)}
        for at, n in enumerate(numbers)
    ]
    with connection:
        connection.execute("DELETE FROM INDEXES")
        places = ", ".join(f":{name}" for name in names)
        connection.executemany(f"INSERT INTO INDEXES ({', '.join(names)}) VALUES ({places})", rows)
    connection.execute("VACUUM")
    connection.close()


def make_metrics(folder: Path, count: int) -> None:
    with open(folder / "metrics.jsonl", "w", encoding="utf-8") as file:
        start = {
            "time": 1.79e9,
            "event": "start",
            "step": 0,
            "images": 0,
            "steps_per_epoch": 5004,
            "total": count,
        }
        file.write(json.dumps(start) + "\n")
        for step in range(1, count + 1):
            file.write(
                json.dumps({**LINES_LIKE, "epoch": step // 5004, "step": step, "time": 1.79e9 + step}) + "\n"
            )


def nothing(folder: Path, count: int) -> None:
    pass


def options(folder: Path, count: int, kind: str) -> list[str]:
    general = ["--max_epoch", str(EPOCHS), "--per_batch_size", str(BATCH), "--run_eval", "false"]
    if kind == "list":
        return [
            *general,
            "--net",
            "deeplab_v3_s16",
            "--dataset",
            "voc",
            "--data_dir",
            str(folder),
            "--data_lst",
            "list.txt",
        ]
    data = folder / ("shards" if kind == "shards" else "train")
    form = ["--data_format", "mindrecord"] if kind == "shards" else []
    return [*general, *form, "--net", "densenet121", "--dataset", "imagenet", "--data_dir", str(data),
            "--num_classes", str(classes_of(count))]  # fmt: skip


def opened(folder: Path, count: int, kind: str, rank: int = 0, size: int = 1) -> Callable[[], object]:
    """What a rank does before its first step, from the import of all that it needs on."""
    from mindlift.model_utils.config import config
    from mindlift.model_utils.ranks import Ranks
    from mindlift.model_utils.staging.shared_arrays import NodeShare, alone
    from mindlift.training.images import open_data

    cfg = config.load(options(folder, count, kind))
    ranks = Ranks(rank, size, devices_per_node=size)
    share = NodeShare(folder / "cache", "job", rank, 600.0, print) if size > 1 else alone
    return lambda: open_data(cfg, ranks, 1, Path(cfg.data_dir), share)


def first_batch(kind: str) -> Callable[[Path, int], dict[str, float]]:
    """Seconds to open the data and to take the first of all batches of EPOCHS epochs, as train.py does."""

    def run(folder: Path, count: int) -> dict[str, float]:
        from mindlift.data.order import BatchRange

        open_data = opened(folder, count, kind)
        import mindspore.dataset  # noqa: F401 - counted by neither row

        began, used = time.perf_counter(), time.process_time()
        found = open_data()
        part = BatchRange(0, found.steps.total)
        batches = iter(found.task.train_batches(found.samples, found.options, part))
        is_open = time.perf_counter()
        next(batches)
        taken = {"seconds": time.perf_counter() - began, "open_seconds": is_open - began}
        taken["cpu_seconds"] = time.process_time() - used
        batches.close()
        return taken

    return run


def of_ranks(kind: str) -> Callable[[Path, int], dict[str, float]]:
    """RANKS processes of one node open the data at once: seconds of all, and the memory of all together (Pss)."""

    def run(folder: Path, count: int) -> dict[str, float]:
        commands = [
            [sys.executable, __file__, f"{kind}-rank", str(folder), str(count), str(n)] for n in range(RANKS)
        ]
        ranks = [
            subprocess.Popen(each, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for each in commands
        ]
        assert all(rank.stdout and rank.stdin and rank.stdout.readline() == "imported\n" for rank in ranks)
        began = time.perf_counter()
        for rank in ranks:
            rank.stdin.write("\n")
            rank.stdin.flush()
        ready = [rank.stdout.readline() for rank in ranks]
        seconds = time.perf_counter() - began
        assert ready == ["open\n"] * RANKS, ready
        memory = sum(pss(rank.pid) for rank in ranks)
        for rank in ranks:
            rank.communicate("\n")
        return {"seconds": seconds, "all_mib": memory}

    return run


def rank_of(kind: str, folder: Path, count: int, rank: int) -> None:
    open_data = opened(folder, count, kind, rank, RANKS)
    print("imported", flush=True)
    input()
    found = open_data()
    print("open", flush=True)
    input()
    del found


def pss(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def timed(work: Callable[[Path, int], object]) -> Callable[[Path, int], dict[str, float]]:
    def run(folder: Path, count: int) -> dict[str, float]:
        began, used = time.perf_counter(), time.process_time()
        work(folder, count)
        return {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - used}

    return run


def torchvision_walk(folder: Path, count: int) -> None:
    from torchvision.datasets import folder as folders

    found, numbers = folders.find_classes(str(folder / "train"))
    assert len(folders.make_dataset(str(folder / "train"), numbers, (".jpeg",))) == count


def image_folder_dataset(folder: Path, count: int) -> None:
    import mindspore.dataset as ds

    found = ds.ImageFolderDataset(str(folder / "train"), shuffle=False, extensions=[".JPEG"])
    assert found.get_dataset_size() == count


def rates(folder: Path, count: int) -> None:
    """Of a training of so many images, each step on one."""
    from mindlift.training.schedules import ScheduleOptions, lr_table

    assert (
        len(lr_table(count, ScheduleOptions("cosine_annealing", 0.1, max_epoch=1, warmup_epochs=0.1)))
        == count
    )


def tensorboard(folder: Path, count: int) -> None:
    from mindlift.report.convert import to_tensorboard

    to_tensorboard(folder, folder / "events")


def conversion_plan(folder: Path, count: int) -> None:
    """All that to_mindrecord does before its first shard: it looks at every file."""
    from mindlift.data.mindrecord import classification

    settings = classification.Settings("imagenet", SHARDS, True, 0, False)
    plan = classification.make_plan(folder / "train", folder / "out", settings, None)
    assert sum(len(task.rows) for task in plan.tasks()) == count


MAKERS = {
    "folders": make_folders,
    "list": make_list,
    "shards": make_shards,
    "metrics": make_metrics,
    "": nothing,
}
CASES: dict[str, tuple[str, Callable[[Path, int], dict[str, float]]]] = {
    "first batch from folders": ("folders", first_batch("folders")),
    "first batch from a list": ("list", first_batch("list")),
    "first batch from shards": ("shards", first_batch("shards")),
    f"{RANKS} ranks open folders": ("folders", of_ranks("folders")),
    f"{RANKS} ranks open shards": ("shards", of_ranks("shards")),
    PEER: ("folders", timed(torchvision_walk)),
    "ImageFolderDataset": ("folders", timed(image_folder_dataset)),
    "to_mindrecord until its first shard": ("folders", timed(conversion_plan)),
    "learning rates": ("", timed(rates)),
    "TensorBoard conversion": ("metrics", timed(tensorboard)),
}


def measure(counts: list[int], rounds: int, names: list[str]) -> dict[str, dict[str, list[dict[str, float]]]]:
    """By case and count, what each round has found; a peer that is not installed has no rows."""
    found: dict[str, dict[str, list[dict[str, float]]]] = {name: {} for name in names}
    for count in counts:
        for kind in dict.fromkeys(CASES[name][0] for name in names):
            with tempfile.TemporaryDirectory(prefix="bench-scale-") as folder:
                MAKERS[kind](Path(folder), count)
                for name in names:
                    if CASES[name][0] == kind:
                        rows = [row for _ in range(rounds) for row in run_case(name, folder, count)]
                        found[name][str(count)] = rows
                        print(f"{name}, {count}: {json.dumps(rows)}", flush=True)
    return found


def run_case(name: str, folder: str, count: int) -> Iterator[dict[str, float]]:
    done = subprocess.run(
        [sys.executable, __file__, name, folder, str(count)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if name == PEER else None,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        yield json.loads(done.stdout.splitlines()[-1])
    elif name != PEER:
        sys.exit(f"bench_scale: {name} of {count} ended with {done.returncode}")


def table_of(found: dict[str, dict[str, list[dict[str, float]]]]) -> dict[str, dict[str, dict]]:
    """By case and count the spread of each figure; from the second count on with the exponent by which the median has grown
    since the one before: 1 is linear, 0 does not grow.
    """
    table: dict[str, dict[str, dict]] = {}
    for name, by_count in found.items():
        table[name] = {}
        before: tuple[int, dict] | None = None
        for count, rows in by_count.items():
            each = {key: spread([row[key] for row in rows]) for key in rows[0]} if rows else {}
            for key in each.keys() & (before[1].keys() if before else ()):
                small, large = before[1][key]["median"], each[key]["median"]
                grown = math.log(max(large, 1e-3) / max(small, 1e-3)) / math.log(int(count) / before[0])
                each[key]["exponent"] = round(grown, 2)
            table[name][count] = each
            before = int(count), each
    return table


def main() -> None:
    name, folder, count, *rank = sys.argv[1:]
    if rank:
        rank_of(name.partition("-")[0], Path(folder), int(count), int(rank[0]))
        return
    found = CASES[name][1](Path(folder), int(count))
    status = (
        Path("/proc/self/status").read_text().splitlines()
    )  # ru_maxrss counts what the parent had as well
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024
    print(json.dumps({**{key: round(value, 3) for key, value in found.items()}, "peak_mib": round(peak, 1)}))


if __name__ == "__main__":
    main()
