"""Copies by one process of a node, the others wait for a lock: as the zoo's programs do, faults included."""

import contextlib
import functools
import os
import time

from src.model_utils.config import config
from src.model_utils.device_adapter import get_device_id, get_device_num

_global_sync_count = 0


def sync_data(from_path, to_path):
    import moxing as mox

    global _global_sync_count
    sync_lock = "/tmp/copy_sync.lock" + str(_global_sync_count)
    _global_sync_count += 1
    if get_device_id() % min(get_device_num(), 8) == 0 and not os.path.exists(sync_lock):
        print("from path:", from_path, "to path:", to_path, flush=True)
        mox.file.copy_parallel(from_path, to_path)
        with contextlib.suppress(OSError):
            os.mknod(sync_lock)
    while True:
        if os.path.exists(sync_lock):
            break
        time.sleep(1)
    print(f"Finish sync data from {from_path} to {to_path}.", flush=True)


def moxing_wrapper(run_func):
    @functools.wraps(run_func)
    def wrapped_func():
        if config.enable_modelarts:
            if config.data_url:
                sync_data(config.data_url, config.data_path)
            if not os.path.exists(config.output_path):
                os.makedirs(config.output_path, exist_ok=True)
        run_func()
        if config.enable_modelarts and config.train_url:
            sync_data(config.output_path, config.train_url)

    return wrapped_func
