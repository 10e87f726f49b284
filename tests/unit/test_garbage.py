"""When Python searches for unreachable objects, and when it does not."""

from __future__ import annotations

import gc
import weakref

import pytest

from mindlift import garbage


class Node:
    """Reaches itself, so that only a search finds that nobody else reaches it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def usual():
    """As a process begins, whatever other tests have left."""
    gc.unfreeze()
    gc.enable()
    yield
    gc.unfreeze()
    gc.enable()


def test_what_was_there_is_searched_afterwards_and_not_meanwhile(usual):
    old = weakref.ref(Node())
    with garbage.put_off():
        assert not gc.isenabled()
        new = weakref.ref(Node())
        gc.collect()  # as MindSpore does before it compiles
        assert new() is None
        assert old() is not None
    assert gc.isenabled()
    gc.collect()
    assert old() is None


def failing() -> None:
    with garbage.put_off():
        with garbage.put_off():
            pass
        assert not gc.isenabled()
        assert gc.get_freeze_count() > 0
        raise KeyError


def test_an_error_ends_it_and_one_within_another_does_not(usual):
    with pytest.raises(KeyError):
        failing()
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_it_can_be_ended_before_its_block(usual):
    with garbage.put_off():
        garbage.resume()
        assert gc.isenabled()
        assert gc.get_freeze_count() == 0
    assert gc.isenabled()


def test_what_a_program_has_chosen_stays(usual):
    """A server that forks, and has frozen what its children share."""
    gc.disable()
    gc.freeze()
    with garbage.put_off():
        pass
    assert not gc.isenabled()
    assert gc.get_freeze_count() > 0
