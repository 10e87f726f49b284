"""The wheel of this checkout, installed without it, as a user's command from a folder of the user's own.

Needs PyPI: for the build backend, and for what the commands import.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mindlift import __version__
from tests.support.programs import ROOT, environment
from tests.support.pythons import find_python

OLDEST, NEWEST, WITH_MINDSPORE = (3, 8), (3, 14), (3, 11)
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
JOBS = {
    "local": {
        "provider": "local",
        "net": "densenet22",
        "dataset": "digits",
        "train_url": "obs://bucket/run/",
        "cards": 2,
    },
    "modelarts": {
        "provider": "modelarts",
        "region": "cn-north-4",
        "cards": 8,
        "flavor": "modelarts.kat1.8xlarge",
        "engine": "Ascend-Powered-Engine/mindspore_2.3.0",
        "train_url": "obs://bucket/run/",
        "data_url": "obs://bucket/data/",
        "net": "densenet121",
        "dataset": "imagenet",
    },
}
COMMANDS = {  # words: what the command prints
    "--version": f"mindlift {__version__}\n",
    "--help": "usage: mindlift COMMAND [options]",
    "plan --offline --config local.json": "ok      options: train.py takes them: densenet22 on digits",
    "plan --offline --config modelarts.json": "ok      flavor: modelarts.kat1.8xlarge: 1 x 8 cards",
    "recipes": "densenet100_cifar10 ",
    "providers": "modelarts    modelarts://region/project/job",
    "models": "densenet       densenet100 densenet121 densenet22\n",
    "datasets": "digits\n",
    "data --help": "usage: mindlift data COMMAND",
    "train --help": "--net",
}
SHIM = "import moxing as mox; assert mox.file.exists('/tmp'); import src.model_utils.config as c; print(c.__file__)"
CODE = """import json, pathlib
from mindlift.checkout import ROOT
from mindlift.cloud.prepare import package
found = package.collect(ROOT, "train.py", False)
for name, data in found.files.items():
    path = pathlib.Path("job", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
print(json.dumps([found.revision, found.is_dirty, sorted(found.files)]))
"""


def python_of(version: tuple[int, int]) -> str:
    return find_python("{}.{}".format(*version))


def oldest() -> str:
    return python_of(OLDEST) or pytest.skip(
        f"no Python {OLDEST[0]}.{OLDEST[1]}, the oldest that is supported"
    )


def newest() -> str:
    found = (python_of((3, minor)) for minor in range(NEWEST[1], OLDEST[1], -1))
    return next(filter(None, found), "") or pytest.skip("no Python newer than the oldest")


@dataclass
class Installed:
    """An environment with the wheel, and a folder from which a user starts its commands."""

    venv: Path
    folder: Path

    def run(self, *words: str, timeout: float = 60, **env: str) -> subprocess.CompletedProcess:
        """A program of the environment."""
        program = str(self.venv / "bin" / words[0])
        variables = environment(HOME=str(self.folder), XDG_CACHE_HOME=str(self.folder / "cache"), **env)
        if "PYTHONPATH" not in env:
            variables.pop("PYTHONPATH", None)
        return subprocess.run(
            [program, *words[1:]],
            cwd=self.folder,
            env=variables,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def out(self, *words: str, **more: str | float) -> str:
        done = self.run(*words, **more)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        return done.stdout

    @property
    def files(self) -> set[str]:
        """Of the installed package, without what Python compiles."""
        (package,) = self.venv.glob("lib/python*/site-packages/mindlift")
        found = (path.relative_to(package) for path in package.rglob("*") if path.is_file())
        return {path.as_posix() for path in found if "__pycache__" not in path.parts}


def install(python: str, place: Path, *what: str) -> Installed:
    place = place.resolve()
    subprocess.run([python, "-m", "venv", "--without-pip", str(place / "venv")], check=True)
    pip(place / "venv", "install", *what)
    folder = place / "strange"
    for name in ("src/model_utils/config.py", "cloud/submit.py", "compat/a.py", "mindlift/a.py", "config.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    for name, job in JOBS.items():
        (folder / f"{name}.json").write_text(json.dumps(job))
    return Installed(place / "venv", folder)


def pip(venv: Path, *words: str) -> None:
    done = subprocess.run(
        [*PIP, "--python", str(venv / "bin/python"), *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [*PIP, "wheel", "--no-deps", "-w", str(folder), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (found,) = folder.iterdir()
    return found


@pytest.fixture(scope="module", params=[oldest, newest], ids=["oldest", "newest"])
def user(request, wheel, tmp_path_factory) -> Installed:
    """On a computer that only submits jobs."""
    return install(request.param(), tmp_path_factory.mktemp("user"), "--no-deps", str(wheel), "pyyaml")


def test_what_is_in_the_wheel(wheel):
    tracked = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "src/mindlift"], capture_output=True, text=True, check=True
    )
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(f"mindlift-{__version__}.dist-info/METADATA").decode()
    assert {name[len("src/") :] for name in tracked.stdout.split()} <= set(names)
    beside = {name[len("mindlift/beside/") :] for name in names if name.startswith("mindlift/beside/")}
    assert {"default_config.yaml", "train.py", "cloud/submit.py", "compat/moxing/__init__.py"} <= beside
    assert f"mindlift-{__version__}.dist-info/licenses/LICENSE" in names
    assert [name for name in names if name.endswith(".pyc") or "tests/" in name] == []
    assert "License-Expression: Apache-2.0" in metadata
    assert "Provides-Extra: mindspore" in metadata
    required = [line for line in metadata.splitlines() if line.startswith("Requires-Dist: mindspore")]
    assert required
    assert all("extra == 'mindspore'" in line for line in required)


@pytest.mark.parametrize("words", COMMANDS)
def test_commands_work_without_mindspore(user, words):
    assert COMMANDS[words] in user.out("mindlift", *words.split())


def test_the_module_is_the_command(user):
    assert user.out("python", "-m", "mindlift", "--help") == user.out("mindlift", "--help")


def test_the_doctor_says_in_a_line_what_is_missing(user):
    done = user.run("mindlift", "doctor", "--quick")
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"ok       mindlift: revision v{__version__} in ")
    at = lines.index("problem  mindspore: not installed")
    assert lines[at + 1].strip() == "-> pip install mindspore==2.8.0"
    assert "make " not in done.stdout.replace("make minio", "")


def test_what_needs_mindspore_says_so_in_a_line(user):
    for words, name in (
        (("compare_checkpoints", "local.json", "local.json"), "numpy"),
        (("train", "--net", "densenet22"), ""),
    ):
        done = user.run("mindlift", *words)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
        assert done.stderr.startswith(f"error: the package {name}")
        assert "is not installed: pip install " in done.stderr


def test_moxing_from_a_folder_with_a_src_of_its_own(user):
    path = user.out("mindlift", "moxing-path").strip()
    assert Path(path).is_relative_to(user.venv)
    assert user.out("python", "-c", SHIM, PYTHONPATH=path) == f"{user.folder}/src/model_utils/config.py\n"


def test_a_job_gets_the_files_of_the_installation(user):
    revision, is_dirty, names = json.loads(user.out("python", "-c", CODE))
    assert (revision, is_dirty) == (f"v{__version__}", False)
    inside = {name[len("src/mindlift/") :] for name in names if name.startswith("src/mindlift/")}
    assert inside == {name for name in user.files if not name.startswith("beside/")}
    assert {
        "train.py",
        "default_config.yaml",
        "container-requirements.txt",
        "compat/moxing/__init__.py",
    } <= set(names)
    assert [name for name in names if "__pycache__" in name or "beside" in name] == []
    others = {name.partition("/")[0] for name in names if not name.startswith("src/")}
    assert others <= {
        "train.py",
        "eval.py",
        "export.py",
        "predict.py",
        "postprocess.py",
        "default_config.yaml",
        "requirements.txt",
        "container-requirements.txt",
        "cloud",
        "compat",
        "scripts",
        "revision.json",
    }
    said = user.out("python", "job/train.py", "--net", "densenet22", "--print_config")
    assert "densenet22" in said


def test_networks_are_listed_as_they_are():
    from mindlift import models

    assert {name: set(nets) for name, nets in models.networks().items()} == {
        name: set(module.VARIANTS) for name, module in models.families().items()
    }


@pytest.mark.heavy
@pytest.mark.parametrize("python", [oldest, newest], ids=["oldest", "newest"])
def test_requirements_can_be_installed(wheel, tmp_path, python):
    subprocess.run([python(), "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    pip(tmp_path / "venv", "install", "--dry-run", str(wheel))


@pytest.fixture
def trainer(wheel, tmp_path) -> Iterator[Installed]:
    """With MindSpore; 3 GB, which do not stay."""
    python = python_of(WITH_MINDSPORE) or pytest.skip("no Python 3.11")
    yield install(python, tmp_path, f"{wheel}[mindspore]", "mindspore==2.8.0")
    shutil.rmtree(tmp_path / "venv")


@pytest.mark.heavy
def test_training_from_an_installed_wheel(trainer):
    there = trainer.files
    done = trainer.run("mindlift", "train", "--net", "densenet22", "--max_steps", "2", "--json", timeout=300)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["steps"] == 2
    checkpoint = result["checkpoint"]
    assert (trainer.folder / checkpoint).is_file()
    done = trainer.run("mindlift", "eval", "--net", "densenet22", "--pretrained", checkpoint, timeout=300)
    assert "validation: top-1 " in done.stdout, done.stderr
    done = trainer.run("mindlift", "doctor", "--train", timeout=300)
    assert done.returncode == 0, done.stdout
    assert "2 steps of densenet22 on CPU" in done.stdout
    assert trainer.files == there
