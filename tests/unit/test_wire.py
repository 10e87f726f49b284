"""What the answers that stores give mean, in one thread, in many, and in processes."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from mindlift.errors import AccessError, TransferError
from mindlift.storage.access import Access
from mindlift.storage.copying.copy import copy_tree
from mindlift.storage.copying.plan import Known
from mindlift.storage.errors import MoxFileReadException, MoxFileRespException
from mindlift.storage.http1 import Connection
from mindlift.storage.places import SERVICES, set_auth
from mindlift.storage.s3.service import Service
from mindlift.storage.s3.store import S3Store
from mindlift.storage.settings import Keys
from mindlift.storage.store import Entry
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Fault


@pytest.fixture
def store(minio, bucket, fault_proxy) -> S3Store:
    return S3Store(bucket, Service(Access(auth(minio, fault_proxy))))


def auth(minio, proxy: FaultProxy) -> dict:
    return {
        "retry_wait": 0.001,
        "retry": 3,
        "server": proxy.endpoint,
        "ak": minio.access_key,
        "sk": minio.secret_key,
    }


@pytest.mark.parametrize("kind", ["repeat_page", "stale_token"])
@pytest.mark.parametrize("is_v1", [False, True])
def test_a_list_that_does_not_advance_ends(store, fault_proxy, monkeypatch, kind, is_v1):
    monkeypatch.setattr(S3Store, "is_v1", is_v1)
    for key in ("a", "b", "c"):
        store.write(key, b"")
    access = store.service.access
    access.settings = replace(access.settings, list_max_keys=1)
    fault_proxy.add(Fault(kind, times=None))
    if kind == "stale_token" and is_v1:  # markers are the last key: nothing that the store names is believed
        assert [entry.key for entry in store.walk("")] == ["a", "b", "c"]
        return
    with pytest.raises(
        TransferError, match=f"list {store.bucket}/: (does not advance|the store gives the same)"
    ):
        list(store.walk(""))
    assert len(fault_proxy.requests) < 10


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "RequestTimeTooSkewed", "clock is more than 15 minutes off: set it right"),
        (403, "AccessDenied", "keys come from set_auth: do they belong to server="),
        (403, "InvalidAccessKeyId", "keys come from set_auth"),
        (403, "SignatureDoesNotMatch", "keys come from set_auth"),
        (401, "Unauthorized", "keys come from set_auth"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
def test_refused_keys_say_what_to_do(store, fault_proxy, method, status, code, said):
    fault_proxy.add(Fault("status", method, status=status, code=code, times=None))
    requests = {
        "GET": lambda: store.read("f"),
        "PUT": lambda: store.write("f", b"x"),
        "DELETE": lambda: store.remove("f"),
        "HEAD": lambda: store.stat("f"),
    }
    with pytest.raises(AccessError) as caught:
        requests[method]()
    message = str(caught.value)
    assert f"{store.bucket}/f: the store answered {status}" in message
    assert (said if method != "HEAD" else "keys come from set_auth") in message, "a HEAD's answer has no code"
    assert store.service.access.keys().secret_key not in message
    assert len(fault_proxy.requests) <= 2, "asking again does not help"


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (404, "NoSuchKey", FileNotFoundError),
        (404, "NoSuchBucket", MoxFileRespException),
        (400, "InvalidArgument", MoxFileRespException),
    ],
)
def test_other_refusals_are_final_and_keep_the_answer(store, fault_proxy, status, code, error):
    fault_proxy.add(Fault("status", "GET", status=status, code=code, times=None))
    with pytest.raises(error, match=f"{status} {code}") as caught:
        store.read("f")
    if error is MoxFileRespException:
        assert (caught.value.resp.status, caught.value.resp.errorCode) == (status, code)
    assert len(fault_proxy.requests) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_passes_is_asked_again_and_at_last_named(store, fault_proxy, status):
    store.write("f", b"x")
    fault_proxy.clear()
    fault = fault_proxy.add(Fault("status", "GET", status=status, times=2))
    assert store.read("f") == b"x"
    assert (fault.used, store.service.retries.count) == (2, 2)
    fault_proxy.add(Fault("status", "GET", status=status, times=None))
    with pytest.raises(
        MoxFileRespException, match=f"GET {store.bucket}/f.*{status}.*given up after 3 attempts"
    ):
        store.read("f")


def test_retry_after_holds_back_every_thread(store, fault_proxy, monkeypatch):
    slept: list[float] = []
    monkeypatch.setattr("mindlift.storage.retry.time.sleep", slept.append)
    store.write("f", b"x")
    fault_proxy.add(Fault("status", "GET", status=503, retry_after=7))
    assert store.read("f") == b"x"
    assert slept[0] >= 7
    assert 6 < slept[-1] <= 7, "the next request of any thread waits too"


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("GET", lambda store: store.read("f")),
        ("HEAD", lambda store: store.stat("f")),
        ("PUT", lambda store: store.write("f", b"x")),
        ("DELETE", lambda store: store.remove("f")),
        ("GET", lambda store: list(store.walk(""))),
    ],
    ids=["read", "head", "write", "delete", "list"],
)
def test_keys_that_expire_are_read_from_their_file_again(
    minio, bucket, fault_proxy, tmp_path, monkeypatch, method, request_
):
    """The store says that they have expired, and only then is the new file looked at."""
    file = tmp_path / "profiles"
    good = f"[default]\nak = {minio.access_key}\nsk = {minio.secret_key}\n"
    file.write_text(good)
    for name in ("ACCESS_KEY_ID", "OBS_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CREDENTIAL_PROFILES_FILE", str(file))
    store = S3Store(bucket, Service(Access({"server": fault_proxy.endpoint, "retry_wait": 0.001})))
    store.write("f", b"x")
    store.service.access.known = Keys("old", "old-secret", "", "file")
    fault_proxy.clear()
    fault = fault_proxy.add(Fault("expired_token", method))
    request_(store)
    assert fault.used == 1
    assert store.service.access.keys().access_key == minio.access_key
    used = [
        re.findall(r"Credential=(\w+)/", request.headers["authorization"])[0]
        for request in fault_proxy.requests
    ]
    assert (used[0], used[-1]) == ("old", minio.access_key)


def test_keys_that_stay_expired_end_it(store, fault_proxy):
    fault_proxy.add(Fault("expired_token", times=None))
    with pytest.raises(AccessError, match="ExpiredToken"):
        store.read("f")
    assert len(fault_proxy.requests) <= 4


def test_connections_are_kept(store, fault_proxy, monkeypatch):
    connections = []
    connect = Connection.connect
    monkeypatch.setattr(Connection, "connect", lambda self: connections.append(self) or connect(self))
    store.write("f", b"x" * 300_000)
    for _ in range(3):
        assert len(store.read("f", 1)) == 299_999
        assert store.stat("no") is None
        with pytest.raises(FileNotFoundError):
            store.read("no")
    assert len(connections) == 1
    fault_proxy.add(Fault("reset", before=True))
    assert len(store.read("f")) == 300_000, "one that was cut is replaced"


# One Service in many threads and processes.


def in_child(work) -> int:
    """The exit code of a forked child that does `work`; -9 if it hangs."""
    pid = os.fork()
    if not pid:
        try:
            work()
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
    killer = threading.Timer(20, os.kill, (pid, 9))
    killer.start()
    status = os.waitpid(pid, 0)[1]
    killer.cancel()
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def check_read(store: S3Store, count: int = 8) -> None:
    for number in range(count):
        assert store.read(f"f{number % 4}") == b"%d" % (number % 4) * 1000


@pytest.fixture
def four(store) -> S3Store:
    for number in range(4):
        store.write(f"f{number}", b"%d" % number * 1000)
    return store


def test_threads_share_a_store(four):
    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(check_read, four) for _ in range(16)]:
            done.result()


def test_a_forked_child_reads_while_the_parent_goes_on(four):
    check_read(four)
    four.remove("missing")
    stop = threading.Event()

    def go_on() -> None:
        while not stop.is_set():
            check_read(four)

    with ThreadPoolExecutor(2) as threads:
        running = [threads.submit(go_on) for _ in range(2)]
        try:
            codes = [in_child(lambda: (check_read(four), four.remove("missing"))) for _ in range(3)]
        finally:
            stop.set()
        assert codes == [0] * 3
        for done in running:
            done.result()
    check_read(four)


def test_a_forked_child_copies_folders(four, minio, fault_proxy, tmp_path):
    """Whole small objects come by another library, which has threads of its own."""
    set_auth(**auth(minio, fault_proxy))
    try:
        source = f"obs://{four.bucket}/"
        copy_tree(source, str(tmp_path / "parent"))
        assert in_child(lambda: copy_tree(source, str(tmp_path / "child"))) == 0
    finally:
        SERVICES.forget()
    assert sorted(path.name for path in (tmp_path / "child").iterdir()) == ["f0", "f1", "f2", "f3"]


def test_a_spawned_process_gets_a_store_by_pickle(four):
    process = multiprocessing.get_context("spawn").Process(target=check_read, args=(four,))
    process.start()
    process.join(60)
    assert process.exitcode == 0


def test_errors_and_outcomes_pass_between_processes():
    entry = Entry("k", 1, "etag", 2)
    assert pickle.loads(pickle.dumps(Known(entry, entry))).source == entry
    for error in (
        AccessError("a"),
        MoxFileRespException(None, "b"),
        MoxFileReadException(None, "c"),
        TransferError("d"),
    ):
        same = pickle.loads(pickle.dumps(error))
        assert (type(same), str(same)) == (type(error), str(error))
