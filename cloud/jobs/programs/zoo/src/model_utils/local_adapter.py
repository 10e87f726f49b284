"""On a machine of one's own the data is where it is."""

import os


def get_device_id():
    return int(os.getenv("DEVICE_ID", "0"))


def get_rank_size():
    return int(os.getenv("RANK_SIZE", "1"))


def get_rank_id():
    return int(os.getenv("RANK_ID", "0"))


def moxing_wrapper(run):
    return run
