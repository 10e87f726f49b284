"""What images show, and their features, as `predict.py` and `mindlift features` find them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Union

from mindlift.api import inference_job
from mindlift.api.options import load_config
from mindlift.model_utils.config.frozen import Config
from mindlift.refused_paths import naming_refused_paths

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    from mindlift.api.job import Job
    from mindlift.inference.features import Features
    from mindlift.model_utils import named_images
    from mindlift.tasks.prediction_files import Prediction

    Picture = Union[str, Path, Image, np.ndarray]


@naming_refused_paths()
def predict(images: Picture | Sequence[Picture], cfg: Config | None = None) -> list[Prediction]:
    """What is on each image, in order, as `predict.py` says it.

    Images are paths and URLs, of files or of folders with all that is below them, Pillow images, or arrays (H, W, 3) or
    (H, W) of uint8, which are RGB or grey; one of them or several. `cfg` is of `load_config(program="predict",
    pretrained=...)`, or has `model_file` for an exported model; None takes the newest checkpoint below output/.

    A Prediction has `name` and `path` of the image (`image 3` is the fourth one, of those from memory), `top`, the classes
    by their `share`, with `number` and `name`: to classify the `top_k` of the largest probability, of several labels those
    of at least `threshold` (none, maybe), to segment those
    there are by their share of the pixels; and to segment `segments.label`, the class of each pixel, (H, W) uint8. Of an
    image that can't be read, `error` says why, and `top` is empty; no error is raised for it.

    Raises DataError for a path that is not there or an array of another shape, ConfigError, or CheckpointError.

    >>> cfg = load_config(program="predict", pretrained=result.run, top_k=1)  # doctest: +SKIP
    >>> predict("digit.png", cfg)[0].top  # doctest: +SKIP
    [Class(number=7, name='7', share=0.998)]
    """
    cfg = load_config(program="predict") if cfg is None else cfg
    here = inference_job.start(cfg, "predict.py")
    with ExitStack() as stack:
        found = named(images, cfg, stack)
        names = inference_job.class_names(cfg)
        checkpoint = None if cfg.model_file else here.weights().files[0]
        device = here.connect()
        from mindlift.inference import predict as predictor
        from mindlift.runs.log import RunLog

        with RunLog(None, 0, cfg.progress) as log:
            opened = predictor.opened(here.context(log, device), found, checkpoint)
            return [without_copy(each) for each in opened.predictions(names)]


@naming_refused_paths()
def features(images: Picture | Sequence[Picture], cfg: Config | None = None) -> Features:
    """Pooled features of images, as `mindlift features` writes them: what the classifier of the network sees.

    Images are what `predict` takes; `cfg` is of `load_config(program="features", pretrained=...)`. `values` of the result
    are (N, C) float32, a row for each of `names` in the order of the images: the means over height and width of the last
    feature map, or of that which `feature_stage` chooses. Images that can't be read have no row; `failed` has them by name
    with the reason.

    Raises what `predict` raises, and ConfigError for a network that segments.

    >>> features("photos/", load_config(program="features", pretrained="run/")).values.shape  # doctest: +SKIP
    (200, 2048)
    """
    cfg = load_config(program="features") if cfg is None else cfg
    here = inference_job.start(cfg, "mindlift features")
    with ExitStack() as stack:
        return features_of(here, named(images, cfg, stack))


def features_of(here: Job, images: Sequence[named_images.Image]) -> Features:
    """The same for a job that has been started and for images that have been found."""
    checkpoint = here.weights().files[0]
    device = here.connect()
    from mindlift.inference import features as pooled
    from mindlift.runs.log import RunLog

    with RunLog(None, 0, here.cfg.progress) as log:
        return pooled.run(here.context(log, device), images, checkpoint)


def named(images: Picture | Sequence[Picture], cfg: Config, stack: ExitStack) -> Sequence[named_images.Image]:
    """The images by name, those from memory written without loss to a folder that goes with `stack`."""
    from mindlift.api import memory_images

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mindlift-")))
    return memory_images.named(images, folder, lambda words: inference_job.images(cfg, words, stack))


def without_copy(prediction: Prediction) -> Prediction:
    """Of an image from memory, whose copy is gone by then, the path is its name."""
    from mindlift.api.memory_images import NAME

    is_copy = NAME.fullmatch(prediction.name)
    return prediction._replace(path=Path(prediction.name)) if is_copy else prediction
