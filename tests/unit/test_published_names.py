"""Weights by name: what a name may be, and what is said of one that means nothing."""

from __future__ import annotations

import pytest

from mindlift.cli.main import main
from mindlift.errors import ConfigError
from mindlift.models.weights import published


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("timm:vit_base_patch16_224", "near are timm:resnet50, timm:resnet101"),
        ("timm:resnet50.a1", "timm:resnet50.a1_in1k"),
        ("torchvision:resnet18", "near are torchvision:resnet50"),
        ("google:BiT-M-R101", "google:BiT-M-R101x1"),
        ("hf:resnet", "expected hf:owner/name"),
        ("hf:../../etc", "expected hf:owner/name"),
    ],
)
def test_a_name_that_means_nothing(name, says):
    with pytest.raises(ConfigError) as caught:
        published.lookup(name)
    assert name in str(caught.value)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_of_another_network_are_refused_before_they_are_fetched():
    published.check("timm:resnet50", "resnet50")
    published.check("timm:resnet50", "deeplab_v3_r50_s16")
    published.check("obs://bucket/any.ckpt", "resnet101")
    with pytest.raises(ConfigError, match="timm:resnet50 fits --net resnet50, .*, not resnet101"):
        published.check("timm:resnet50", "resnet101")


def test_every_network_of_the_table_is_one_of_this_project():
    from mindlift import models

    known = {net for nets in models.networks().values() for net in nets}
    named = {net for each in published.table().values() for net in each.nets}
    assert {net for net in named if ":" not in net} <= known
    assert known - named == {
        "densenet22",
        "densenet100",
        "deeplab_v3_r26_s16",
        "deeplab_v3_r26_s8",
    }, "of nobody"


@pytest.mark.parametrize(
    ("words", "says"),
    [(["get"], "name what to fetch"), (["get", "x.pth"], "is no name"), (["zz*"], "is like zz*")],
)
def test_mistakes_on_the_command_line(words, says, capsys):
    assert main(["weights", *words]) == 2
    assert says in capsys.readouterr().err
