"""Types of JSON: of anything, and of an object."""

from __future__ import annotations

from typing import Mapping, Sequence, Union

Scalar = Union[None, bool, int, float, str]
Json = Union[Scalar, Sequence["Json"], Mapping[str, "Json"]]
JsonObject = Mapping[str, Json]
