"""Types of JSON: of anything, and of an object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Union

Scalar = Union[None, bool, int, float, str]
Json = Union[Scalar, Sequence["Json"], Mapping[str, "Json"]]
JsonObject = Mapping[str, Json]
