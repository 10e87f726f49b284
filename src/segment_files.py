"""What an evaluation of segmentation leaves in a folder: figures as JSON, the confusion matrix, pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from src.model_utils.run_paths import make_folder, write_atomic
from src.run_log import RunLog


class Kept:
    """Files of rank 0, named as the checkpoint: with --eval_path or --overlays, else none."""

    def __init__(self, cfg: Any, checkpoint: Path, names: list[str], is_main: bool):
        self.wanted = is_main and bool(cfg.eval_path or cfg.overlays)
        self.folder = Path(cfg.eval_path) if cfg.eval_path else Path(cfg.ckpt_path) / f"eval-{cfg.net}"
        self.stem, self.names, self.ignore = checkpoint.stem, names, cfg.ignore_label
        self.most, self.rows = cfg.overlays if is_main else 0, []

    def add(self, name: str, image: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> None:
        if len(self.rows) < self.most:
            self.rows.append((name, image, truth, predicted))

    def write(self, figures: dict, matrix: np.ndarray, log: RunLog) -> None:
        if not self.wanted:
            return
        make_folder(self.folder)
        content = {**figures, "confusion": matrix.tolist()}
        write_atomic(self.folder / f"{self.stem}.json", json.dumps(content, ensure_ascii=False) + "\n")
        log.info(f"figures in {self.folder / self.stem}.json")
        if self.rows:
            log.info(f"pictures in {self.folder / self.stem}.png")
