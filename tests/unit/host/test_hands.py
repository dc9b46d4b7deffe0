"""Threads that work on one clip each."""

import threading
import time

from lingting.host.hands import Hands


def test_so_many_work_at_a_time_and_say_when_they_are_free() -> None:
    freed, gate = threading.Semaphore(0), threading.Event()
    hands = Hands(2, freed.release)
    for _ in range(2):
        assert hands.is_free
        hands.give(lambda: bool(gate.wait(10)) and None)
    assert (hands.busy, hands.is_free) == (2, False)
    time.sleep(0.02)
    assert hands.longest_s >= 0.02
    gate.set()
    assert freed.acquire(timeout=10)
    assert freed.acquire(timeout=10)
    hands.wait()
    assert (hands.busy, hands.is_free, hands.longest_s) == (0, True, 0.0)
    hands.close()


def test_work_that_fails_frees_its_hand() -> None:
    freed = threading.Semaphore(0)
    hands = Hands(1, freed.release)
    hands.give(lambda: 1 // 0 and None)
    assert freed.acquire(timeout=10)
    assert hands.is_free
    hands.close()


def test_a_hand_that_cannot_begin_is_free_again() -> None:
    hands = Hands(1, lambda: None)
    hands.close()
    try:
        hands.give(lambda: None)
    except RuntimeError:
        assert hands.is_free
    else:
        raise AssertionError("a thread after the end")
