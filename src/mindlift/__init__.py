"""Vision models with MindSpore, trained here or as jobs of ModelArts and OpenI.

    import mindlift

    cfg = mindlift.load_config(net="densenet22", dataset="digits", max_epoch=2, run_eval=True)
    result = mindlift.train(cfg)
    mindlift.evaluate(mindlift.load_config(program="eval", pretrained=result.run))
    mindlift.predict("digit.png", mindlift.load_config(program="predict", pretrained=result.run))
    mindlift.create_model("resnet50", features_only=True)

docs/python.md shows all of it. Importing mindlift imports nothing else: a name brings its module when it is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.2.0"

if TYPE_CHECKING:
    from mindlift.api.networks import create_model, list_models
    from mindlift.api.options import load_config
    from mindlift.api.prediction import features, predict
    from mindlift.api.training import evaluate, train
    from mindlift.errors import MindLiftError
    from mindlift.inference.features import Features
    from mindlift.model_utils.config.frozen import Config
    from mindlift.tasks.prediction_files import Prediction
    from mindlift.training.run import Result

# name -> its module
PLACES = {
    "create_model": "api.networks",
    "list_models": "api.networks",
    "load_config": "api.options",
    "train": "api.training",
    "evaluate": "api.training",
    "predict": "api.prediction",
    "features": "api.prediction",
    "MindLiftError": "errors",
    "Config": "model_utils.config.frozen",
    "Features": "inference.features",
    "Prediction": "tasks.prediction_files",
    "Result": "training.run",
}
__all__ = [
    "Config",
    "Features",
    "MindLiftError",
    "Prediction",
    "Result",
    "__version__",
    "create_model",
    "evaluate",
    "features",
    "list_models",
    "load_config",
    "predict",
    "train",
]


def __getattr__(name: str) -> object:
    if name not in PLACES:
        raise AttributeError(f"module 'mindlift' has no attribute {name!r}")
    return getattr(importlib.import_module(f"mindlift.{PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *PLACES})
