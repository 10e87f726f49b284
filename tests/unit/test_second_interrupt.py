"""The second Ctrl-C ends a process whose main thread never comes back from C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mindlift import interrupts
from mindlift.interrupts import SecondInterrupt, handling

SOURCES = Path(interrupts.__file__).parents[1]
START = """
import ctypes, os, signal, sys, threading
from mindlift import interrupts
interrupts.GRACE_S = 0.2
lock, libc = ctypes.create_string_buffer(128), ctypes.CDLL(None)
def hang():  # in C, which signals do not interrupt
    print("hangs", flush=True)
    for _ in range(2):
        libc.pthread_mutex_lock(lock)
"""
BODIES = {
    "in no block": "with interrupts.CtrlC(), interrupts.SecondInterrupt(): signal.signal(signal.SIGINT, lambda *_: None); hang()",
    "in a training": "with interrupts.CtrlC(), interrupts.SecondInterrupt(), interrupts.SignalFlag(): hang()",
    "in an evaluation": "with interrupts.CtrlC(), interrupts.SecondInterrupt(), interrupts.Deferred(): hang()",
    "in an import": "with interrupts.CtrlC(), interrupts.SecondInterrupt(), interrupts.Deferred(says=''): hang()",
    "when it ends": """
try:
    with interrupts.CtrlC(), interrupts.SecondInterrupt(): print("hangs", flush=True); threading.Event().wait()
except KeyboardInterrupt:
    signal.signal(signal.SIGINT, lambda *_: None)  # else it might come before the lock is waited for
    print("ends", flush=True)
hang()
""",
}
SAYS = {
    "in no block": "interrupted; press Ctrl-C again to end at once",
    "in a training": "stops after this step; press Ctrl-C again to end at once",
    "in an evaluation": "stops after these images; press Ctrl-C again to end at once",
}


def started(body: str) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", START + body],
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "hangs\n"
    return process


@pytest.mark.parametrize("where", BODIES)
def test_the_second_ends_a_process_that_hangs(where):
    process = started(BODIES[where])
    process.send_signal(signal.SIGINT)
    if where in SAYS:
        assert [process.stderr.readline() for _ in range(2)] == ["\n", SAYS[where] + "\n"]
    elif where == "when it ends":
        assert [process.stdout.readline() for _ in range(2)] == ["ends\n", "hangs\n"]
    while process.poll() is None:  # two that come at once are one
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    assert (process.returncode, process.stderr.read()) == (130, "\nended by the second Ctrl-C\n")


def test_sigterm_is_not_counted():
    """A launcher sends it beside the terminal's SIGINT, and its deadline is SIGKILL."""
    process = started(BODIES["in a training"])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTERM):
        process.send_signal(number)
    assert [process.stderr.readline() for _ in range(2)] == ["\n", SAYS["in a training"] + "\n"]
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130


def test_one_that_ends_by_itself_is_left_alone():
    process = started("""
try:
    with interrupts.CtrlC(), interrupts.SecondInterrupt(): print("hangs", flush=True); threading.Event().wait()
except KeyboardInterrupt:
    sys.exit(7)
""")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (7, "")


def test_ctrl_c_in_a_forked_child_is_not_its_parents():
    """A terminal sends it to both."""
    ended = []
    with handling({signal.SIGINT: lambda *_: None}), SecondInterrupt(ended.append) as second:
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGINT)
            os._exit(0)
        os.waitpid(child, 0)
        assert second.count == 0
    assert signal.set_wakeup_fd(-1) == -1
    assert ended == []


def test_the_block_leaves_what_was_there():
    before = threading.active_count()
    with SecondInterrupt():
        assert signal.set_wakeup_fd(-1) != -1
    for thread in threading.enumerate():
        if thread.name == "ctrl-c":
            thread.join(60)
    assert threading.active_count() == before


def test_another_thread_has_no_signals():
    found = []
    thread = threading.Thread(target=lambda: found.append(SecondInterrupt().__enter__().former))
    thread.start()
    thread.join()
    assert found == [None]


def test_ctrl_c_is_no_sigterm_while_a_library_handles_it():
    """MindSpore's handler in C sends SIGTERM, which Python does not see (SignalGuard, GraphScheduler::Run)."""
    process = started("""
libc.signal.restype = ctypes.c_void_p
def theirs(*_): os.kill(os.getpid(), signal.SIGTERM)
handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(theirs)
with interrupts.CtrlC(), interrupts.SignalFlag() as stop:
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    libc.signal(signal.SIGINT, handler)
    print("hangs", flush=True)
    while not stop.number:
        signal.pause()
    print(stop.number)
""")
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == (f"{int(signal.SIGINT)}\n", "")


def test_ctrl_c_comes_while_a_thread_is_waited_for():
    process = started("""
with interrupts.CtrlC():
    print("hangs", flush=True)
    threading.Event().wait()
""")
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=60)[1]


def test_the_block_of_ctrl_c_leaves_what_was_there():
    def state():
        return (
            signal.pthread_sigmask(signal.SIG_BLOCK, []),
            signal.getsignal(signal.SIGURG),
            threading.active_count(),
        )

    before = state()
    with interrupts.CtrlC():
        child = os.fork()
        if child == 0:
            os._exit(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))
        assert os.waitpid(child, 0)[1] == 0, "a forked child can be interrupted"
    assert state() == before
