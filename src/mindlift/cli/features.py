"""Write features of images: `mindlift features --help` lists the options."""

from __future__ import annotations

import contextlib
from pathlib import Path

from mindlift.cli.words import words
from mindlift.language import localized

PROG = "mindlift features"


def features(argv: list[str]) -> None:
    from mindlift.api import inference_job, job, prediction
    from mindlift.errors import PartialError

    cfg = job.read(argv, PROG)
    inference_job.check_named(cfg, PROG)
    here = inference_job.start(cfg, PROG)
    with contextlib.ExitStack() as until:
        found = prediction.features_of(here, inference_job.images(cfg, cfg.inputs, until))
    found.write(Path(cfg.output_features))
    rows, columns = found.values.shape
    print(
        localized(
            f"{cfg.output_features}: {rows} x {columns} features, the mean of {found.layer.module} of {cfg.net}"
        )
    )
    for name, reason in found.failed:
        print(localized(f"{name}: can't be read: {reason}"))
    if found.failed:
        raise PartialError(
            f"{len(found.failed)} of {rows + len(found.failed)} images could not be read and have no row; they are named"
            " above"
        )


def main(argv: list[str] | None = None) -> int:
    from mindlift.cli import program

    arguments = words(argv)
    return program.main(lambda: features(arguments), debug=program.wants_debug(arguments))
