"""Labels as PNGs of class numbers, for VOC 2012 and SBD: mindlift data voc_labels --data_root DIR

SegmentationClass/*.png (palette, or RGB in VOC's colours) become SegmentationClassGray/*.png, SBD's cls/*.mat become
cls_png_gray/*.png. SBD: B. Hariharan et al., Semantic Contours from Inverse Detectors, ICCV 2011.
"""

from __future__ import annotations

import io
import os
from concurrent import futures
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mindlift.data.segmentation import lists as seg_lists
from mindlift.errors import DataError, StorageError
from mindlift.files import write_atomic

if TYPE_CHECKING:
    import numpy as np

    from mindlift.runs.log import RunLog

COLOUR_WEIGHTS = 1 << 16, 1 << 8, 1
PNG_END = b"IEND\xaeB`\x82"


class Work(NamedTuple):
    """Files of one folder to convert to another: `names` without their ending `suffix`."""

    source: Path
    target: Path
    suffix: str
    names: list[str]


class Checks(NamedTuple):
    num_classes: int
    ignore_label: int


def find(root: Path) -> list[Work]:
    """The folders of labels below `root`."""
    found = []
    voc, sbd = seg_lists.voc_folder(root), seg_lists.sbd_folder(root)
    if voc is not None and (voc / "SegmentationClass").is_dir():
        found.append((voc / "SegmentationClass", voc / "SegmentationClassGray", ".png"))
    if sbd is not None:
        found.append((sbd / "cls", sbd / "cls_png_gray", ".mat"))
    return [Work(*each, sorted(path.stem for path in each[0].glob(f"*{each[2]}"))) for each in found]


def is_whole(path: Path) -> bool:
    """Whether `path` is a PNG with its end. Ours appear whole; others' may have been cut short."""
    try:
        with open(path, "rb") as file:
            file.seek(-len(PNG_END), os.SEEK_END)
            return file.read() == PNG_END
    except OSError:
        return False


def convert(source: Path, target: Path, checks: Checks) -> None:
    """Write the class numbers of one label, whole or not at all. DataError that names `source` and a wrong value."""
    from mindlift.data.segmentation import voc

    try:
        data = source.read_bytes()
    except OSError as err:
        raise DataError(f"can't read label {source}: {err.strerror}") from err
    label = of_mat(data, source) if source.suffix == ".mat" else of_png(data, source)
    voc.check_values(label, str(source), checks.num_classes, checks.ignore_label, "see --num_classes")
    write_atomic(target, voc.as_png(label, coloured=False), durable=False)


def of_mat(data: bytes, source: Path) -> np.ndarray:
    """(H, W) uint8: GTcls.Segmentation of an SBD file."""
    import numpy as np
    import scipy.io

    try:
        found = np.asarray(scipy.io.loadmat(io.BytesIO(data))["GTcls"]["Segmentation"][0, 0])
    except Exception as err:  # scipy raises nearly everything for a damaged file
        raise DataError(f"{source} is no label of SBD ({type(err).__name__}: {err})") from err
    if found.ndim != 2 or found.min() < 0 or found.max() > 255:
        raise DataError(f"{source}: GTcls.Segmentation is no image of class numbers (shape {found.shape})")
    return found.astype(np.uint8)


def of_png(data: bytes, source: Path) -> np.ndarray:
    """(H, W) uint8: the numbers of a palette or grey PNG, or those that VOC's palette has for the colours of an RGB one."""
    from PIL import Image

    from mindlift.data import image_folder
    from mindlift.data.segmentation import voc

    try:
        return voc.decode_label(data, str(source))
    except voc.LabelKindError:
        with Image.open(io.BytesIO(data)) as picture:
            if picture.format != "PNG" or picture.mode not in ("RGB", "RGBA"):
                raise
        return of_colours(image_folder.decode(data, str(source)), source)


@lru_cache(maxsize=1)
def numbers_of_colours() -> np.ndarray:
    """(2^24,) int16: the number that VOC's palette has for a colour, or -1."""
    import numpy as np

    from mindlift.data.segmentation import voc

    numbers = np.full(1 << 24, -1, np.int16)
    numbers[voc.palette() @ np.array(COLOUR_WEIGHTS)] = np.arange(256)
    return numbers


def of_colours(pixels: np.ndarray, source: Path) -> np.ndarray:
    import numpy as np

    label = numbers_of_colours()[pixels @ np.array(COLOUR_WEIGHTS)]
    if (label < 0).any():
        colour = pixels[np.unravel_index(label.argmin(), label.shape)].tolist()
        raise DataError(f"{source}: the colour {tuple(colour)} is none of VOC's palette")
    return label.astype(np.uint8)


def run(found: list[Work], checks: Checks, workers: int, log: RunLog) -> None:
    """Convert what is missing, in threads, since decoding and encoding let others run; raises the first DataError."""
    for work in found:
        try:
            work.target.mkdir(exist_ok=True)
        except OSError as err:
            raise StorageError(f"can't make {work.target}: {err.strerror}") from err
        missing = [name for name in work.names if not is_whole(work.target / f"{name}.png")]
        log.start_bar(work.target.name, "label", len(missing))
        try:
            in_threads(work, missing, checks, workers, log)
        finally:
            log.end_bar()
        kept = len(work.names) - len(missing)
        log.info(f"{work.target}: {len(missing)} labels written, {kept} were there")


def in_threads(work: Work, names: list[str], checks: Checks, workers: int, log: RunLog) -> None:
    with futures.ThreadPoolExecutor(workers) as pool:
        running = [
            pool.submit(convert, work.source / f"{name}{work.suffix}", work.target / f"{name}.png", checks)
            for name in names
        ]
        try:
            for done in futures.as_completed(running):
                done.result()
                log.advance(1)
        finally:
            pool.shutdown(cancel_futures=True)
