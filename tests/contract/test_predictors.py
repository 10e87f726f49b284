"""One contract for all predictors: see mindlift.tasks.predictor.Predictor. The networks are functions of mean colours."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from PIL import Image as Picture

from mindlift.data import image_folder
from mindlift.model_utils.config.frozen import Config
from mindlift.model_utils.named_images import Image
from mindlift.runs.log import RunLog
from mindlift.tasks import base as tasks
from mindlift.tasks import predictor as predictors
from mindlift.tasks.prediction_files import Prediction
from tests.contract import rigs
from tests.contract.rigs import Rig

ROTATED = 6  # EXIF: the camera was held upright
NAMES = {task: name for name, task in tasks.TASKS.items()}


def classes_of_images(pixels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return pixels.mean((2, 3)) @ weights


def classes_of_pixels(pixels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.einsum("nchw,ck->nkhw", pixels, weights)


LOGITS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "classification": classes_of_images,
    "multilabel": classes_of_images,
    "segmentation": classes_of_pixels,
}


@pytest.fixture(scope="module", params=predictors.PREDICTORS, ids=NAMES.__getitem__)
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    name = NAMES[request.param]
    return rigs.make(name, tmp_path_factory.mktemp(name))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Image]:
    """Five images of different sizes and forms; the third is none, the fourth has an EXIF rotation."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    found = []
    for number, (suffix, size) in enumerate((("png", (40, 50)), ("jpg", (90, 30)), ("jpg", (1, 1)))):
        path = folder / f"{number}.{suffix}"
        Picture.fromarray(rng.integers(0, 256, (*size, 3)).astype(np.uint8)).save(path)
        found.append(path)
    found[2].write_bytes(b"no image")
    exif = Picture.Exif()
    exif[0x0112] = ROTATED
    rotated = folder / "3.jpg"
    Picture.fromarray(rng.integers(0, 256, (20, 60, 3)).astype(np.uint8)).save(rotated, exif=exif)
    grey = folder / "4.png"
    Picture.fromarray(rng.integers(0, 256, (33, 33)).astype(np.uint8)).save(grey)
    return [Image(path.name, path) for path in (*found, rotated, grey)]


@pytest.fixture
def log() -> Iterator[RunLog]:
    with RunLog(None, 0, False) as opened:
        yield opened


def network_of(rig: Rig, cfg: Config) -> Callable[[ms.Tensor], ms.Tensor]:
    weights = np.random.default_rng(1).normal(size=(3, cfg.num_classes)).astype(np.float32)
    return lambda pixels: ms.Tensor(LOGITS[rig.name](pixels.asnumpy(), weights))


def class_names(cfg: Config) -> list[str]:
    return [f"class {number}" for number in range(cfg.num_classes)]


def predictions(
    rig: Rig, cfg: Config, images: Sequence[Image], workers: int = 2
) -> tuple[list[Prediction], int]:
    """One of each image, and how many of these were rotated."""
    predictor = predictors.of(cfg)
    pictures = predictor.opened(cfg, images, workers)
    found = list(predictor.predictions(cfg, network_of(rig, cfg), images, class_names(cfg), pictures))
    return found, pictures.rotated


def test_it_is_found_by_its_networks(rig):
    assert predictors.PREDICTORS[rig.task] is predictors.of(rig.cfg())


def test_each_image_has_one_prediction_in_order(rig, images):
    found, rotated = predictions(rig, rig.cfg(), images)
    assert [(each.name, each.path) for each in found] == images
    assert [bool(each.error) for each in found] == [False, False, True, False, False]
    assert found[2].error == "not an image of a known format"
    assert found[2].top == []
    assert rotated == 1


def test_threads_that_read_at_once_count_every_rotation(rig, images, monkeypatch):
    """Each thread is inside the question when the other one asks: a sum of one thread must not undo the other's."""
    met, found = threading.Barrier(2), image_folder.is_rotated

    def asked_by_both(data: bytes) -> bool:
        met.wait(timeout=30)
        return found(data)

    monkeypatch.setattr(image_folder, "is_rotated", asked_by_both)
    plain, rotated = images[0], images[3]
    for pair in ([rotated, rotated], [plain, rotated], [rotated, plain]):
        assert predictions(rig, rig.cfg(), pair)[1] == pair.count(rotated)


def test_shares_are_of_all_classes_and_sorted(rig, images):
    cfg = rig.cfg()
    names = class_names(cfg)
    all_of_them = {"classification": {"top_k": cfg.num_classes}, "multilabel": {"threshold": 0}}
    cfg = cfg.replace(**all_of_them.get(rig.name, {}))
    for each in predictions(rig, cfg, images)[0]:
        shares = [one.share for one in each.top]
        assert shares == sorted(shares, reverse=True)
        assert each.error or rig.name == "multilabel" or sum(shares) == pytest.approx(1)
        assert all(0 <= share <= 1 for share in shares)
        assert all(one.name == names[one.number] for one in each.top)
        assert len({one.number for one in each.top}) == len(each.top)


def test_an_image_is_predicted_alike_in_every_batch(rig, images):
    whole = [
        [each.top for each in predictions(rig, rig.cfg().replace(per_batch_size=batch), images, workers)[0]]
        for batch, workers in ((1, 1), (2, 2), (5, 2), (8, 1))
    ]
    for one, other in zip(whole, whole[1:]):
        assert [[(c.number, round(c.share, 5)) for c in top] for top in one] == [
            [(c.number, round(c.share, 5)) for c in top] for top in other
        ]


def test_nothing_is_read_ahead_of_all_bounds(rig, images):
    """Predictions are computed as they are asked for, and stopping early ends the threads."""
    cfg = rig.cfg().replace(per_batch_size=1)
    predictor = predictors.of(cfg)
    many = images * 100  # MindSpore's queues hold up to 16 images each
    pictures = predictor.opened(cfg, many, 2)
    source = predictor.predictions(cfg, network_of(rig, cfg), many, class_names(cfg), pictures)
    assert next(source).name == images[0].name
    assert len(pictures.failed) < 100
    source.close()


def test_batches_and_words_are_the_tasks_own(rig, images):
    predictor = predictors.of(rig.cfg())
    assert predictor.max_batch_size(rig.cfg()) >= 1
    assert predictor.MEASURE
    predictor.check(rig.cfg(), images)


def test_a_contact_sheet_shows_them(rig, images, log, tmp_path):
    sheet: Path = tmp_path / "sheet.png"
    job = rig.job(log)
    cfg = job.cfg.replace(contact_sheet=str(sheet))
    predictor = predictors.of(cfg)
    assert predictor.writers(job, images, class_names(cfg)) == []
    (writer,) = predictor.writers(type(job)(cfg, job.ranks, job.device, 2, log), images, class_names(cfg))
    with writer:
        for each in predictions(rig, cfg, images)[0]:
            writer.add(each)
        assert not sheet.exists(), "it is written at the end"
    with Picture.open(sheet) as picture:
        assert picture.width > 200
