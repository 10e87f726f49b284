"""What there is: networks, data sets, recipes, providers; and where the moxing shim is."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from mindlift import __version__
from mindlift.checkout import ROOT
from mindlift.option_parser import ArgumentParser


def parsed(name: str, about: str, argv: Sequence[str] | None) -> argparse.Namespace:
    return ArgumentParser(prog=f"mindlift {name}", description=about).parse_args(argv)


def models(argv: Sequence[str] | None = None) -> int:
    parsed("models", "The networks that --net takes, by family.", argv)
    from mindlift import models as families
    from mindlift.models.external import names

    for name, nets in families.networks().items():
        print(f"{name:14} {' '.join(sorted(nets))}")
    of_mindcv = names.of_mindcv()
    print(f"{'mindcv:':14} {' '.join(of_mindcv) or 'not installed (pip install mindcv)'}")
    return 0


def datasets(argv: Sequence[str] | None = None) -> int:
    parsed("datasets", "The data sets that --dataset takes.", argv)
    from mindlift.model_utils.config import declared

    option = declared.own_schema().options["dataset"]
    print("\n".join(map(str, option.choices)))
    return 0


def recipes(argv: Sequence[str] | None = None) -> int:
    parsed("recipes", "The published recipes: options for a network and a data set.", argv)
    from mindlift import models as families

    for path in sorted(families.HERE.glob("*/recipes/*.yaml")):
        print(f"{path.stem:34} {path}")
    return 0


def providers(argv: Sequence[str] | None = None) -> int:
    parsed("providers", "Where jobs can run.", argv)
    from mindlift.cloud.handle import PARTS

    for name, parts in PARTS.items():
        print(f"{name:12} {name}://{parts}")
    return 0


def moxing_path(argv: Sequence[str] | None = None) -> int:
    parsed("moxing-path", "The folder for PYTHONPATH with which `import moxing` is MindLift's.", argv)
    print(ROOT / "compat")
    return 0


def version(argv: Sequence[str] | None = None) -> int:
    print(f"mindlift {__version__}")
    return 0
