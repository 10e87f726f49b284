"""What Python 3.7, which images of MindSpore 1.x and 2.0 bring, has not in its standard library."""

from __future__ import annotations

import functools
import operator
import sys
import typing
from typing import TYPE_CHECKING

__all__ = [
    "NoSuchPackage",
    "Protocol",
    "TypedDict",
    "cached_property",
    "package_version",
    "runtime_checkable",
]

if TYPE_CHECKING or sys.version_info >= (3, 8):
    from functools import cached_property
    from importlib.metadata import PackageNotFoundError as NoSuchPackage
    from importlib.metadata import version as package_version
    from math import prod
    from typing import Protocol, TypedDict, runtime_checkable
else:
    import pkg_resources

    NoSuchPackage = pkg_resources.DistributionNotFound

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

    def package_version(name: str) -> str:
        return pkg_resources.get_distribution(name).version

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
