"""Waiting for an input that may fall silent: a pipe, a terminal, standard input."""

from __future__ import annotations

import select
import sys

ASK_MS = 50  # how long the end of a run may go unnoticed


class Inlet:
    """Wait until an input has something to read, or until `closed` is set.

    The reading thread waits; any thread may close.

    Attributes:
        closed: set to let nothing more in: whoever waits is told that it is the end.
        waiting: whether the reading thread waits for its input.
        ended: whether an input was told to end before it did.
    """

    def __init__(self) -> None:
        self.closed = self.waiting = self.ended = False

    def wait(self, descriptor: int) -> bool:
        """Wait until *descriptor* can be read; return False once closed."""
        if sys.platform == "win32":
            return not self.closed  # nothing there waits for a pipe
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        self.waiting = True
        try:
            while not self.closed:
                if poll.poll(ASK_MS):
                    return True
        finally:
            self.waiting = False
        self.ended = True
        return False
