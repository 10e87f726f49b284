"""The Python of a rehearsed program: `moxing` as in every container, and the program's requirements."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mindlift.cloud.providers.local.interpreter import ask
from mindlift.cloud.providers.local.layer import layered, reason
from tests.support.pythons import find_python
from tests.support.rehearsed import rehearse

ISOLATIONS = ["auto", "mapping"]
SHOWS = """
    import json, os, sys
    import moxing as mox
    import src.model_utils as own
    mox.file.make_dirs(os.environ["TMPDIR"] + "/made")
    try:
        import boto3
    except ImportError:
        boto3 = None
    places = [os.path.dirname(os.path.dirname(module.__file__)) for module in (mox, own, json)]
    print(json.dumps([sys.version_info[:2], own.NAME, boto3 is not None, *(sys.path.index(p) if p in sys.path else -1 for p in places[::2])]))
    sys.exit(1)
"""


@pytest.fixture
def bare(tmp_path) -> str:
    """A Python with no packages at all."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    return str(tmp_path / "bare/bin/python")


def with_own_src(home: Path) -> None:
    """The program's own `src`, as nearly every folder of the model zoo has one."""
    folder = home / "code/job/src/model_utils"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("NAME = 'the program'\n")
    (folder.parent / "__init__.py").write_text("")


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("is_bare", [False, True], ids=["ours", "bare"])
def test_moxing_is_there_and_hides_nothing(tmp_path, bare, is_bare, isolation):
    with_own_src(tmp_path)
    found = rehearse(tmp_path, SHOWS, isolation=isolation, **({"python": bare} if is_bare else {}))
    version, own, has_boto3, moxing_at, stdlib_at = json.loads(found.lines[-1])
    assert (version, own, has_boto3) == ([*sys.version_info[:2]], "the program", True)
    assert moxing_at > stdlib_at > 0, "behind the standard library, and behind the program's folder"
    assert (found.root / "tmp/made").is_dir()


@pytest.mark.heavy  # needs PyPI: that Python's boto3 is an older one
@pytest.mark.parametrize("version", ["3.7", "3.8"])
def test_moxing_in_an_old_python(tmp_path, version):
    python = find_python(version)
    if not python:
        pytest.skip(f"no Python {version} here")
    with_own_src(tmp_path)
    found = rehearse(tmp_path, SHOWS, python=python)
    assert json.loads(found.lines[-1])[:3] == [
        [int(part) for part in version.split(".")],
        "the program",
        True,
    ]


def make_wheel(folder: Path, name: str, version: str) -> None:
    """A wheel with one module; see the binary distribution format."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}.py", f"VERSION = {version!r}\n")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")


def require(home: Path, job: str, *lines: str) -> None:
    (home / "code" / job).mkdir(parents=True)
    text = "\n".join(["--no-index", f"--find-links {home / 'wheels'}", *lines, ""])
    (home / "code" / job / "pip-requirements.txt").write_text(text)


def test_requirements_are_installed_once(tmp_path):
    program = "import wanted, sys; print(wanted.VERSION)"
    make_wheel(tmp_path / "wheels", "wanted", "1.5")
    for job in ("first", "second"):
        require(tmp_path, job, "wanted>=1")
        (tmp_path / "code" / job / "logging.py").write_text(
            "raise SystemExit('pip takes the program for a library')"
        )
        found = rehearse(tmp_path, program, job=job)
        assert (found.state.phase, found.lines) == ("succeeded", ["1.5"]), found.state.reason
        assert "install pip-requirements.txt" in found.platform
        shutil.rmtree(tmp_path / "wheels", ignore_errors=True)  # the second finds what the first has made
    assert len([*(tmp_path / "jobs/environments").glob("*/complete")]) == 1


def test_a_requirement_that_is_not_there_is_named(tmp_path):
    make_wheel(tmp_path / "wheels", "wanted", "1.5")
    require(tmp_path, "job", "wanted==9.1")
    found = rehearse(tmp_path, "print('never')")
    says = "pip-requirements.txt: wanted==9.1 can't be installed: no such version"
    assert (found.state.phase, found.state.reason) == ("failed", says)
    assert found.lines == []


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (  # pip 24 without a network
            "WARNING: Retrying (Retry(total=4...)) after connection broken by 'NewConnectionError(...)': /simple/x/\n"
            "ERROR: Could not find a version that satisfies the requirement x==1 (from versions: none)\n"
            "ERROR: No matching distribution found for x==1\n",
            "x==1 can't be installed: no package index answers",
        ),
        (
            "ERROR: Could not find a version that satisfies the requirement x==9 (from versions: 1)\n"
            "ERROR: No matching distribution found for x==9\n",
            "x==9 can't be installed: no such version",
        ),
        (
            "ERROR: Invalid requirement: 'x=1': Expected end\n    x=1\n     ^ (from line 1)",
            "can't be installed: ERROR: Invalid requirement: 'x=1': Expected end",
        ),
    ],
)
def test_what_pip_says_is_one_line(said, expected):
    assert reason(said) == expected


@pytest.mark.parametrize("folder", ["environments", "with a space", "long" * 30])
def test_the_commands_of_the_environment_below_use_the_one_above(tmp_path, bare, folder):
    script = Path(bare).parent / "tool"
    script.write_text(f"#!{bare}\nimport sys\nprint(sys.prefix)\n")
    script.chmod(0o755)
    (Path(bare).parent / "binary").write_bytes(b"\x7fELF")
    found = layered(ask(bare), tmp_path / "none", tmp_path / folder)
    above = Path(found.python).parents[1]
    done = subprocess.run([str(above / "bin/tool")], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(above)
    assert not (above / "bin/binary").exists()
    assert found.commands == (str(above / "bin"), str(Path(bare).parent))
