"""A rehearsed container's file system: what is real in it, what is not there, and that nothing else is written.

These tests are run again as an ordinary user by test_namespaces_of_users.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mindlift.cloud.platforms.mapping import FOLDERS
from mindlift.cloud.providers.local import enter, file_system, isolation
from tests.support.rehearsed import rehearse

pytestmark = pytest.mark.skipif(bool(isolation.obstacle()), reason=isolation.obstacle())
NAME = f"written-by-a-rehearsal-{os.getpid()}"
WRITES = """
    import os, sys
    for folder in sys.argv[2:]:
        try:
            os.makedirs(folder, exist_ok=True)
            open(os.path.join(folder, sys.argv[1]), "w").close()
        except OSError:
            print("refused", folder)
    sys.exit(7)
"""


def test_nothing_of_this_computer_is_written(tmp_path):
    outside = [
        "/",
        "/usr",
        "/etc",
        "/opt",
        "/var",
        sys.prefix,
        sys.base_prefix,
        str(Path.home()),
        str(tmp_path),
    ]
    outside += [
        "/usr/local/bin",
        "/proc/sys/kernel",
        "/sys",
        str(Path(__file__).parent),
        "/srv",
        "/mnt",
        "/root",
    ]
    inside = ["/cache", "/tmp", "/home/ma-user/deep/er", "/dev/shm", "/var/tmp"]
    found = rehearse(tmp_path, WRITES, arguments=(NAME, *outside, *inside))
    assert found.state.exit_code == 7
    own = [folder for folder in outside if folder.startswith("/tmp/") and folder != sys.prefix]
    assert found.lines == [f"refused {folder}" for folder in outside if folder not in own]
    for folder in ("/cache", "/tmp", "/home/ma-user/deep/er"):
        assert (found.root / folder[1:] / NAME).exists()
    places = {*outside, *inside, *(os.path.realpath(folder) for folder in outside)}
    assert [folder for folder in places if os.path.exists(f"{folder}/{NAME}")] == []


@pytest.mark.parametrize(
    ("platform", "there"),
    [
        ("modelarts-v1", {"/cache", "/home/work", "/home/ma-user", "/tmp", "/user/config"}),
        ("modelarts-v2", {"/cache", "/home/ma-user", "/tmp", "/user/config"}),
        ("openi-c2net", {"/cache", "/home/ma-user", "/tmp", "/user/config"}),
    ],
)
def test_what_the_platform_has_is_there(tmp_path, platform, there):
    program = "import json, os, sys; print(json.dumps([p for p in sys.argv[1:] if os.access(p, os.W_OK)]))"
    found = rehearse(tmp_path, program, platform=platform, arguments=tuple(FOLDERS))
    own = [line for line in found.lines if line.startswith("[")]
    assert set(json.loads(own[0])) == there


def test_the_process_is_the_one_that_was_started(tmp_path):
    program = """
        import os, signal
        print(os.getpid() == os.getsid(0), os.getuid(), os.getgid(), os.getcwd(), flush=True)
        os.kill(os.getpid(), signal.SIGUSR1)
    """
    found = rehearse(tmp_path, program)
    workspace = "/home/ma-user/modelarts/workspace"
    assert found.lines == [f"True {os.getuid()} {os.getgid()} {workspace}"]
    assert (found.state.exit_code, found.state.reason) == (138, "node 0 was ended by SIGUSR1")


def test_variables_and_arguments_arrive_as_they_are(tmp_path):
    program = "import os, sys; print({k: os.environ.get(k) for k in ('HOME', 'TMPDIR', 'MINE', 'MA_JOB_DIR', 'PYTHONPATH')}, sys.argv[1:])"
    found = rehearse(
        tmp_path, program, environment={"MINE": "/cache/x:/tmp"}, arguments=("--data=/cache/data",)
    )
    jobs = "/home/ma-user/modelarts/user-job-dir"  # develop-modelarts-0104
    expected = {"HOME": "/home/ma-user", "TMPDIR": "/tmp", "MINE": "/cache/x:/tmp", "MA_JOB_DIR": jobs}
    assert found.lines == [f"{ {**expected, 'PYTHONPATH': jobs} } ['--data=/cache/data']"]


def test_what_a_container_does_not_have_is_not_there(tmp_path):
    (tmp_path / "secret").write_text("hush")
    program = """
        import os, sys
        print([path for path in sys.argv[1:] if os.access(path, os.R_OK) and (os.path.isdir(path) or open(path).read())])
        print(sorted(os.listdir("/home")), os.listdir("/run"), os.path.exists("/var/run/docker.sock"))
    """
    private = [
        str(tmp_path / "secret"),
        "/etc/shadow",
        "/etc/gshadow",
        str(Path(__file__)),
        "/var/log",
        "/dev/kmsg",
    ]
    found = rehearse(tmp_path, program, arguments=tuple(private))
    assert found.lines == ["[]", "['ma-user'] ['lock'] False"]


def test_what_the_platform_mounts_read_only_stays_so(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/image").write_text("1")
    found = rehearse(
        tmp_path,
        WRITES,
        platform="openi-c2net",
        inputs=(("digits", f"{tmp_path}/data/"),),
        arguments=(NAME, "/cache/dataset/digits", "/cache/dataset", "/cache/output"),
    )
    assert found.lines == ["refused /cache/dataset/digits"]
    assert (found.root / "cache/dataset" / NAME).exists()


def test_a_lock_of_an_earlier_job_is_not_seen(tmp_path):
    program = """
        import os, sys
        print("skipped" if os.path.exists("/tmp/copy_sync.lock") else "copied")
        os.mknod("/tmp/copy_sync.lock")
        sys.exit(1)
    """
    assert rehearse(tmp_path, program, job="first").lines == ["copied"]
    assert rehearse(tmp_path, program, job="second").lines == ["copied"]


def test_the_names_of_nodes_are_this_computer(tmp_path):
    program = """
        import os, socket
        print([socket.gethostbyname(name) for name in os.environ["VC_WORKER_HOSTS"].split(",")])
    """
    found = rehearse(tmp_path, program, nodes=2)
    assert found.lines == ["['127.0.0.1', '127.0.0.1']"]


def test_a_retry_in_place_finds_what_it_left_and_one_elsewhere_does_not(tmp_path):
    program = """
        import os, sys
        print(os.path.exists("/cache/left"))
        open("/cache/left", "w").close()
        sys.exit(1)
    """
    changes = {"retries": 1, "unconditional_retry": True}
    again = rehearse(tmp_path, program, job="again", restart="in_place", **changes)
    anew = rehearse(tmp_path, program, job="anew", restart="reschedule", **changes)
    assert (again.lines, anew.lines) == (["False", "True"], ["False", "False"])


def test_mounts_are_read_from_the_kernels_table():
    text = (
        "30 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
        "31 30 0:5 / /usr rw,nosuid,nodev shared:2 - ext4 /dev/vdb rw\n"
        "32 31 0:6 / /usr/share\\040it ro,noexec - ext4 /dev/vdc rw\n"
        "33 30 0:7 / /usrlocal rw - ext4 /dev/vdd rw\n"
    )  # proc_pid_mountinfo(5)
    assert enter.mounts_below("/usr", text) == [
        ("/usr", ["rw", "nosuid", "nodev"]),
        ("/usr/share it", ["ro", "noexec"]),
    ]


def test_read_only_on_a_kernel_without_mount_setattr(tmp_path):
    """Before Linux 5.12: every mount by itself, those below /sys too."""
    old = isolation.ENTER.read_text(encoding="utf-8").replace(
        "SYS_MOUNT_SETATTR = 442", "SYS_MOUNT_SETATTR = 9999"
    )
    assert "9999" in old
    plan = {"root": str(tmp_path), "mounts": file_system.system(), "folder": "/", "environment": {}}
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        old,
        json.dumps(plan),
        "--",
        "/bin/sh",
        "-c",
        "grep -v ' ro,' /proc/self/mountinfo",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    writable = {line.split()[4] for line in done.stdout.splitlines()}
    assert not done.stderr
    assert {path for path in writable if not path.startswith(("/dev/", "/proc"))} == {"/var/tmp", "/run/lock"}
