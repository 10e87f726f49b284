"""`moxing.framework.file`: every name is looked up in the chosen backend."""

from __future__ import annotations


def __getattr__(name: str):
    from mindlift.storage.moxing import backend

    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(backend.file_api(), name)
