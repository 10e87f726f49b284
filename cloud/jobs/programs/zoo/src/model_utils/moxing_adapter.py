"""On ModelArts the first process of a node copies, and the others wait for a lock file below /tmp."""

import functools
import os
import time

import moxing as mox

from .config import config
from .local_adapter import get_device_id, get_rank_id, get_rank_size

__all__ = ["get_device_id", "get_rank_id", "get_rank_size", "moxing_wrapper"]

count = 0


def sync_data(from_path, to_path):
    global count
    lock = "/tmp/copy_sync.lock" + str(count)
    count += 1
    if get_device_id() % min(get_rank_size(), 8) == 0 and not os.path.exists(lock):
        mox.file.copy_parallel(from_path, to_path)
        print("copied", from_path, "to", to_path, flush=True)
        os.mknod(lock)
    while not os.path.exists(lock):
        time.sleep(1)


def moxing_wrapper(run):
    @functools.wraps(run)
    def wrapped(*args, **kwargs):
        if config.data_url:
            sync_data(config.data_url, config.data_path)
        if config.train_url:
            os.makedirs(config.output_path, exist_ok=True)
            sync_data(config.train_url, config.output_path)
        run(*args, **kwargs)
        if config.train_url:
            sync_data(config.output_path, config.train_url)

    return wrapped
