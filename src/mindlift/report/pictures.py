"""Pictures of a run inside the page, shrunk to fit the space that is left."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

from mindlift.runs import folder as run_folder

MOST = 12  # mistakes of an evaluation
THUMBNAIL = 160
QUALITY = 82
SIDES = (1200, 1000, 800, 640, 480, 320)


def inside(root: Path, name: object) -> Path | None:
    """A file of the run that its evaluation.json names; None if it is not in the run's folder."""
    if not isinstance(name, str):
        return None
    path = root / name
    is_below = root.resolve() in path.resolve().parents
    return path if is_below and path.is_file() else None


def of_evaluation(root: Path) -> list[Path]:
    """The pictures of the newest evaluation, which evaluation.json names."""
    found = run_folder.read_object(root / "evaluation.json")
    mistakes = found.get("mistakes")
    given = (
        [each.get("file") for each in mistakes if isinstance(each, dict)]
        if isinstance(mistakes, list)
        else []
    )
    paths = [inside(root, name) for name in [*given[:MOST], found.get("overlays")]]
    return [path for path in paths if path]


def thumbnail(path: Path, side: int = THUMBNAIL) -> str:
    """A data: URL of at most side x side pixels; small pictures stay as they are. '' for what is no picture."""
    picture = opened(path)
    return data_url(shrunk(picture, side, side)) if picture else ""


def fitted(path: Path, room: int) -> str:
    """A data: URL of no more than `room` bytes, as large as that lets it be; '' if nothing fits."""
    picture = opened(path)
    if picture is None:
        return ""
    for width in SIDES:
        url = data_url(shrunk(picture, width, 10 * width))
        if len(url) <= room:
            return url
    return ""


def opened(path: Path) -> Image.Image | None:
    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError):
        return None


def shrunk(picture: Image.Image, width: int, height: int) -> Image.Image:
    factor = min(1.0, width / picture.width, height / picture.height)
    if factor == 1.0:
        return picture
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def data_url(picture: Image.Image) -> str:
    """Tiny pictures without loss, others as JPEG."""
    is_tiny = picture.width * picture.height <= 64 * 64
    file = io.BytesIO()
    if is_tiny:
        picture.save(file, "PNG", optimize=True)
    else:
        picture.save(file, "JPEG", quality=QUALITY, optimize=True)
    return f"data:image/{'png' if is_tiny else 'jpeg'};base64,{base64.b64encode(file.getvalue()).decode()}"
