"""Wheels of another Python and processor, from the registry. Heavy, because it needs one and downloads 40 MB."""

from __future__ import annotations

import pytest

from mindlift.cloud.errors import JobError
from mindlift.cloud.prepare import images, wheels
from mindlift.cloud.prepare.package import Package
from mindlift.model_utils import packages
from mindlift.model_utils.packages import name_of

pytestmark = pytest.mark.heavy
# names of preset images, as images.yaml has their pages
IMAGES = [
    "mindspore_2.0.0-cann_6.3.0-py_3.7-euler_2.8.3-aarch64",
    "mindspore_2.3.0-cann_8.0.rc1-py_3.9-euler_2.10.7-aarch64-snt9b",
    "mindspore_2.7.1-cann_8.3.rc1-py_3.11-hce_2.0.2509-aarch64-snt9b",
]


@pytest.mark.parametrize("name", IMAGES)
def test_every_package_has_wheels_for_aarch64(name, tmp_path):
    """The tags of the files that the registry offers, for the image's Python; numpy and scipy included."""
    image = images.find(name, env={})
    needed, optional = packages.read()
    pins = wheels.resolved(image, [*needed, *optional])
    assert {name_of(pin).lower() for pin in pins} >= {name_of(each).lower() for each in [*needed, *optional]}


@pytest.mark.parametrize("name", IMAGES[:1])
def test_the_wheels_are_those_of_the_image(name):
    image = images.find(name, env={})
    package = wheels.add(Package("r", False, {"train.py": b""}), image, packages.read()[0])
    names = sorted(file.partition("/")[2] for file in package.files if file.startswith("wheels/"))
    assert {name.partition("-")[0].lower() for name in names} >= {
        "boto3",
        "botocore",
        "pyyaml",
        "tqdm",
        "urllib3",
    }
    assert not [name for name in names if name.startswith(("numpy", "scipy", "pillow", "Pillow"))]
    assert all(name.endswith("-any.whl") or ("cp37" in name and "aarch64" in name) for name in names)
    # what only Python below 3.8 needs: the versions are chosen for the image and not for this computer
    assert any(name.startswith("importlib_metadata") for name in names)


def test_an_image_that_is_not_known(tmp_path):
    with pytest.raises(JobError, match="add it to images.yaml"):
        wheels.add(Package("r", False, {}), None, ["boto3"])
