"""Signals that wait, and handlers that are given back."""

from __future__ import annotations

import os
import signal

import pytest

from mindlift.interrupts import Deferred, SignalFlag, handling

ALL = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture
def heard():
    """Signals that reach the handlers from before the block."""
    found = []
    with handling(dict.fromkeys(ALL, lambda number, _: found.append(number))):
        yield found


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", ALL)
def test_a_flag_notes_the_first_of_a_kind(heard, number):
    with SignalFlag() as stop:
        assert stop.number == 0
        send(number)
        assert (stop.number, heard) == (number, [])
        send(number)
        assert heard == [number]
    send(number)
    assert heard == [number, number]


def test_a_flag_notes_the_first_kind(heard):
    """A launcher that is interrupted sends SIGTERM to ranks that the terminal has sent SIGINT."""
    with SignalFlag() as stop:
        send(signal.SIGINT)
        send(signal.SIGTERM)
        assert (stop.number, heard) == (signal.SIGINT, []), "what came first is the reason"


@pytest.mark.parametrize("number", ALL)
def test_a_deferred_interrupt_comes_at_the_end(heard, number):
    def work():
        with Deferred():
            send(number)
            done.append("all")

    done = []
    with pytest.raises(KeyboardInterrupt):
        work()
    assert (done, heard) == (["all"], [])


def test_a_deferred_interrupt_comes_where_it_is_asked_for(heard):
    with Deferred() as interrupts:
        interrupts.check()
        send(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
        interrupts.number = 0


def test_the_second_of_any_kind_is_not_deferred(heard):
    with Deferred() as interrupts:
        send(signal.SIGINT)
        send(signal.SIGTERM)
        assert heard == [signal.SIGTERM]
        interrupts.number = 0


def test_an_error_is_not_replaced_by_an_interrupt(heard):
    def work():
        with Deferred():
            send(signal.SIGINT)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()


def test_handlers_are_given_back_after_an_error():
    before = [signal.getsignal(number) for number in ALL]
    with pytest.raises(ZeroDivisionError), handling(dict.fromkeys(ALL, signal.SIG_IGN)):
        raise ZeroDivisionError
    assert [signal.getsignal(number) for number in ALL] == before


def test_a_hangup_that_nohup_has_ignored_stays_ignored():
    with handling({signal.SIGHUP: signal.SIG_IGN}), SignalFlag() as stop:
        send(signal.SIGHUP)
        assert stop.number == 0
