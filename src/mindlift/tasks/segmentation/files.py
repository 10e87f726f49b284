"""What an evaluation of segmentation leaves in a folder: figures with the confusion matrix as JSON, and pictures."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType

import numpy as np

from mindlift.files import as_json, make_folder, write_atomic
from mindlift.model_utils.job_context import JobContext
from mindlift.tasks.segmentation.objective import Overlap, confusion
from mindlift.tasks.segmentation.sheet import MOST, SegmentationSheet

IN_RUN = 6  # images on the sheet of a run
OVERLAYS = "overlays.png"


class Kept:
    """Files of rank 0, named as the checkpoint, where --eval_path or --overlays asks for them; use it as a `with` block.

    Pictures are of the first images of rank 0; a sheet has MOST of them at the most.
    """

    def __init__(self, job: JobContext, checkpoint: Path, names: list[str]):
        cfg, is_main = job.cfg, job.ranks.is_main
        self.cfg, self.names, self.log = cfg, names, job.log
        self.wanted = is_main and bool(cfg.eval_path or cfg.overlays)
        self.count = cfg.overlays if is_main else 0
        base = Path(cfg.ckpt_path)
        default = (base.parent if base.is_file() else base) / f"eval-{cfg.net}"
        self.stem = (Path(cfg.eval_path) if cfg.eval_path else default) / checkpoint.stem
        self.drawn = 0
        self.sheet: SegmentationSheet | None = None
        self.files = contextlib.ExitStack()

    def __enter__(self) -> Kept:
        if self.wanted:
            make_folder(self.stem.parent)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.files.__exit__(kind, error, traceback)

    def add(self, name: str, image: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> None:
        if self.drawn == self.count:
            return
        part, number = divmod(self.drawn, MOST)
        if number == 0:
            path = self.stem.with_name(f"{self.stem.name}{f'-{part + 1}' if part else ''}.png")
            rows = min(MOST, self.count - self.drawn)
            self.sheet = self.files.enter_context(
                SegmentationSheet(path, rows, self.names, self.log, self.cfg.ignore_label)
            )
        found = Overlap(confusion(truth, predicted, self.cfg.num_classes, self.cfg.ignore_label))
        assert self.sheet is not None
        self.sheet.add(name, image, truth, predicted, f"mean IoU {found.miou:.4f}")
        self.drawn += 1

    def write(self, figures: dict[str, object], matrix: np.ndarray) -> None:
        if self.wanted:
            content = {**figures, "confusion": matrix.tolist()}
            write_atomic(self.stem.with_name(f"{self.stem.name}.json"), as_json(content) + "\n")
            self.log.info(f"figures and pictures in {self.stem.parent}")


class InRun:
    """evaluation.json of a run, with a sheet of its first images; rank 0's. Use it as a `with` block."""

    def __init__(self, job: JobContext, names: list[str], images: int):
        self.names, self.paths = names, job.log.paths if job.ranks.is_main else None
        self.sheet: SegmentationSheet | None = None
        if self.paths is not None:
            make_folder(self.paths.pictures)
            file = self.paths.pictures / OVERLAYS
            self.sheet = SegmentationSheet(file, min(IN_RUN, images), names, job.log, job.cfg.ignore_label)
        self.drawn = 0

    def __enter__(self) -> InRun:
        return self

    def __exit__(self, kind: type[BaseException] | None, *others: object) -> None:
        if self.sheet is not None:
            self.sheet.__exit__(kind, *others)

    def add(self, name: str, image: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> None:
        if self.sheet is not None and self.drawn < IN_RUN:
            self.sheet.add(name, image, truth, predicted)
            self.drawn += 1

    def write(self, step: int, overlap: Overlap) -> None:
        if self.paths is not None:
            content = {
                "step": step,
                "classes": self.names,
                "ious": list(overlap.by_name(self.names).values()),
                "confusion": overlap.matrix.tolist(),
                "overlays": f"{self.paths.pictures.name}/{OVERLAYS}",
            }
            write_atomic(self.paths.evaluation, as_json(content) + "\n")
