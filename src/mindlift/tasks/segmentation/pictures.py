"""Pictures of what predict.py segments: masks in VOC's colours, images under these colours, and a sheet of several."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image as Picture

from mindlift.data.segmentation import voc
from mindlift.errors import ConfigError, StorageError
from mindlift.files import write_atomic
from mindlift.model_utils.named_images import Image
from mindlift.runs.log import RunLog
from mindlift.tasks.prediction_files import Prediction
from mindlift.tasks.segmentation.sheet import SegmentationSheet, overlay

OVERLAY = "_overlay"


def mask_files(folder: Path, images: Sequence[Image]) -> list[Path]:
    """Where the masks go: <name>.png, and <name>-2.png ... for further images of the same name.

    ConfigError if one of them, or an overlay beside it, would replace one of the images.
    """
    inputs = {image.path.resolve() for image in images}
    taken: set[str] = set()
    found = [folder / f"{free_stem(image.path.stem, taken)}.png" for image in images]
    for mask in found:
        for path in (mask, overlay_file(mask)):
            if path.resolve() in inputs:
                raise ConfigError(
                    f"--output_dir {folder}: {path} is one of the images, and would be replaced; choose another folder"
                )
    return found


def free_stem(wanted: str, taken: set[str]) -> str:
    """`wanted`, or with a number, so that neither it nor its overlay is in `taken`; adds both."""
    stem, number = wanted, 1
    while {stem, stem + OVERLAY} & taken:
        number += 1
        stem = f"{wanted}-{number}"
    taken |= {stem, stem + OVERLAY}
    return stem


def overlay_file(mask: Path) -> Path:
    return mask.with_name(f"{mask.stem}{OVERLAY}.png")


class MaskFolder:
    """Two files of each image: its classes as a palette PNG in VOC's colours, and the image under these colours."""

    def __init__(self, folder: Path, log: RunLog):
        self.folder, self.log, self.count = folder, log, 0

    def __enter__(self) -> MaskFolder:
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as err:
            raise StorageError(f"can't make {self.folder}: {err.strerror or err}") from err
        return self

    def add(self, prediction: Prediction) -> None:
        found = prediction.segments
        if found is not None and found.mask is not None:
            write_atomic(found.mask, voc.as_png(found.label, coloured=True), durable=False)
            write_atomic(overlay_file(found.mask), as_png(overlay(found.image, found.label)), durable=False)
            self.count += 1

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.log.info(f"{self.count} masks and overlays in {self.folder}")


def as_png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Picture.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


class Sheet:
    """The first images beside what is found on them, as an evaluation draws them, with their classes in words."""

    def __init__(self, path: Path, names: list[str], log: RunLog):
        self.drawn = SegmentationSheet(path, 0, names, log, with_truth=False)

    def __enter__(self) -> Sheet:
        self.drawn.__enter__()
        return self

    def add(self, prediction: Prediction) -> None:
        found = prediction.segments
        if found is not None:
            self.drawn.count += 1
            shares = ", ".join(f"{each.name} {100 * each.share:.1f} %" for each in prediction.top)
            self.drawn.add(Path(prediction.name).name, found.image, None, found.label, shares)

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self.drawn.__exit__(kind, *rest)
