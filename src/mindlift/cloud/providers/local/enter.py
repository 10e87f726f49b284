"""Runs a command in a file system of its own: `python -I -S enter.py PLAN -- COMMAND...`, where PLAN is JSON.

Linux only, the standard library only, as root or as anybody. The command keeps its process id, user id, exit
code and signals, because it takes this process over. PLAN:

root         an existing folder; a tmpfs is mounted over it, and becomes the command's /
mounts       what is put there, in this order; see file_system.Mount
folder       where the command starts
environment  variables that would disturb this process too (LD_*)

See mount_namespaces(7), user_namespaces(7), pivot_root(2), mount_setattr(2).
"""

from __future__ import annotations

import ctypes
import functools
import json
import os
import re
import sys
from collections.abc import Callable

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_NOATIME, MS_NODIRATIME, MS_BIND, MS_REC, MS_PRIVATE = 1 << 10, 1 << 11, 1 << 12, 1 << 14, 1 << 18
MS_RELATIME = 1 << 21
KEPT = {  # flags of a mount that a user namespace may not take away
    "nosuid": MS_NOSUID,
    "nodev": MS_NODEV,
    "noexec": MS_NOEXEC,
    "noatime": MS_NOATIME,
    "nodiratime": MS_NODIRATIME,
    "relatime": MS_RELATIME,
}
MNT_DETACH = 2
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
PR_CAPBSET_DROP = 24
# of root, what Docker leaves, without mknod, because no cgroup forbids devices here: chown, dac_override, fowner,
# fsetid, kill, setgid, setuid, setpcap, net_bind_service, net_raw, sys_chroot, audit_write, setfcap
CAPABILITIES = frozenset([0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 29, 31])
SYS_PIVOT_ROOT = {
    "x86_64": 155,
    "aarch64": 41,
    "riscv64": 41,
    "loongarch64": 41,
    "ppc64le": 203,
    "s390x": 217,
}
SYS_MOUNT_SETATTR = 442
AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY = -100, 0x8000, 1
BEFORE = "/.before"  # where the old root stands meanwhile
IMPOSSIBLE, NOT_FOUND = 125, 127


@functools.lru_cache(maxsize=None)
def libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


class MountAttributes(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd"))


def call(what: str, function: Callable[..., int], *arguments: object) -> None:
    """A call of libc; OSError with `what` if it fails."""
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    texts = [os.fsencode(text) or None for text in (source, target, kind)]
    call(f"mount {target}", libc().mount, *texts, ctypes.c_ulong(flags), os.fsencode(data) or None)


def unshare() -> None:
    """A mount namespace; where only that of a user's own namespace is allowed, with the same user id in it."""
    try:
        call("unshare", libc().unshare, CLONE_NEWNS)
        return
    except PermissionError:
        uid, gid = os.geteuid(), os.getegid()
    call("unshare", libc().unshare, CLONE_NEWUSER | CLONE_NEWNS)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {uid} 1"),
        ("gid_map", f"{gid} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def change_root(folder: str) -> None:
    """An empty / at `folder`; the old one stands below it, without `folder` being covered there."""
    mount("", "/", flags=MS_REC | MS_PRIVATE)
    mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    os.mkdir(folder + BEFORE)
    os.chdir(folder)
    number = SYS_PIVOT_ROOT[os.uname().machine]
    call("pivot_root", libc().syscall, number, b".", os.fsencode(BEFORE[1:]))
    os.chdir("/")


def place(kind: str, target: str, source: str, is_writable: bool) -> None:
    """One mount of the plan; what it is mounted on is made where it is not there."""
    if kind == "link":
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.symlink(source, target)
    elif kind == "tmpfs":
        os.makedirs(target, exist_ok=True)
        mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777" if is_writable else "mode=755")
    else:
        source = BEFORE + source
        if os.path.isdir(source):
            os.makedirs(target, exist_ok=True)
        elif not os.path.lexists(target):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
        mount(source, target, flags=MS_BIND | MS_REC)
    if kind != "link" and not is_writable:
        make_read_only(target)


def make_read_only(target: str) -> None:
    """`target` with all mounts below it; for root as well, which permissions don't stop."""
    wanted = MountAttributes(MOUNT_ATTR_RDONLY, 0, 0, 0)
    size = ctypes.c_size_t(ctypes.sizeof(wanted))
    try:
        arguments = (AT_FDCWD, os.fsencode(target), AT_RECURSIVE, ctypes.byref(wanted), size)
        call("mount_setattr", libc().syscall, SYS_MOUNT_SETATTR, *arguments)
    except OSError:  # before Linux 5.12, or an old seccomp filter
        with open(f"{BEFORE}/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            remount_read_only(target, file.read())


def remount_read_only(target: str, mountinfo: str) -> None:
    for path, options in mounts_below(target, mountinfo):
        kept = sum(KEPT.get(option, 0) for option in options)
        mount("", path, flags=MS_BIND | MS_REMOUNT | MS_RDONLY | kept)


def mounts_below(target: str, mountinfo: str) -> list[tuple[str, list[str]]]:
    """(path, options) of `target` and what is mounted below it, from the text of /proc/self/mountinfo."""
    found = []
    for line in mountinfo.splitlines():
        path, options = line.split()[4:6]
        path = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), path)
        if path == target or path.startswith(target.rstrip("/") + "/"):
            found.append((path, options.split(",")))
    return found


def drop_capabilities() -> None:
    """As root in a container; a user has none."""
    if os.geteuid() == 0:
        with open("/proc/sys/kernel/cap_last_cap") as file:
            last = int(file.read())
        for number in set(range(last + 1)) - CAPABILITIES:
            libc().prctl(PR_CAPBSET_DROP, number, 0, 0, 0)  # fails where it is not there to be dropped


def enter(plan: dict) -> None:
    """Make this process see the plan's file system and nothing else."""
    unshare()
    change_root(plan["root"])
    for kind, target, source, is_writable in plan["mounts"]:
        place(kind, target, source, is_writable)
    call("umount", libc().umount2, os.fsencode(BEFORE), MNT_DETACH)
    os.rmdir(BEFORE)
    mount("", "/", flags=MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV)
    os.makedirs(plan["folder"], exist_ok=True)
    os.chdir(plan["folder"])
    drop_capabilities()


def main(arguments: list[str]) -> None:
    plan, command = json.loads(arguments[0]), arguments[2:]
    try:
        enter(plan)
    except OSError as err:
        print(err.strerror, file=sys.stderr)
        sys.exit(IMPOSSIBLE)
    os.environ.update(plan["environment"])
    try:
        os.execvp(command[0], command)
    except OSError as err:
        print(f"{command[0]}: {err.strerror}", file=sys.stderr)
        sys.exit(NOT_FOUND)


if __name__ == "__main__":
    main(sys.argv[1:])
