"""Ctrl-C: the first in good order, the second at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest

from lingting.cli.stopping import STOPPING, StoppableInput, Stopped, Stops, stoppable

# A main thread that takes its time to stop, as native code does.
STUBBORN = """
import time
from lingting.cli.stopping import stoppable
with stoppable():
    try:
        print("ready", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("first", flush=True)
        time.sleep(60)
"""


def test_the_first_raises_and_the_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Stopped) as caught:
        stop_myself()
    assert caught.value.signum == signal.SIGTERM
    assert signal.getsignal(signal.SIGINT) is before


def stop_myself() -> None:
    with stoppable():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)


def test_a_stop_that_was_lost_is_found_again() -> None:
    with stoppable() as stops:
        stops.check()
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        except KeyboardInterrupt:
            pass  # as a callback of a foreign library may do
        with pytest.raises(Stopped):
            stops.check()


def test_a_pipe_nobody_writes_to_ends_when_a_stop_is_asked_for() -> None:
    reader, writer = os.pipe()
    stops = Stops()
    stream = StoppableInput(reader, stops)
    os.write(writer, b"abc")
    assert (stream.read(0), stream.read(2), stream.read()) == (b"", b"ab", b"c")
    threading.Timer(0.1, lambda: suppressed(stops)).start()
    assert stream.read(1) == b""
    os.close(writer)
    os.close(reader)


def suppressed(stops: Stops) -> None:
    with suppress(Stopped):
        stops.handle(signal.SIGINT, None)


def test_the_second_ends_at_once_but_an_echo_of_the_first_does_not() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STUBBORN],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "first\n"
    process.send_signal(signal.SIGINT)  # a wrapper passes the same press on
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=5)
    assert process.returncode == 130
    assert err.count(STOPPING) == 1
