"""Which MindSpore is there, and what goes with it: read from files, before anything is imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mindlift.errors import DeviceError
from mindlift.model_utils import devices, mindspore_build
from tests.support.programs import ROOT

OLD_VISION = (
    "Inter.ANTIALIAS: Image.ANTIALIAS,\n"  # mindspore 2.0.0, dataset/vision/py_transforms.py, line 52
)


@pytest.fixture
def build(tmp_path, monkeypatch):
    """A folder `mindspore` that is first on sys.path, of any version."""

    def make(version: str, vision: str = "", body: str = "") -> None:
        folder = tmp_path / "mindspore"
        (folder / "dataset" / "vision").mkdir(parents=True)
        (folder / "__init__.py").write_text(body)
        (folder / "version.py").write_text(f"__version__ = '{version}'\n")
        (folder / "dataset" / "vision" / "py_transforms.py").write_text(vision)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "mindspore", raising=False)

    return make


@pytest.mark.parametrize("version", ["2.0.0", "2.5.0.dev20250119", "2.10.0rc1"])
def test_the_version_is_the_folders_whatever_the_distribution_is_called(build, version):
    build(version)
    assert mindspore_build.installed_version() == version


# (2.0.0 with NumPy 2 or Pillow 10, 2.8.0 with NumPy 2: what their wheels' metadata and sources on PyPI say)
@pytest.mark.parametrize(
    ("version", "numpy", "pillow", "says"),
    [
        (
            "1.10.1",
            "1.21.6",
            "9.5.0",
            "MindSpore 1.10.1 is older than what this project runs with (2.0 to 2.10)",
        ),
        ("2.11.0", "1.26.4", "11.0.0", "MindSpore 2.11.0 is newer than"),
        ("2.8.0", "2.1.0", "11.0.0", "NumPy 2.1.0 is installed: pip install 'numpy<2'"),
        ("2.0.0", "1.26.4", "10.0.0", "Pillow 10.0.0 is installed: pip install 'pillow<10'"),
        ("2.0.0", "1.26.4", "9.5.0", ""),
        ("2.10.0", "1.26.4", "12.0.0", ""),
        ("", "2.1.0", "12.0.0", ""),
    ],
)
def test_what_does_not_go_together(build, version, numpy, pillow, says):
    build(version or "0", OLD_VISION if version == "2.0.0" else "")
    found = mindspore_build.problem(version, numpy, pillow)
    assert says in found
    assert bool(says) == bool(found)
    assert "\n" not in found


def test_any_mindspore_makes_a_warning_of_it(build, capsys):
    build("1.9.0")
    with pytest.raises(DeviceError, match="older than .* or pass --any_mindspore true"):
        mindspore_build.check(any_version=False)
    mindspore_build.check(any_version=True)
    assert capsys.readouterr().err.startswith("warning: MindSpore 1.9.0 is older")


@pytest.mark.parametrize(
    ("version", "size", "device", "refused"),
    [
        ("2.0.0", 2, "CPU", True),
        ("2.0.0", 1, "CPU", False),
        ("2.0.0", 8, "Ascend", False),  # a rank table
        ("2.5.0.dev20250119", 2, "CPU", False),
    ],
)
def test_processes_that_do_not_find_each_other(build, version, size, device, refused):
    build(version)
    problem = mindspore_build.ranks_problem(version, size, devices.of(device))
    assert ("takes no rank from MS_NODE_ID; start one process" in problem) == refused


@pytest.mark.parametrize(
    "body",
    [
        "raise AttributeError(\"module 'PIL.Image' has no attribute 'ANTIALIAS'\")",
        "raise ImportError('libge_runner.so: cannot open shared object file')",
        "import a_package_that_is_missing",
    ],
)
def test_an_import_that_fails_is_one_line(build, body):
    build("2.0.0", body=body)
    with pytest.raises(DeviceError) as info:
        mindspore_build.load()
    assert str(info.value).startswith("MindSpore 2.0.0 can't be imported with Python")
    assert "\n" not in str(info.value)


@pytest.mark.parametrize("program", ["train.py", "eval.py", "export.py", "predict.py"])
def test_every_program_says_that_mindspore_is_too_old(build, tmp_path, program):
    build("1.7.0")
    words = ["--net", "densenet22", "--dataset", "digits"]
    words += [str(tmp_path)] if program == "predict.py" else []
    done = subprocess.run(
        [sys.executable, str(ROOT / program), *words],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "error: MindSpore 1.7.0 is older than what this project runs with (2.0 to 2.10);"
    )
    assert len(done.stderr.splitlines()) == 1
