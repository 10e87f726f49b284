"""Adding what an image lacks: a real pip in a real virtual environment, with wheels that the test makes."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile

import pytest

from mindlift.model_utils import packages
from tests.support.programs import ROOT

INSTALL = "import sys, pathlib; from mindlift.model_utils import packages; packages.install(sys.argv[2:], pathlib.Path(sys.argv[1]))"


def wheel(folder, name, version, *needs):
    """A pure Python distribution (PEP 427: WHEEL, METADATA and RECORD in a zip file)."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {need}\n" for need in needs)
    tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}/__init__.py", f"VERSION = '{version}'\n")
        file.writestr(f"{info}/METADATA", metadata)
        file.writestr(f"{info}/WHEEL", tags)
        file.writestr(f"{info}/RECORD", "")


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """A virtual environment as an image brings it, with `matrices` 1.4, and wheels to choose from."""
    folder = tmp_path_factory.mktemp("image")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    python, wheels = folder / "venv" / "bin" / "python", folder / "wheels"
    wheels.mkdir()
    for version in ("1.4", "2.0"):
        wheel(wheels, "matrices", version)
    pip = [str(python), "-m", "pip", "install", "-q", "--no-index", "--find-links", str(wheels)]
    subprocess.run([*pip, "matrices==1.4"], check=True)
    wheel(wheels, "photos", "3.0", "matrices>=2")  # what pip would take, and move matrices for it
    wheel(wheels, "photos", "2.5", "matrices>=1", "labels")
    wheel(wheels, "labels", "0.1")
    wheel(wheels, "films", "1.0", "matrices>=2")
    return python, wheels


def install(image, *names):
    python, wheels = image
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "src"),
        "PIP_INDEX_URL": "http://127.0.0.1:9/",
        "PIP_RETRIES": "0",
    }
    return subprocess.run(
        [str(python), "-c", INSTALL, str(wheels), *names],
        capture_output=True,
        text=True,
        env=env,
        check=False,
    )


def versions(image):
    done = subprocess.run(
        [str(image[0]), "-m", "pip", "list", "--format=freeze"], capture_output=True, text=True, check=True
    )
    return dict(
        line.split("==") for line in done.stdout.split() if line.split("==")[0] not in ("pip", "setuptools")
    )


def test_what_is_missing_is_added_in_a_version_that_fits(image):
    done = install(image, "photos")
    assert done.returncode == 0, done.stderr
    assert "installed photos, which this image lacks" in done.stdout
    assert versions(image) == {"matrices": "1.4", "photos": "2.5", "labels": "0.1"}


def test_what_would_move_the_image_is_refused_in_one_line(image):
    before = versions(image)
    done = install(image, "films")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "this image lacks films, and pip can't add them without moving what is there" in last
    assert versions(image) == before


def test_nothing_is_installed_outside_a_cloud_job(monkeypatch):
    monkeypatch.setattr(packages, "install", lambda names: pytest.fail(f"installs {names}"))
    packages.ensure(["a-package-that-is-missing"], env={})
    packages.ensure(["numpy"], env={"MA_JOB_DIR": "/home/ma-user/modelarts/user-job-dir"})


def test_a_job_installs_what_is_missing_and_only_that(monkeypatch):
    asked = []
    monkeypatch.setattr(packages, "install", asked.append)
    packages.ensure(
        ["numpy", "a-package-that-is-missing"], env={"MA_JOB_DIR": "/home/ma-user/modelarts/user-job-dir"}
    )
    assert asked == [["a-package-that-is-missing"]]


def test_one_process_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(packages.tempfile, "tempdir", str(tmp_path))
    code = "from mindlift.model_utils import packages\nwith packages.only_process(): print('in', flush=True); input()"
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(tmp_path)}
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], env=env, stdin=pipe, stdout=pipe, text=True) as first:
        assert first.stdout.readline() == "in\n"
        descriptor = os.open(next(tmp_path.glob("*.lock")), os.O_RDWR)
        assert not packages.locked(descriptor)
        first.kill()
        first.wait()
        assert packages.locked(descriptor)  # a lock dies with its holder
        os.close(descriptor)


@pytest.mark.parametrize("is_link", [False, True])
def test_a_lock_that_somebody_put_there_is_one_line(tmp_path, monkeypatch, is_link):
    monkeypatch.setattr(packages.tempfile, "tempdir", str(tmp_path))
    path, victim = tmp_path / f"mindlift-packages-{os.getuid()}.lock", tmp_path / "victim"
    path.symlink_to(victim) if is_link else path.mkdir()
    with pytest.raises(
        packages.PackageError, match="can't lock .*; remove it, or set TMPDIR"
    ), packages.only_process():
        pytest.fail("there is no lock")
    assert not victim.exists()


def test_each_requirement_is_imported_by_the_name_that_is_looked_for():
    needed, optional = packages.read()
    assert "boto3" in needed
    assert packages.missing([*needed, *optional]) == []


@pytest.mark.parametrize(
    ("arguments", "packages_needed"),
    [
        ((False, False, ("", ""), False, ("resnet50", "")), []),
        ((True, True, ("", ""), False, ("resnet50", "")), ["opencv-python-headless<5", "scikit-learn"]),
        (
            (False, False, ("obs://b/resnet50.safetensors",), True, ("resnet50",)),
            ["safetensors", "tensorboardX"],
        ),
        ((False, False, ("", "teacher.safetensors"), False, ("resnet50",)), ["safetensors"]),
    ],
)
def test_what_options_need(arguments, packages_needed):
    assert packages.for_options(*arguments) == packages_needed
    assert set(packages_needed) <= set(packages.read()[1])


def test_a_network_of_mindcv_needs_mindcv():
    vit = "mindcv.models.vit:VisionTransformer"
    for nets in (("mindcv:resnet18", ""), ("resnet50", "mindcv:resnet18"), (vit, "")):
        assert packages.for_options(False, False, (), False, nets) == ["mindcv"]
    assert packages.for_options(False, False, (), False, ("mindcv_like.nets:small", "")) == []
