"""Which store a URL or a path belongs to."""

from __future__ import annotations

import os

from mindlift.forks import FORKS, Shared
from mindlift.storage.access import Access
from mindlift.storage.moxing import backend
from mindlift.storage.s3.service import Service
from mindlift.storage.s3.store import S3Store
from mindlift.storage.settings import read_keys, read_settings
from mindlift.storage.store import LocalStore, Store
from mindlift.storage.url import PathLike, as_folder, local_path, parse


class Services(Shared):
    """The Service that URLs mean now: made again whenever `set_auth` or the environment have changed."""

    def __init__(self) -> None:
        super().__init__()
        self.given: dict[str, object] = {}
        self.mark: object = None
        self.current: Service | None = None

    def get(self) -> Service:
        with self.lock:
            mark = (read_settings(os.environ, self.given), read_keys(os.environ, self.given))
            if self.current is None or self.mark != mark:
                self.current, self.mark = Service(Access(self.given)), mark
            return self.current

    def set_auth(self, **given: object) -> None:
        with self.lock:
            self.given.update({key: value for key, value in given.items() if value is not None})

    def forget(self) -> None:
        """Back to the environment alone."""
        with self.lock:
            self.given, self.current = {}, None


SERVICES = Services()


def set_auth(**given: object) -> None:
    """Keep connection settings for all later calls; see settings.py for what they override."""
    SERVICES.set_auth(**given)


def locate(url: PathLike) -> tuple[Store, str]:
    """The store of a URL or local path, and the key in it; a trailing '/' stays."""
    remote = parse(url)
    api = backend.platform_api() if remote else None
    if remote and api:
        with FORKS.importing():
            from mindlift.storage.platform_store import PlatformStore

        return PlatformStore(remote.bucket, api), remote.key
    if remote:
        return S3Store(remote.bucket, SERVICES.get()), remote.key
    text = local_path(url)
    path = os.path.abspath(text)
    is_folder = text.endswith("/") and path != "/"
    return LocalStore("/"), path.lstrip("/") + ("/" if is_folder else "")


def exists(url: PathLike) -> bool:
    """Whether a file or a folder is there; a folder of a bucket is there if anything is below it."""
    store, key = locate(url)
    return store.stat(key) is not None


def read(url: PathLike) -> bytes:
    """The whole file; FileNotFoundError if there is none."""
    store, key = locate(url)
    return store.read(key)


def names(url: PathLike, folders: bool = False) -> list[str]:
    """Sorted names of the files, or of the folders, that are directly in a folder; [] if it is not there."""
    store, key = locate(url)
    found = (each for each in store.scan(as_folder(key)) if each.is_folder == folders)
    return sorted(each.key.rstrip("/").rpartition("/")[2] for each in found)
