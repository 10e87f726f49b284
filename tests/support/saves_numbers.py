"""A training that knows nothing of MindLift: numbered checkpoints, by renaming or in place, and the newest continues.

Each file ends with the SHA-256 of what is before it, so that a reader sees whether it is whole. The state is a chain of
sums, so that a lost or repeated step would show at the end.
"""

import argparse
import hashlib
import os
import time
from pathlib import Path

SUM = 32
WIDTH = 200_000  # bytes of a checkpoint


def is_whole(data):
    return len(data) > SUM and hashlib.sha256(data[:-SUM]).digest() == data[-SUM:]


def step(state):
    return hashlib.sha256(state).digest()


def content(number, state):
    body = number.to_bytes(4, "big") + state + bytes(WIDTH)
    return body + hashlib.sha256(body).digest()


def save(path, data, renames, pieces):
    target = path.with_suffix(".tmp") if renames else path
    with open(target, "wb", buffering=0) as file:
        for at in range(pieces):
            file.write(data[len(data) * at // pieces : len(data) * (at + 1) // pieces])
            time.sleep(0.005)
    if renames:
        os.replace(target, path)


def newest(folder):
    for path in sorted(folder.glob("*.ckpt"), reverse=True):
        data = path.read_bytes()
        if is_whole(data):
            return int.from_bytes(data[:4], "big"), data[4 : 4 + SUM]
    return 0, b"start"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ckpt_dir", type=Path, required=True)
    parser.add_argument("--data_dir", type=Path)
    for name, default in (("steps", 12), ("keep", 3), ("renames", 1), ("pause_ms", 100), ("pieces", 10)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    number, state = newest(args.ckpt_dir)
    print(f"begins at {number}", flush=True)
    while number < args.steps:
        number, state = number + 1, step(state)
        time.sleep(args.pause_ms / 1000)
        save(args.ckpt_dir / f"net-{number:04}.ckpt", content(number, state), args.renames, args.pieces)
        for path in sorted(args.ckpt_dir.glob("*.ckpt"))[: -args.keep]:
            path.unlink()
    print(f"ends with {state.hex()}", flush=True)


if __name__ == "__main__":
    main()
