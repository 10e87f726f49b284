"""The object store of rehearsals: one server for all of them, running as long as somebody uses it.

Users hold a shared lock on a file, which the system releases when they end, however they end. The keeper
process owns the server, starts it again at the same place if it dies, and stops it when it gets that lock for itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from mindlift import json_text
from mindlift.checkout import SOURCES
from mindlift.cloud.errors import JobError
from mindlift.cloud.providers.local.servers import Minio, Moto, PortTaken, Server, find_minio
from mindlift.errors import StorageError
from mindlift.files import write_atomic
from mindlift.model_utils.staging.node_gate import Process
from mindlift.sanitize import error

READY_WITHIN_S = 60.0
IDLE_S = {"minio": 5.0, "moto": 3600.0}  # moto forgets everything with its end


@dataclass(frozen=True)
class StoreAccess:
    """Where the store is and the keys to it."""

    endpoint: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    kind: str = "minio"  # minio, moto, or given: named by MINIO_ENDPOINT

    @property
    def is_own(self) -> bool:
        return self.kind != "given"

    def variables(self) -> dict[str, str]:
        """For a process that shall reach the store."""
        return {
            "S3_ENDPOINT": self.endpoint,
            "ACCESS_KEY_ID": self.access_key,
            "SECRET_ACCESS_KEY": self.secret_key,
            "S3_USE_HTTPS": "1" if self.endpoint.startswith("https") else "0",
        }


@dataclass(frozen=True)
class Note:
    """What store.json says of a running server."""

    access: StoreAccess
    keeper: Process
    server: Process


def given_store() -> StoreAccess | None:
    """The running server that MINIO_ENDPOINT names; JobError without its keys."""
    endpoint = os.environ.get("MINIO_ENDPOINT")
    if not endpoint:
        return None
    keys = [os.environ.get(name, "") for name in ("MINIO_ACCESS_KEY", "MINIO_SECRET_KEY")]
    if not all(keys):
        raise JobError(
            "MINIO_ENDPOINT is set, but MINIO_ACCESS_KEY and MINIO_SECRET_KEY are not: export both"
        )
    return StoreAccess(endpoint, keys[0], keys[1], "given")


@contextlib.contextmanager
def store_of(home: Path) -> Iterator[StoreAccess]:
    """The store of the rehearsals below `home`, running until the block ends at least."""
    given = given_store()
    if given:
        yield given
        return
    folder = home / "store"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)  # it holds keys
    with open(folder / "lease", "a") as lease:
        with open(folder / "starting", "a") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)
            fcntl.flock(lease, fcntl.LOCK_SH)  # waits while a keeper is ending
            access = running(folder) or start_keeper(folder)
        yield access


def running(folder: Path) -> StoreAccess | None:
    """The store that a living keeper serves; of a server that died, once the keeper has started it again."""
    deadline = time.monotonic() + READY_WITHIN_S
    while (note := read_note(folder)) and not note.keeper.is_gone():
        if not note.server.is_gone():
            return note.access
        if time.monotonic() > deadline:
            raise StorageError(
                f"the rehearsal's store at {note.access.endpoint} has ended, and its keeper (process "
                f"{note.keeper.pid}) has not started it again within {READY_WITHIN_S:.0f} s: end that process"
            )
        time.sleep(0.05)
    return None


def read_note(folder: Path) -> Note | None:
    path = folder / "store.json"
    if not path.exists():
        return None
    found = json_text.read(path)
    return Note(StoreAccess(**found["access"]), Process(**found["keeper"]), Process(**found["server"]))


def end_orphan(folder: Path) -> int:
    """End the server of a keeper that was killed; its port, where jobs still look for it, or 0."""
    note = read_note(folder)
    if not note:
        return 0
    if not note.server.is_gone():
        os.kill(note.server.pid, signal.SIGTERM)
        while not note.server.is_gone():
            time.sleep(0.05)
    (folder / "store.json").unlink(missing_ok=True)
    return urlsplit(note.access.endpoint).port or 0


def start_keeper(folder: Path) -> StoreAccess:
    """Start the keeper and wait until the store answers."""
    with open(folder / "keeper.log", "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mindlift.cloud.providers.local.keeper", str(folder)],
            cwd=SOURCES,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        if access := running(folder):
            return access
        if process.poll() is not None:
            break
        time.sleep(0.05)
    lines = (folder / "keeper.log").read_text(errors="replace").strip().splitlines() or ["no message"]
    raise StorageError(
        f"the rehearsal's store did not start: {lines[-1]}; its log is {folder / 'keeper.log'}"
    )


def choose_server(folder: Path) -> tuple[str, Server]:
    """MinIO where there is one, else moto; StorageError if there is neither."""
    keys = read_keys(folder)
    if find_minio():
        return "minio", Minio(folder / "minio", *keys)
    if importlib.util.find_spec("moto"):
        return "moto", Moto(folder / "moto", *keys)
    raise StorageError(
        "a rehearsal needs an object store: `make minio` builds one, MINIO_ENDPOINT names a running one, and "
        "`pip install 'moto[server]'` is a substitute"
    )


def read_keys(folder: Path) -> tuple[str, str]:
    """The keys of this store, made once."""
    path = folder / "keys.json"
    if not path.exists():
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(["rehearsal", secrets.token_hex(16)], file)
    access_key, secret_key = json_text.read(path)
    return access_key, secret_key


def keep(folder: Path) -> None:
    """Run the server until nobody has used it for a while, or SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    port = end_orphan(folder)
    kind, server = choose_server(folder)
    with open(folder / "lease", "a") as lease:
        try:
            start_near(server, port)
            write_note(folder, kind, server)
            for _ in until_idle(lease.fileno(), IDLE_S[kind]):
                if server.has_ended:
                    print(f"the store at {server.endpoint} has ended: start it again", file=sys.stderr)
                    server.start()
                    write_note(folder, kind, server)
        finally:
            (folder / "store.json").unlink(missing_ok=True)
            server.kill()


def start_near(server: Server, port: int) -> None:
    """At `port`, if that is still free."""
    server.port = port
    try:
        server.start()
    except PortTaken:
        server.port = 0
        server.start()


def write_note(folder: Path, kind: str, server: Server) -> None:
    access = StoreAccess(server.endpoint, server.access_key, server.secret_key, kind)
    note = Note(access, Process.of(os.getpid()), Process.of(server.pid))
    write_atomic(folder / "store.json", json.dumps(asdict(note)))


def until_idle(lease: int, idle_s: float) -> Iterator[None]:
    """Twice a second, until nobody has used the store for `idle_s`; the lock is held then, so that nobody counts on it."""
    idle_since = time.monotonic()
    while True:
        time.sleep(0.5)
        try:
            fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            idle_since = time.monotonic()
        else:
            if time.monotonic() - idle_since >= idle_s:
                return
            fcntl.flock(lease, fcntl.LOCK_UN)
        yield


def main() -> int:
    try:
        keep(Path(sys.argv[1]))
    except (StorageError, PortTaken) as err:
        print(f"error: {error(err)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
