"""Pascal VOC's classes and colours, and the label images that hold them."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from mindlift.errors import DataError

CLASSES = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "dining table",
    "dog",
    "horse",
    "motorbike",
    "person",
    "potted plant",
    "sheep",
    "sofa",
    "train",
    "tv/monitor",
)
DIGITS = (
    "background",
    "digit 0",
    "digit 1",
    "digit 2",
    "digit 3",
    "digit 4",
    "digit 5",
    "digit 6",
    "digit 7",
    "digit 8",
    "digit 9",
)
IGNORED = 255
MAKE = "mindlift data voc_labels --data_root DIR"
SEE_CLASSES = f"if its classes are colours, convert the labels with {MAKE}; else see --num_classes"
MOST = 255  # the largest number that 8 bits hold
MODES = ("P", "L", "1", "I;16", "I")  # Pillow's of PNGs with a palette, and of grey ones of 8, 1 and 16 bits
DEPTH_AT, KIND_AT = 24, 25  # bytes of a PNG file that tell the bits of a sample, and whether it is grey


class LabelKindError(DataError):
    """A label image that does not hold class numbers."""


def class_names(dataset: str, num_classes: int) -> list[str]:
    """Names of the classes, numbers where the data set has no names for as many."""
    known = {"voc": CLASSES, "vocdigits": DIGITS}.get(dataset, ())
    return list(known) if len(known) == num_classes else [str(i) for i in range(num_classes)]


def palette() -> np.ndarray:
    """(256, 3) uint8, RGB of each label: the bits of the label spread over the colours, highest first (VOC devkit)."""
    labels: np.ndarray = np.arange(256, dtype=np.uint8)
    colours: np.ndarray = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= (labels >> channel & 1) << (7 - bit)
        labels = labels >> 3
    return colours


def as_png(label: np.ndarray, coloured: bool) -> bytes:
    """(H, W) uint8 as PNG: palette PNG with VOC's colours, or the indices as grey values."""
    picture = Image.fromarray(label)
    if coloured:
        picture.putpalette(palette().tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def is_plain(png: bytes) -> bool:
    """Whether it is grey with 8 bits, as every reader takes its values."""
    return png[KIND_AT] == 0 and png[DEPTH_AT] == 8


def decode_label(data: bytes, name: str) -> np.ndarray:
    """(H, W) uint8: the indices of a palette PNG, the values of a grey one of 1, 8 or 16 bits. DataError if it is damaged,
    LabelKindError if it is anything else."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            kind, mode = str(picture.format), picture.mode
            label = np.asarray(picture) if kind == "PNG" and mode in MODES else None
    except (
        Exception
    ) as err:  # Pillow's decoders raise a dozen classes, struct.error and IndexError among them
        raise DataError(
            f"corrupt label {name}: {err}; remove or replace it, or pass --skip_corrupt true"
        ) from err
    if label is None:
        raise LabelKindError(
            f"{name} is {kind} of mode {mode}, but a label is a PNG of class numbers (grey or with a palette);"
            f" {advice(kind, mode)}"
        )
    if mode == "L" and data[DEPTH_AT] < 8:
        raise LabelKindError(
            f"{name} is a grey PNG of {data[DEPTH_AT]} bits, whose values readers stretch; save its numbers with 8 bits"
        )
    if label.max(initial=0) > MOST:
        raise LabelKindError(
            f"{name} is a grey PNG of 16 bits with the value {label.max()}, and classes are numbers up to {MOST};"
            f" {advice(kind, mode)}"
        )
    return label.astype(np.uint8)


def advice(kind: str, mode: str) -> str:
    """What to do about a label that holds no class numbers."""
    if kind == "PNG" and mode in ("RGB", "RGBA"):
        return f"if its colours are VOC's, convert labels with {MAKE}, else replace each colour by the number of its class"
    lossy = ", for JPEG changes them" if kind == "JPEG" else ""
    return f"save the number of each pixel's class as a grey PNG of 8 bits{lossy}"


def check_values(
    label: np.ndarray, name: str, num_classes: int, ignore_label: int, advice: str = SEE_CLASSES
) -> None:
    """DataError unless all of (H, W) uint8 `label` are classes or `ignore_label`."""
    wrong = (label >= num_classes) & (label != ignore_label)
    if wrong.any():
        raise DataError(
            f"{name}: value {label[wrong].min()} is neither a class (0 - {num_classes - 1}) nor --ignore_label {ignore_label};"
            f" {advice}"
        )
