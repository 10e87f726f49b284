"""`python -m mindlift.model_utils.config.generate` writes options_types.py: default_config.yaml as types for mypy."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from mindlift.files import write_atomic
from mindlift.model_utils.config.declared import own_schema
from mindlift.model_utils.config.options import Option
from mindlift.model_utils.config.schema import Schema

TARGET = Path(__file__).parent / "options_types.py"
TYPES = {
    "str": "str",
    "int": "int",
    "float": "float",
    "bool": "bool",
    "ints": "tuple[int, ...]",
    "floats": "tuple[float, ...]",
    "size": "tuple[int, int]",
}
HEAD = '''"""The types of the options, for mypy: written by `python -m mindlift.model_utils.config.generate`.

Made from default_config.yaml; a test compares. Nothing imports this at run time.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """What `Config` answers for the name of an option; None where null is the default."""
'''


def annotation(option: Option) -> str:
    """The type of the values that `Option.parse` gives: only an option without a default may be unset."""
    return TYPES[option.kind] + (" | None" if option.default is None else "")


def source(schema: Schema) -> str:
    """The text of options_types.py."""
    return HEAD + "".join(f"{line}\n" for line in lines(schema))


def lines(schema: Schema) -> Iterator[str]:
    for group, options in schema.groups.items():
        yield ""
        yield f"    # {group}"
        for option in options:
            yield f"    {option.name}: {annotation(option)}"


def main() -> int:
    write_atomic(TARGET, source(own_schema()))
    print(TARGET)
    return 0


if __name__ == "__main__":
    sys.exit(main())
