"""File systems of their own for those who are not root, and what is done where nobody may have one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mindlift.cloud.errors import JobError
from mindlift.cloud.providers.local import isolation
from tests.support.programs import run_python
from tests.support.rehearsed import rehearse

TESTS = "tests/unit/test_namespaces.py"
# an ordinary user of a machine on which the file system does not know it
USER = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
# root as in a container: it may mount nothing, and takes a user namespace
ROOT_OF_A_CONTAINER = ["setpriv", "--bounding-set=-sys_admin"]
# as Docker's seccomp filter has it: neither is allowed
FORBIDDEN = """
echo 0 > /proc/sys/user/max_user_namespaces
exec setpriv --bounding-set=-sys_admin "$@"
"""
NO_NAMESPACES = ["unshare", "--user", "--map-root-user", "sh", "-c", FORBIDDEN, "sh"]


def run(before: list[str], *words: object) -> subprocess.CompletedProcess[str]:
    """Python in the place of another user; skipped where this machine can't play it."""
    if (
        not shutil.which(before[0])
        or subprocess.run([*before, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip(f"{' '.join(before)} is not possible here")
    return run_python([*before, sys.executable, *words])


@pytest.mark.parametrize("user", [USER, ROOT_OF_A_CONTAINER], ids=["user", "root_of_a_container"])
def test_the_same_for_another_user(tmp_path, user):
    if isolation.obstacle():
        pytest.skip(isolation.obstacle())
    done = run(user, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path}/t", TESTS)
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout


def test_where_none_is_possible_it_is_said():
    program = (
        "from mindlift.cloud.providers.local import isolation as i; print(i.describe('auto'))\n"
        "try: i.is_isolated('namespace')\nexcept Exception as err: print(type(err).__name__, err)"
    )
    done = run(NO_NAMESPACES, "-c", program)
    assert done.returncode == 0, done.stderr
    auto, namespace = done.stdout.splitlines()
    assert auto.startswith("no file system of its own: unshare: ")
    assert auto.endswith("a path written into code, such as /cache, is this computer's")
    assert namespace.startswith("JobError isolation: namespace is not possible here: unshare: ")


def test_the_fallback_maps_paths_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(isolation, "obstacle", lambda: "unshare: Operation not permitted")
    found = rehearse(tmp_path, "import sys; print(sys.argv[1:]); exit(1)", arguments=("--data=/cache/x",))
    assert found.lines == [f"['--data={found.root}/cache/x']"]
    assert (
        "no file system of its own: unshare: Operation not permitted; platform paths are mapped"
        in found.platform
    )


def test_mapping_on_request(tmp_path):
    found = rehearse(
        tmp_path,
        "import os; print(os.environ['HOME']); exit(1)",
        isolation="mapping",
    )
    assert found.lines == [f"{found.root}/home/ma-user"]
    assert "no file system of its own: as isolation: mapping says" in found.platform


def test_a_namespace_that_is_not_possible_fails_in_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(isolation, "obstacle", lambda: "unshare: Operation not permitted")
    with pytest.raises(JobError, match=r"^isolation: namespace is not possible here: unshare: Op[^\n]*$"):
        isolation.is_isolated("namespace")
    found = rehearse(tmp_path, "print('never')", isolation="namespace")
    assert found.state.reason.startswith("isolation: namespace is not possible here")
    assert found.lines == []


def test_other_systems_have_none(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert isolation.obstacle.__wrapped__() == "mount namespaces are Linux's, and this is darwin"


def test_the_script_needs_nothing_but_python(tmp_path):
    """It runs before anything of the job, with whichever Python rehearses."""
    text = Path(isolation.ENTER).read_text(encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", text, '{"root": "/nowhere", "mounts": []}', "--", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (125, 1, "")
