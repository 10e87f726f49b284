"""What Python 3.7, which images of MindSpore 1.x and 2.0 bring, has not in its standard library."""

from __future__ import annotations

import functools
import operator
import sys
import typing
from typing import TYPE_CHECKING

__all__ = [
    "Protocol",
    "TypedDict",
    "cached_property",
    "entry_points",
    "package_version",
    "runtime_checkable",
]

if TYPE_CHECKING or sys.version_info >= (3, 8):
    from functools import cached_property
    from math import prod
    from typing import Protocol, TypedDict, runtime_checkable

    def package_version(name: str) -> str:
        """The version of a distribution; '' if it is not installed. What it needs takes 50 ms to be imported."""
        from importlib import metadata

        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            return ""

    def entry_points(group: str) -> dict[str, str]:
        """Name -> `module:function` of what installed packages offer for `group`."""
        from importlib import metadata

        every = metadata.entry_points()
        found = every.select(group=group) if hasattr(every, "select") else every.get(group, ())
        return {entry.name: entry.value for entry in found}

else:

    class TypedDict(dict):
        """A dict whose keys are checked elsewhere."""

        def __init_subclass__(cls, total=True):
            super().__init_subclass__()

    class Protocol:
        """Says nothing when a program runs; types are checked elsewhere."""

        def __class_getitem__(cls, parameters):
            return typing.Generic[parameters]

    def runtime_checkable(kind):
        return kind

    def prod(numbers, *, start=1):
        return functools.reduce(operator.mul, numbers, start)

    def package_version(name):
        import pkg_resources

        try:
            return pkg_resources.get_distribution(name).version
        except pkg_resources.DistributionNotFound:
            return ""

    def entry_points(group):
        import pkg_resources

        return {
            entry.name: f"{entry.module_name}:{'.'.join(entry.attrs)}"
            for entry in pkg_resources.iter_entry_points(group)
        }

    class cached_property:
        """As functools.cached_property, for attributes that are not set while another thread reads them."""

        def __init__(self, make):
            self.make, self.name = make, make.__name__

        def __set_name__(self, owner, name):
            self.name = name

        def __get__(self, instance, owner=None):
            if instance is None:
                return self
            value = instance.__dict__[self.name] = self.make(instance)
            return value
