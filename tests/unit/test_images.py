"""What is inside an image, by its name. Names and lists are the ones that the pages in images.yaml publish."""

from __future__ import annotations

import pytest

from mindlift.cloud.errors import JobError
from mindlift.cloud.job import Job
from mindlift.cloud.prepare import images


# ModelArts' page on preset images (docker-modelarts_6030), the list of engines of its API (engine_version of
# Ascend-Powered-Engine), and the image of OpenI's BigTransfer job
@pytest.mark.parametrize(
    ("name", "mindspore", "python", "cann", "arch"),
    [
        (
            "mindspore_2.7.0rc1-cann_8.2.rc1-py_3.11-hce_2.0.2506-aarch64-snt9b",
            "2.7.0rc1",
            "3.11",
            "8.2.rc1",
            "aarch64",
        ),
        (
            "mindspore_2.3.0-cann_8.0.rc1-py_3.9-euler_2.10.7-aarch64-snt9b",
            "2.3.0",
            "3.9",
            "8.0.rc1",
            "aarch64",
        ),
        ("mindspore_2.4.0-cann_8.0.rc3-py_3.9-euler1.0-aarch64-snt9b", "2.4.0", "3.9", "8.0.rc3", "aarch64"),
        (
            "Ascend-Powered-Engine/mindspore_2.0.0-cann_6.3.0-py_3.7-euler_2.8.3-aarch64",
            "2.0.0",
            "3.7",
            "6.3.0",
            "aarch64",
        ),
        (
            "atelier/mindspore_2_0:mindspore_2.0.0-cuda_11.6-py_3.9-ubuntu_20.04-x86_64-20230822",
            "2.0.0",
            "3.9",
            "",
            "x86_64",
        ),
        ("mindspore_1.7.0-cpu-py_3.7-ubuntu_18.04-x86_64", "1.7.0", "3.7", "", "x86_64"),
        ("mindspore_1.10.0-cann_6.0.1-py_3.7-euler_2.8.3", "1.10.0", "3.7", "6.0.1", ""),
        ("MindSpore-1.7-c81-python3.7-euleros2.8-aarch64", "1.7", "3.7", "c81", "aarch64"),
    ],
)
def test_names_say_what_is_inside(name, mindspore, python, cann, arch):
    found = images.find(name, env={})
    assert (found.mindspore, found.python, found.cann, found.arch) == (mindspore, python, cann, arch)
    assert found.source


def test_what_a_page_lists_of_an_image_is_not_added():
    found = images.find(
        "atelier/mindspore_1_10_ascend:mindspore_1.10.0-cann_6.0.1-py_3.7-euler_2.8.3-aarch64-d910", env={}
    )
    assert found.installed["pillow"] == "9.3.0"
    assert images.added(found, ["boto3", "pillow", "pyyaml", "scikit-learn", "opencv-python-headless<5"]) == [
        "boto3",
        "opencv-python-headless<5",
    ]


def test_a_user_adds_images(tmp_path):
    table = tmp_path / "images.yaml"
    table.write_text(
        "naming: [{pattern: 'lab/vision:(?P<mindspore>[0-9.]+)-py(?P<python>[0-9.]+)'}]\n"
        "packages: [{image: 'lab/vision:2.5.0', installed: {boto3: 1.34.0}}]\n"
    )
    env = {"MINDLIFT_IMAGES": str(table)}
    found = images.find("lab/vision:2.5.0-py3.10", env)
    assert (str(found), dict(found.installed)) == ("MindSpore 2.5.0, Python 3.10", {"boto3": "1.34.0"})
    assert images.find("mindspore_1.7.0-cpu-py_3.7-ubuntu_18.04-x86_64", env).mindspore == "1.7.0"
    assert images.find("somebody/else:1.0", env) is None


@pytest.mark.parametrize(
    "text", ["naming: [{source: x}]", "naming: [lab]", "packages: [{image: x}]", "a: [b"]
)
def test_a_table_with_a_mistake_is_one_line(tmp_path, text):
    table = tmp_path / "images.yaml"
    table.write_text(text)
    with pytest.raises(JobError) as info:
        images.find("x", {"MINDLIFT_IMAGES": str(table)})
    assert str(table) in str(info.value)
    assert "\n" not in str(info.value)


@pytest.mark.parametrize(
    ("engine", "ok", "says"),
    [
        (
            "Ascend-Powered-Engine/mindspore_2.3.0-cann_8.0.rc1-py_3.9-euler_2.10.7-aarch64",
            True,
            "may lack boto3",
        ),
        (
            "Ascend-Powered-Engine/mindspore_1.7.0-cann_5.1.0-py_3.7-euler_2.8.3-aarch64",
            False,
            "is older than",
        ),
        ("Ascend-Powered-Engine/mindspore_9", None, "does not say what is inside"),
    ],
)
def test_plan_says_what_a_job_adds(engine, ok, says):
    found = images.check(Job(provider="modelarts", engine=engine, net="densenet121", dataset="imagenet"))
    assert (found.ok, says in found.says) == (ok, True)


def test_segmentation_needs_opencv_and_other_jobs_do_not():
    assert "opencv-python-headless<5" in images.wanted(Job(net="deeplab_v3_s16", dataset="voc"))
    assert "opencv-python-headless<5" not in images.wanted(Job(net="densenet121", dataset="imagenet"))
