"""A folder of a model's outputs, one file per image, and its evaluation: the model zoo's inference on Ascend 310 in parts.

Files are named as there, <image>_0.bin, and hold float32 (1, K, S, S) as the model gives it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mindlift import json_text
from mindlift.data.segmentation import lists as seg_lists
from mindlift.data.segmentation.pairs import Files, Samples
from mindlift.data.segmentation.transform import scaled
from mindlift.errors import DataError, StorageError
from mindlift.files import write_atomic
from mindlift.runs import provenance

# Brings mindspore, which MindSpore Lite does without; so it is imported where results are evaluated.
if TYPE_CHECKING:
    from mindlift.tasks.segmentation.objective import Overlap

FACTS = "results.json"
MAKE = "scripts/run_infer_310.sh"
CLOSE = 1e-3  # sums of probabilities, which are float16 where the model is


class Facts(NamedTuple):
    """Of the model: side of its square input, and its classes. The defaults are the original's."""

    crop_size: int = 513
    num_classes: int = 21


def file_names(images: Sequence[str]) -> list[str]:
    """A result's name for each image of a list; DataError for two images that would share one."""
    found: dict[str, str] = {}
    for image in images:
        name = f"{Path(image).stem}_0.bin"
        if name in found:
            raise DataError(
                f"{found[name]} and {image} both have the result {name}: each image of a list needs a name of its own"
            )
        found[name] = image
    return list(found)


class Folder:
    """The results of a list's images."""

    def __init__(self, path: Path, images: Sequence[str]):
        self.path, self.files = path, [path / name for name in file_names(images)]

    @classmethod
    def create(cls, path: Path, model: provenance.Model, images: Sequence[str]) -> Folder:
        """An empty one, with what postprocess.py has to know of the model."""
        found = cls(path, images)
        emptied(path)
        facts = Facts(model.shape[2], model.facts["num_classes"])
        write_atomic(path / FACTS, json.dumps(facts._asdict()) + "\n")
        return found

    def write(self, index: int, output: np.ndarray) -> None:
        try:
            output.astype(np.float32).tofile(self.files[index])
        except OSError as err:
            raise StorageError(f"can't write {self.files[index]}: {err.strerror or err}") from err

    def facts(self) -> Facts:
        """As `create` wrote them; the original's program writes none."""
        try:
            known = json_text.read(self.path / FACTS)
            return Facts(**known)
        except FileNotFoundError:
            return Facts()
        except (OSError, ValueError, TypeError) as err:
            raise DataError(f"can't read {self.path / FACTS}: {err}; run {MAKE} again") from err

    def probabilities(self, index: int, facts: Facts) -> np.ndarray:
        """(K, S, S) of an image; DataError for a file that is missing or has another size."""
        from mindlift.tasks.segmentation.objective import softmax

        side, classes = facts.crop_size, facts.num_classes
        file = self.files[index]
        try:
            values = np.fromfile(file, np.float32)
        except OSError as err:
            raise DataError(f"can't read {file}: {err.strerror or err}; run {MAKE} again") from err
        if values.size != classes * side * side:
            raise DataError(
                f"{file} has {values.size:,} values, but --num_classes {classes} and --crop_size {side} need"
                f" {classes * side * side:,}"
            )
        output = values.reshape(1, classes, side, side)
        return (output if are_probabilities(output) else softmax(output))[0]


def are_probabilities(output: np.ndarray) -> bool:
    """Whether a model (N, K, H, W) ends with softmax, as the original's do and those of export.py don't."""
    return bool(output.min() >= 0 and np.abs(output.sum(1) - 1).max() < CLOSE)


def emptied(folder: Path) -> None:
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    except OSError as err:
        raise StorageError(f"can't make {folder.absolute()}: {err.strerror or err}") from err


class Images:
    """The images of a list, read as an evaluation reads them."""

    def __init__(self, root: Path, pairs: list[seg_lists.Pair]):
        files = Files.of(root, pairs)
        self.samples = Samples(files, 0, 0)
        self.names = [files.image_name(index) for index in range(len(pairs))]

    def __getitem__(self, index: int) -> np.ndarray:
        return self.samples.image(index)


def output_of(
    network: Callable[[np.ndarray], np.ndarray], image: np.ndarray, side: int
) -> tuple[np.ndarray, float]:
    """What a model gives for an image (H, W, 3), filled up to side x side, and the seconds that it took."""
    pixels = np.ascontiguousarray(scaled(image, side)[0].transpose(2, 0, 1))[None]
    started = time.monotonic()
    found = network(pixels)
    return found, time.monotonic() - started


def of_list(args: argparse.Namespace, threads: int) -> Overlap:
    """The figures that postprocess.py's options ask for."""
    pairs = seg_lists.pairs(args.data_root, False, args.data_lst)
    folder = Folder(args.result_path, [pair.image for pair in pairs])
    given = {name: getattr(args, name) for name in Facts._fields if getattr(args, name) is not None}
    facts = folder.facts()._replace(**given)
    samples = Samples(Files.of(args.data_root, pairs), facts.num_classes, args.ignore_label)
    return evaluated(folder, samples, facts, threads)


def evaluated(folder: Folder, samples: Samples, facts: Facts, threads: int) -> Overlap:
    """As eval.py counts at scale 1; DataError for a result that is missing."""
    from mindlift.tasks.segmentation.objective import Overlap, confusion
    from mindlift.tasks.segmentation.task import likeliest

    def counted(index: int) -> np.ndarray:
        image, label = samples.pair(index)
        height, width = scaled(image, facts.crop_size)[1]
        own = folder.probabilities(index, facts)[:, :height, :width]
        found = likeliest([own], label.shape)
        return confusion(label, found, facts.num_classes, samples.ignore_label)

    with ThreadPoolExecutor(threads) as pool:
        matrix = sum(pool.map(counted, range(len(samples))))
    return Overlap(np.asarray(matrix))
