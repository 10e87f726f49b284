"""Losses by name, against torch, torchvision and timm (tests/golden/losses), and what does not go with them."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import mindspore as ms
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from mindlift.data.classification import class_weights
from mindlift.errors import ConfigError, DataError
from mindlift.model_utils.config import config
from mindlift.tasks import base as tasks
from mindlift.tasks.classification import task as classify
from mindlift.tasks.classification.objective import SmoothedCrossEntropy
from mindlift.tasks.multilabel import task as multilabel
from mindlift.training import loss_rules
from tests.support.programs import ROOT

GOLDEN = json.loads((ROOT / "tests/golden/losses/losses.json").read_text(encoding="utf-8"))
INPUTS = {name: np.array(values) for name, values in GOLDEN["inputs"].items()}
RECIPE = str(ROOT / "src/mindlift/models/densenet/recipes/densenet22_digits.yaml")


def load(*words: str, **options: str) -> config.Config:
    given = [word for name, value in options.items() for word in (f"--{name}", value)]
    return config.load(["--config_path", RECIPE, *words, *given])


def labelled(is_many: bool) -> dict[str, str]:
    return {"num_classes": "5", **({"dataset": "multilabel"} if is_many else {})}


def loss_of(cfg: config.Config) -> ms.nn.Cell:
    weights = {"class_weights": class_weights.given(cfg), "bce_pos_weight": class_weights.pos_weight(cfg)}
    data = replace(classify.options(cfg, 1), **weights)
    return (multilabel if cfg.dataset == "multilabel" else classify).loss_of(cfg, data)


@pytest.mark.parametrize("name", GOLDEN["cases"])
def test_value_and_gradient_are_those_of_the_library_that_is_named(name):
    """Also at logits of 0, where a head of zeros starts, and where an answer is sure."""
    case = GOLDEN["cases"][name]
    mixup = {"mixup_alpha": "0.5"} if case["mixed"] else {}
    cfg = load(**labelled(case["many"]), **case["options"], **mixup)
    loss_rules.check(cfg)
    loss = loss_of(cfg)
    labels = INPUTS["many"].astype(np.uint8) if case["many"] else INPUTS["labels"].astype(np.int32)
    arrays = [labels]
    if case["mixed"]:
        arrays += [INPUTS["partner"].astype(np.int32), INPUTS["share"].astype(np.float32)]
    logits = ms.Tensor(INPUTS["logits"], ms.float32)
    value, gradient = ms.value_and_grad(loss, 0)(logits, *map(ms.Tensor, arrays))
    np.testing.assert_allclose(float(value), case["value"], rtol=2e-6)
    np.testing.assert_allclose(gradient.asnumpy(), case["gradient"], rtol=1e-4, atol=2e-7)


def test_the_usual_cross_entropy_stays_what_it_is():
    """Runs of earlier versions continue with the graph that they began with."""
    assert type(loss_of(load())) is type(loss_of(load(loss="CE"))) is SmoothedCrossEntropy


def test_balanced_weights_are_scikit_learns():
    labels = np.repeat(np.arange(4), (50, 3, 20, 7)).astype(np.int32)
    found = class_weights.of_training(load(num_classes="4", class_weights="balanced"), labels)
    expected = compute_class_weight("balanced", classes=np.arange(4), y=labels)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_balanced_weights_of_classes_that_have_images():
    labels = np.array([0, 0, 0, 2], np.int32)
    found = class_weights.of_training(load(num_classes="4", class_weights="balanced"), labels)
    expected = compute_class_weight("balanced", classes=np.array([0, 2]), y=labels)
    assert found == (expected[0], 0.0, expected[1], 0.0)


def test_balanced_weights_are_1_on_average():
    """So that the learning rate keeps its meaning."""
    labels = np.repeat(np.arange(3), (90, 5, 15)).astype(np.int32)
    weights = np.array(class_weights.of_training(load(num_classes="3", class_weights="balanced"), labels))
    assert weights[labels].mean() == pytest.approx(1)


def test_balanced_weights_of_what_is_there_are_pytorchs():
    """Of BCEWithLogitsLoss's page: 100 images with a class and 300 without make a pos_weight of 3."""
    labels = np.zeros((400, 3), np.uint8)
    labels[:100, 0], labels[::2, 1] = 1, 1
    cfg = load(dataset="multilabel", num_classes="3", bce_pos_weight="balanced")
    assert class_weights.of_what_is_there(cfg, labels) == (3.0, 1.0, 1.0)
    single = load(num_classes="3", loss="bce", bce_pos_weight="balanced")
    assert class_weights.of_what_is_there(single, np.repeat([0, 2], [100, 300]).astype(np.int32)) == (
        3.0,
        1.0,
        1 / 3,
    )


def test_what_every_image_has_can_not_be_balanced():
    labels = np.array([[1, 0], [1, 1]], np.uint8)
    cfg = load(dataset="multilabel", num_classes="2", bce_pos_weight="balanced")
    with pytest.raises(DataError, match="all 2 images have class cat, so that nothing tells what it is"):
        class_weights.of_what_is_there(cfg, labels, ["cat", "dog"])


def test_equal_answers_to_all_views_diverge_by_nothing():
    """Then the loss is the cross entropy of the clean views."""
    cfg = load(num_classes="5", loss="jsd", aug_splits="3")
    logits = np.tile(INPUTS["logits"][:2], (3, 1)).astype(np.float32)
    labels = np.tile(INPUTS["labels"][:2], 3).astype(np.int32)
    found = float(loss_of(cfg)(ms.Tensor(logits), ms.Tensor(labels)))
    alone = float(SmoothedCrossEntropy(5)(ms.Tensor(logits[:2]), ms.Tensor(labels[:2])))
    assert found == pytest.approx(alone, rel=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "huber"}, "choose one of auto, cross_entropy, bce, focal, asl, jsd"),
        ({"loss": "jsd"}, "--loss jsd compares several views .* --aug_splits is 1; pass --aug_splits 3"),
        ({"jsd_alpha": "3"}, "--jsd_alpha 3.0 has no effect on --loss cross_entropy"),
        ({"loss": "jsd", "aug_splits": "3", "class_weights": "balanced"}, "has no place in --loss jsd"),
        ({"dataset": "multilabel", "loss": "jsd"}, "--loss jsd is for images of one class"),
        ({"bce_pos_weight": "2"}, "--bce_pos_weight 2 has no effect on --loss cross_entropy"),
        (
            {"loss": "bce", "bce_pos_weight": "1,2"},
            "expected balanced, one number from 0 on, or one for each of the 5",
        ),
        ({"loss": "bce", "bce_pos_weight": "-1"}, "expected balanced, one number"),
        ({"focal_gamma": "3"}, "--focal_gamma 3.0 has no effect on --loss cross_entropy"),
        ({"loss": "focal", "bce_sum": "true"}, "--bce_sum True has no effect on --loss focal"),
        ({"loss": "asl", "asl_clip": "0.1"}, "--asl_clip 0.1 has no effect on images of one class"),
        (
            {"class_weights": "1,2"},
            "--class_weights 1,2: expected balanced, or a number from 0 on for each of the 5",
        ),
        ({"class_weights": "1,2,3,4,-1"}, "expected balanced"),
        ({"class_weights": "0,0,0,0,0"}, "expected balanced"),
        ({"class_weights": "1,2,nan,4,5"}, "expected balanced"),
        ({"class_weights": "even"}, "expected balanced"),
        ({"dataset": "multilabel", "loss": "CE"}, "--loss cross_entropy is for images of one class"),
        (
            {"dataset": "multilabel", "class_weights": "balanced"},
            "--class_weights balanced is for images of one class",
        ),
    ],
)
def test_what_does_not_go_together_is_said_in_a_line(options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        loss_rules.check(load(num_classes="5", **options))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("loss", ["bce", "focal", "asl"])
def test_segmentation_has_its_own_loss(loss):
    recipe = ROOT / "src/mindlift/models/deeplab_v3/recipes/deeplab_v3_r26_s16_vocdigits.yaml"
    cfg = config.load(["--config_path", str(recipe), "--loss", loss])
    with pytest.raises(ConfigError, match=f"--loss {loss} .* has no effect on segmentation"):
        tasks.of(cfg)


@pytest.mark.parametrize("is_many", [False, True])
@pytest.mark.parametrize("options", [{"loss": "bce"}, {"loss": "bce", "bce_sum": "1"}, {"loss": "asl"}])
def test_the_loss_of_guessing_bounds_that_of_logits_of_0(is_many, options):
    """What knows nothing diverges from nothing: the first loss is no higher."""
    cfg = load(**labelled(is_many), **options)
    labels = INPUTS["many"].astype(np.uint8) if is_many else INPUTS["labels"].astype(np.int32)
    found = float(loss_of(cfg)(ms.Tensor(np.zeros((6, 5), np.float32)), ms.Tensor(labels)))
    assert found <= tasks.of(cfg).loss_of_guessing(cfg) * (1 + 1e-5)
    if options["loss"] == "bce":
        assert found == pytest.approx(math.log(2) * (5 if cfg.bce_sum or is_many else 1))
