"""What a rehearsed container shows: the plan of its mounts, which enter.py carries out. Looks, changes nothing.

/cache, /home/ma-user, ...   folders of the node, as far as the platform has them; what it mounts read-only is that
/bin /lib* /usr /etc /opt    this computer's, read-only; of /etc only what everybody may read
/proc                        this computer's; /proc/sys and the like read-only
/dev                         null, zero, random, tty and an empty shm
the Python environments      where they are, read-only
everything else              is not there: other home folders, /var, /run, /srv, /mnt, /data ...
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from mindlift.cloud.platforms.container import Container
from mindlift.cloud.platforms.mapping import FOLDERS
from mindlift.files import home

SYSTEM = ("/bin", "/sbin", "/usr", "/etc", "/opt", "/sys", "/nix", "/gnu")  # and /lib, /lib64, ...
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
}
OF_THE_KERNEL = ("sys", "sysrq-trigger", "irq", "bus", "fs")  # below /proc, writable by root
BEHIND_LINKS = (
    "/etc/resolv.conf",
    "/etc/localtime",
    "/etc/ssl/certs",
    "/etc/ssl/cert.pem",
    "/etc/pki/tls/certs",
)


class Mount(NamedTuple):
    """`kind` bind: `source` with all that is mounted below it; tmpfs: an empty folder; link: a symbolic link."""

    kind: str
    target: str
    source: str = ""
    is_writable: bool = False


def mounts(
    root: str, container: Container, environments: Iterable[str], shared: Iterable[str]
) -> list[Mount]:
    """For a node whose files are below `root`; `shared` folders are writable and where they are on this computer."""
    return [
        *system(),
        *folders(root, container),
        *(Mount("bind", path, os.path.realpath(f"{root}{path}")) for path in container.read_only),
        *(Mount("bind", path, os.path.realpath(path)) for path in seen_places(environments)),
        *(Mount("bind", path, os.path.realpath(path), True) for path in shared),
    ]


def system() -> list[Mount]:
    """This computer's programs and libraries, and a /dev and /proc of a container."""
    names = sorted({*SYSTEM, *(f"/{name}" for name in os.listdir("/") if name.startswith("lib"))})
    found = [*(top(path) for path in names if os.path.isdir(path)), *hidden("/etc")]
    behind = {os.path.realpath(path) for path in BEHIND_LINKS if os.path.exists(path)}
    found += [Mount("bind", path, path) for path in sorted(behind) if not is_of_system(path)]
    found.append(Mount("bind", "/proc", "/proc", True))
    kernel = (f"/proc/{name}" for name in OF_THE_KERNEL)
    found += [Mount("bind", path, path) for path in kernel if os.path.exists(path)]
    devices = (f"/dev/{name}" for name in DEVICES)
    found += [Mount("bind", path, path, True) for path in devices if os.path.exists(path)]
    found += [Mount("link", f"/dev/{name}", target) for name, target in LINKS.items()]
    found += [Mount("tmpfs", path, is_writable=True) for path in ("/dev/shm", "/var/tmp", "/run/lock")]
    return [*found, Mount("link", "/var/run", "/run")]


def top(path: str) -> Mount:
    """A folder of /, or the link that stands there, such as /bin -> usr/bin."""
    return Mount("link", path, os.readlink(path)) if os.path.islink(path) else Mount("bind", path, path)


def hidden(folder: str) -> Iterator[Mount]:
    """What not everybody may read, such as keys and passwords: an empty file or folder in its place."""
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            continue
        is_folder = stat.S_ISDIR(mode)
        if is_folder and mode & 0o005 != 0o005:
            yield Mount("tmpfs", entry.path)
        elif is_folder:
            yield from hidden(entry.path)
        elif not mode & 0o004:
            yield Mount("bind", entry.path, "/dev/null")


def folders(root: str, container: Container) -> list[Mount]:
    """The node's own folders, in place of the platform's."""
    paths = [container.code, container.workspace, container.logs, container.home, *container.folders]
    paths += [container.table, container.rank_table]
    there = [name for name in FOLDERS if any(is_below(path, name) for path in paths)]
    hosts = [Mount("bind", "/etc/hosts", f"{root}/etc/hosts")] if os.path.exists(f"{root}/etc/hosts") else []
    return [*(Mount("bind", name, os.path.realpath(f"{root}{name}"), True) for name in there), *hosts]


def seen_places(places: Iterable[str]) -> list[str]:
    """Those of `places`, and of what they link to, that are not visible already, outer ones first."""
    unlinked = {os.path.realpath(path) for path in places} | {os.path.abspath(path) for path in places}
    found: list[str] = []
    for path in sorted(unlinked, key=lambda path: (path.count("/"), path)):
        is_seen = is_of_system(path) or any(is_below(path, outer) for outer in found)
        if not is_seen and os.path.exists(path) and not is_too_wide(path):
            found.append(path)
    return found


def is_of_system(path: str) -> bool:
    first = "/" + path.split("/")[1]
    return first in SYSTEM or first.startswith("/lib")


def is_too_wide(path: str) -> bool:
    """A home folder, or what holds one: no environment, even if it is on a program's path."""
    return path == "/" or is_below(os.path.realpath(home()), path)


def is_below(path: str, outer: str) -> bool:
    return path == outer or path.startswith(outer.rstrip("/") + "/")
