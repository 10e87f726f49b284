"""How long a piece of work holds Python's interpreter lock, by looking at it from another process.

CPython keeps the state of the thread that has the lock in its global `_PyRuntime`, and null where no thread has it. The
place is found by what stands there while a process sleeps; the work runs in a forked child and is looked at some ten
thousand times a second. There a thread does it, as in a pipeline: the main thread's part of the heap is given back to the system
whenever it is free, and taking it again costs time under the lock that no worker spends. For Linux, and CPython up to 3.11, where there is one lock for all interpreters.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import threading
import time
from collections.abc import Callable

SEARCHED = 1 << 13  # bytes of _PyRuntime, which is larger
NULL = bytes(8)


def candidates() -> list[int]:
    """Addresses in _PyRuntime with the state of this thread, which has the lock."""
    state = ctypes.pythonapi.PyThreadState_Get
    state.restype = ctypes.c_void_p
    base = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime"))
    found = ctypes.string_at(base, SEARCHED)
    wanted = struct.pack("P", state())
    return [base + i for i in range(0, len(found) - 7, 8) if found[i : i + 8] == wanted]


def cpu_clock(process: int) -> int:
    """Linux's number of the clock of a process's CPU time (CPUCLOCK_SCHED)."""
    return (~process << 3) | 2


def endless(work: Callable[[], None], tell: int) -> None:
    """Once; then, said on `tell`, a time without the lock; then for ever."""
    work()
    os.write(tell, b"1")
    time.sleep(0.3)
    while True:
        work()


def locked_share(work: Callable[[], None], seconds: float) -> float:
    """The share of the time in which the lock is held while `work` is done over and over in one thread."""
    places, (ready, tell) = candidates(), os.pipe()
    child = os.fork()
    if not child:
        try:
            thread = threading.Thread(target=endless, args=(work, tell))
            thread.start()
            thread.join()
        finally:
            os._exit(1)
    try:
        if not os.read(ready, 1):
            raise RuntimeError("the work failed")
        time.sleep(0.1)
        memory = os.open(f"/proc/{child}/mem", os.O_RDONLY)
        places = [place for place in places if os.pread(memory, 8, place) == NULL]
        if not places:
            raise RuntimeError("this Python keeps its lock elsewhere")
        time.sleep(0.3)
        held = looks = 0
        ends, spent = time.monotonic() + seconds, 0.0
        while time.monotonic() < ends or not looks:
            is_held, before = os.pread(memory, 8, places[0]) != NULL, spent
            spent = time.clock_gettime(cpu_clock(child))
            if (
                spent > before
            ):  # else other programs run in its place: what they find it at would count too often
                held += is_held
                looks += 1
            time.sleep(0.00005)
        os.close(memory)
        return held / looks
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
        os.close(tell)
