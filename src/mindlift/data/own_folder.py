"""What a folder of somebody's photos holds: classes, images, and what there is to evaluate on. By names of files only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mindlift.data import layout
from mindlift.errors import DataError
from mindlift.model_utils import image_files

KEPT_FOR_LATER = "test"  # is not evaluated while there is another split beside it


@dataclass(frozen=True)
class Folder:
    """The `counts` of images in the folder `train`, in class folders named `classes`; `evaluated` is the folder of another
    split.
    """

    path: Path
    train: Path
    classes: list[str]
    counts: list[int]
    evaluated: Path | None

    @property
    def kept_for_later(self) -> Path | None:
        """A split that neither training nor its evaluations read."""
        other = self.path / KEPT_FOR_LATER
        return other if self.evaluated not in (None, other) and other.is_dir() else None


def look(path: Path) -> Folder | None:
    """What is in `path`; None for CIFAR's binaries. DataError where there are no images, or they have no class."""
    if (path / layout.CIFAR_FOLDER).is_dir() or any(path.glob("*.bin")):
        return None
    train = layout.split_folder(path, True)
    names = [each.name for each in train.iterdir() if each.is_dir() and image_files.is_data(each.name)]
    if not names:
        loose = sum(image_files.is_image(each.name) for each in train.iterdir())
        if loose:
            raise DataError(
                f"{train} has {loose} images, but no class folders; put the images of each class into a folder of its"
                f" own: {train}/<class>/<image>.jpg"
            )
        raise DataError(
            f"{train} has neither class folders ({train}/<class>/<image>.jpg) nor CIFAR's data_batch_*.bin; name the folder"
            " that holds the images, or for labels of pixels --dataset voc"
        )
    classes = layout.class_names(train)
    counts = [len(image_files.find(train / name).files) for name in classes]
    if not any(counts):
        raise DataError(
            f"{train} has class folders ({layout.some(classes)}), but no image in them; the images of each class belong"
            f" into its folder: {train}/<class>/<image>.jpg"
        )
    return Folder(path, train, classes, counts, layout.split_folder(path, False) if train != path else None)
