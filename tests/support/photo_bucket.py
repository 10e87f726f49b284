"""A bucket with class folders of images, and trainings that read it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from tests.support.fault_proxy import FaultProxy
from tests.support.programs import ROOT, Finished, environment, run_program, run_ranks
from tests.support.servers import s3_client

IMAGES, CLASSES, SEED = 48, 3, 1
PROGRAM = [
    "train.py",
    *("--config_path", ROOT / "src/mindlift/models/densenet/recipes/densenet22_digits.yaml"),
    *("--dataset", "imagenet", "--num_classes", CLASSES, "--image_size", 16, "--per_batch_size", 4),
    *("--max_epoch", 2, "--ckpt_interval", 1, "--log_interval", 1, "--run_eval", "false"),
]


class Bucket:
    """Class folders of images in `photos/`, reached through a proxy."""

    def __init__(self, minio, bucket: str, proxy: FaultProxy, folder: Path, images: int = IMAGES):
        self.client, self.name, self.proxy, self.folder = s3_client(minio), bucket, proxy, folder
        self.env = {
            "S3_ENDPOINT": proxy.endpoint,
            "ACCESS_KEY_ID": minio.access_key,
            "SECRET_ACCESS_KEY": minio.secret_key,
            "MINDLIFT_CACHE": str(folder / "cache"),
        }
        rng = np.random.default_rng(27)
        for number in range(images):
            path = folder / "photo.png"
            Image.fromarray(rng.integers(0, 256, (20, 20, 3), np.uint8)).save(path)
            self.put(f"class_{number % CLASSES}/{number:03}.png", path.read_bytes())

    def put(self, name: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=f"photos/{name}", Body=data)

    def words(self, stage: str, output: str, *more: object) -> list[str]:
        place = ["--enable_modelarts", "True", "--data_url", f"obs://{self.name}/photos/"]
        words = [*PROGRAM, *place, "--ckpt_path", self.folder / output, "--stage", stage, *more]
        return [str(word) for word in words]

    def train(self, stage: str, output: str, *more: object, ranks: int = 1) -> Finished:
        words = self.words(stage, output, *more)
        return run_ranks(ranks, *words, **self.env) if ranks > 1 else run_program(*words, **self.env)

    def train_on_copy(self, *more: object, ranks: int = 1) -> None:
        """What streaming is compared with: `copied`; the copy of the data is gone afterwards."""
        done = self.train("copy", "copied", *more, ranks=ranks)
        assert done.code == 0, done.err + done.out
        shutil.rmtree(self.folder / "cache/data")

    def start(
        self, stage: str = "stream", output: str = "streamed", *more: object, **env: str
    ) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, *self.words(stage, output, *more)],
            cwd=ROOT,
            env=environment(**{**self.env, **env}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def weights(self, output: str) -> dict[str, np.ndarray]:
        from mindlift.runs import checkpoint

        files = (self.folder / output).glob("*/checkpoints/*.ckpt")
        file = max(files, key=lambda path: [int(part) for part in path.stem.rpartition("-")[2].split("_")])
        return {name: value.asnumpy() for name, value in checkpoint.read(file).items()}

    def asked(self) -> list[str]:
        """The images that were asked for, in their order."""
        paths = [
            request.target.partition("?")[0] for request in self.proxy.requests if request.method == "GET"
        ]
        return [path.rpartition("photos/")[2] for path in paths if path.endswith(".png")]


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(other[name], value, err_msg=name)
