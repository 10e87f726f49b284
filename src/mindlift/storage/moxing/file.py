"""`moxing.file` for local paths and for buckets: every function takes both.

Signatures and corner cases follow Huawei's documents of MoXing's file API. Where those are silent, the
docstring says what happens here. Importing this module loads no network library.
"""

from __future__ import annotations

import warnings

from mindlift.storage.errors import (
    MoxFileNameDuplicateException,
    MoxFileNotExistsException,
    MoxFileReadException,
    MoxFileRespException,
)
from mindlift.storage.moxing import on_demand
from mindlift.storage.moxing.background import BackgroundCopy, background_sync_copy
from mindlift.storage.moxing.changes import (
    append,
    append_remote,
    copy,
    copy_parallel,
    make_dirs,
    mk_dir,
    read,
    remove,
    rename,
    write,
)
from mindlift.storage.moxing.entries import (
    DirEntry,
    Stat,
    exists,
    get_size,
    is_directory,
    list_directory,
    scan_dir,
    stat,
    walk,
)
from mindlift.storage.moxing.file_object import File
from mindlift.storage.moxing.patterns import glob
from mindlift.storage.moxing.shift import shift

__all__ = [
    "BackgroundCopy",
    "DirEntry",
    "File",
    "MoxFileNameDuplicateException",
    "MoxFileNotExistsException",
    "MoxFileReadException",
    "MoxFileRespException",
    "Stat",
    "append",
    "append_remote",
    "background_sync_copy",
    "copy",
    "copy_parallel",
    "exists",
    "get_size",
    "glob",
    "is_directory",
    "list_directory",
    "make_dirs",
    "mk_dir",
    "read",
    "remove",
    "rename",
    "scan_dir",
    "set_auth",
    "shift",
    "stat",
    "walk",
    "write",
]


def set_auth(
    ak: str | None = None,
    sk: str | None = None,
    server: str | None = None,
    port: int | None = None,
    is_secure: bool | None = None,
    ssl_verify: bool | None = None,
    long_conn_mode: bool | None = None,
    path_style: bool | None = None,
    retry: int | None = None,
    retry_wait: float | None = None,
    client_timeout: float | None = None,
    list_max_keys: int | None = None,
    security_token: str | None = None,
    timeout_config: object = None,
    obs_client_log: object = None,
    negotiation: object = None,
    **others: object,
) -> None:
    """How later calls reach the store; settings.py says what each keyword overrides.

    `timeout_config`, `obs_client_log` and `negotiation` have no effect; unknown keywords are a warning.
    """
    if others:
        warnings.warn(f"set_auth: unknown keywords {', '.join(sorted(others))} have no effect", stacklevel=2)
    on_demand.set_auth(
        ak=ak,
        sk=sk,
        server=server,
        port=port,
        is_secure=is_secure,
        ssl_verify=ssl_verify,
        long_conn_mode=long_conn_mode,
        path_style=path_style,
        retry=retry,
        retry_wait=retry_wait,
        client_timeout=client_timeout,
        list_max_keys=list_max_keys,
        security_token=security_token,
    )
