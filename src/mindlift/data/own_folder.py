"""What a folder of somebody's photos holds: classes, images, and what there is to evaluate on. By names of files only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mindlift.data import layout
from mindlift.data.multilabel import labels
from mindlift.errors import DataError
from mindlift.model_utils import image_files

KEPT_FOR_LATER = "test"  # is not evaluated while there is another split beside it


@dataclass(frozen=True)
class Folder:
    """The `counts` of images in the folder `train`, in class folders named `classes`; `evaluated` is the folder of another
    split. With a file of `labels`, `classes` are those it knows, and there is one count, of all images; a file that is
    `unread` says nothing that the folders don't.
    """

    path: Path
    train: Path
    classes: list[str]
    counts: list[int]
    evaluated: Path | None
    labels: Path | None = None
    unread: Path | None = None

    @property
    def kept_for_later(self) -> Path | None:
        """A split that neither training nor its evaluations read."""
        other = self.path / KEPT_FOR_LATER
        return other if self.evaluated not in (None, other) and other.is_dir() else None


def look(path: Path, wanted: str = "", is_multilabel: bool = False) -> Folder | None:
    """What is in `path`; None for CIFAR's binaries. DataError where there are no images, or they have no class.

    A file of labels counts that somebody has `wanted` or, of the usual names, that is needed: see `needed`.
    """
    if (path / layout.CIFAR_FOLDER).is_dir() or any(path.glob("*.bin")):
        return None
    train = layout.split_folder(path, True)
    evaluated = layout.split_folder(path, False) if train != path else None
    unread = next((train / name for name in labels.USUAL if (train / name).is_file()), None)
    if wanted or is_multilabel or (unread and needed(unread, train)):
        table = labels.read(labels.find(train, wanted))
        return Folder(path, train, table.classes, [len(table.images)], evaluated, table.file)
    names = [each.name for each in train.iterdir() if each.is_dir() and image_files.is_data(each.name)]
    if not names:
        loose = sum(image_files.is_image(each.name) for each in train.iterdir())
        if loose:
            raise DataError(
                f"{train} has {loose} images, but no class folders; put the images of each class into a folder of its"
                f" own: {train}/<class>/<image>.jpg; or write labels.csv beside them, for images with several labels"
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
    return Folder(path, train, classes, counts, evaluated, unread=unread)


def needed(file: Path, folder: Path) -> bool:
    """Whether images have to be read with the labels in a file beside them: where there are images outside of class
    folders, or with several labels. Else class folders count, which say one class of each image.
    """
    if any(image_files.is_image(each.name) for each in folder.iterdir()):
        return True
    try:
        table = labels.read(file)
    except DataError:  # a list of something else, as of the names of classes
        return False
    several = [name for name, found in table.images.items() if len(found) > 1]
    return any((folder / name).is_file() for name in several)
