"""The names of `moxing.framework.file.file_io` that scripts assign to.

`_NUMBER_OF_PROCESSES` limits the worker processes of later copies. The others are accepted: how large
objects are cut up is decided from their size.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from mindlift.storage.moxing.entries import get_size
from mindlift.storage.moxing.on_demand import copy_file

_NUMBER_OF_PROCESSES: int | None = None
_LARGE_FILE_METHOD = 1
_LARGE_FILE_TASK_NUM = 8
_PARTIAL_MAXIMUM_SIZE = 5 << 30


def _download_obs(obs_client: object, bucket_name: str, object_key: str, local_file: str) -> None:
    copy_file(f"obs://{bucket_name}/{object_key}", os.fspath(local_file))


_download_obs_by_stream = _download_obs


def _download_obs_with_large_file(bucket_name: str, object_key: str, local_file: str, *_: object) -> None:
    _download_obs(None, bucket_name, object_key, local_file)


def _get_size_obs(url: str) -> int:
    return get_size(url)


def _retryable_call(obs_client: object, func_name: str, *args: object, **kwargs: object) -> object:
    """Calls a method of a client once: whatever it is, the requests below it are retried."""
    method: Callable[..., object] = getattr(obs_client, func_name)
    return method(*args, **kwargs)
