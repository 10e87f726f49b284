"""`import moxing` and the programs where users stand: folders whose own packages have the names of this project's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.programs import ROOT, Finished, environment

COMPAT = ROOT / "compat"
FOLDERS = {  # the names of the model zoo's folders and of this project's, as packages and as single modules
    "packages": [
        *(f"{name}/__init__.py" for name in ("src", "src/model_utils", "src/storage", "cloud", "compat")),
        *(f"{name}/__init__.py" for name in ("config", "storage", "models", "data", "tests", "framework")),
        "src/model_utils/config.py",
        "src/model_utils/moxing_adapter.py",
        "mindlift/notes.txt",
        "mindlift/storage/a.py",
    ],
    "plain folders": [
        "src/model_utils/config.py",
        "cloud/a.py",
        "compat/a.py",
        "mindlift/checkout.py",
        "mindlift/storage/moxing/a.py",
        "data/a.py",
        "tools/a.py",
        "config.py",
    ],
    "modules": [
        *(
            f"{name}.py"
            for name in ("src", "cloud", "compat", "config", "storage", "checkout", "errors", "files")
        ),
        "mindlift/a.py",
    ],
}
OWN = {"packages": "src.model_utils.config", "plain folders": "src.model_utils.config", "modules": "src"}
EDITS = {
    "untouched": ("", ""),
    "edited before": ("sys.path.insert(0, HERE + '/src'); sys.path.insert(0, HERE)", ""),
    "edited after": ("", "sys.path.insert(0, HERE + '/src'); sys.path.insert(0, HERE)"),
    "cleared after": ("", "sys.path[:] = [HERE, *(p for p in sys.path if not p.endswith('compat'))]"),
    "elsewhere after": ("", "os.chdir('/')"),
}
PROGRAM = """import importlib, multiprocessing, os, sys
HERE = {here!r}


def use():
    {before}
    import moxing as mox
    {after}
    assert mox.file.exists(HERE)
    mox.file.copy_parallel(HERE + "/src-data", HERE + "/copied")
    assert os.listdir(HERE + "/copied") == ["x"]
    if HERE not in sys.path:
        sys.path.insert(0, HERE)
    for name in {own!r}:
        assert importlib.import_module(name).__file__.startswith(HERE + "/"), name
    import mindlift
    assert mindlift.__file__ == {ours!r}, mindlift.__file__
    return "used"


def test_use():
    use()


if __name__ == "__main__":
    print(use())
    for method in {methods!r}:
        with multiprocessing.get_context(method).Pool(1) as pool:
            print(method, pool.apply(use))
"""
WAYS = {
    "file": ["program.py"],
    "module": ["-m", "program"],
    "code": ["-c", "import program; print(program.use())"],
    "pytest": ["-m", "pytest", "-q", "-p", "no:cacheprovider", "program.py"],
}


def write(folder: Path, kind: str, edit: str = "untouched", methods: tuple[str, ...] = ()) -> None:
    for name in FOLDERS[kind]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    (folder / "src-data").mkdir()
    (folder / "src-data/x").write_text("")
    before, after = EDITS[edit]
    own = [OWN[kind], "config"]
    ours = str(ROOT / "src/mindlift/__init__.py")
    (folder / "program.py").write_text(
        PROGRAM.format(
            here=str(folder),
            own=own,
            ours=ours,
            methods=methods,
            before=before or "pass",
            after=after or "pass",
        )
    )


def start(folder: Path, *words: str, path: str = str(COMPAT), **env: str) -> Finished:
    """Without the folder that this test run has on PYTHONPATH."""
    variables = environment(PYTHONPATH=path, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", **env)
    return Finished(
        subprocess.run(
            [sys.executable, *words],
            cwd=folder,
            env=variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    )


@pytest.fixture
def folder(tmp_path) -> Path:
    """Its name is no longer than a socket of multiprocessing allows."""
    found = tmp_path.resolve() / "home"
    found.mkdir()
    return found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", FOLDERS)
def test_moxing_is_found_however_a_program_starts(folder, kind, way):
    write(folder, kind)
    done = start(folder, *WAYS[way])
    assert done.code == 0, done.out + done.err
    assert ("1 passed" if way == "pytest" else "used") in done.out


@pytest.mark.parametrize("edit", list(EDITS)[1:])
@pytest.mark.parametrize("kind", FOLDERS)
def test_moxing_is_found_when_the_path_is_edited(folder, kind, edit):
    write(folder, kind, edit)
    done = start(folder, "program.py")
    assert (done.code, done.out) == (0, "used\n"), done.err


@pytest.mark.parametrize("kind", FOLDERS)
def test_moxing_is_found_in_worker_processes(folder, kind):
    write(folder, kind, methods=("spawn", "fork", "forkserver"))
    done = start(folder, "program.py")
    assert done.code == 0, done.err
    assert done.out.splitlines() == ["used", "spawn used", "fork used", "forkserver used"]


def test_moxing_is_found_by_a_relative_path(folder):
    write(folder, "packages", "elsewhere after")
    done = start(folder, "program.py", path=os.path.relpath(COMPAT, folder))
    assert (done.code, done.out) == (0, "used\n"), done.err


def test_the_command_names_the_folder(folder):
    write(folder, "packages")
    done = start(folder, "-m", "mindlift", "moxing-path", path=str(ROOT / "src"))
    assert (done.code, done.out, done.err) == (0, f"{COMPAT}\n", "")


@pytest.mark.parametrize("file", ["mindlift/__init__.py", "mindlift.py", "mindlift/plain.txt"])
def test_another_mindlift_that_was_imported_first_is_one_clear_error(folder, file):
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_text("")
    code = "import mindlift\ntry:\n    import moxing\nexcept ImportError as err:\n    print(err)"
    done = start(folder, "-S", "-c", code)  # without an installed mindlift, which goes before a plain folder
    theirs = folder / ("mindlift" if file.endswith("txt") else file)
    wanted = f"`moxing` needs {ROOT}/src/mindlift, but {theirs} was imported as mindlift before"
    assert (done.out, done.err) == (f"{wanted}\n", "")


def test_another_mindlift_that_nobody_imported_is_no_obstacle(folder):
    write(folder, "packages")
    (folder / "mindlift/__init__.py").write_text("raise SystemExit('the wrong package')")
    done = start(folder, "program.py")
    assert (done.code, done.out) == (0, "used\n"), done.err


@pytest.mark.parametrize("program", ["train.py", "eval.py", "export.py", "predict.py", "cloud/submit.py"])
@pytest.mark.parametrize("kind", FOLDERS)
def test_programs_of_the_checkout_start(folder, kind, program):
    write(folder, kind)
    done = start(folder, str(ROOT / program), "--help", path=str(folder))
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"usage: {program}" if "/" not in program else "usage: ")
