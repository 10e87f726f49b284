"""AutoAugment, RandAugment, AugMix and TrivialAugment by name: `of` gives what options.auto_augment asks for."""

from __future__ import annotations

from PIL import Image

from mindlift.data.classification.options import ClassificationOptions, statistics
from mindlift.data.classification.policies.operations import Look
from mindlift.data.classification.policies.policy import Policy
from mindlift.data.classification.policies.text import parsed


def of(options: ClassificationOptions) -> Policy | None:
    """None where no policy is named. As in timm, pixels from outside the image have the mean of the normalisation."""
    if not options.auto_augment:
        return None
    red, green, blue = (min(255, round(value)) for value in statistics(options)[0])
    is_bicubic = options.interpolation == "bicubic"
    resample = Image.Resampling.BICUBIC if is_bicubic else Image.Resampling.BILINEAR
    return parsed(options.auto_augment, Look((red, green, blue), resample))
