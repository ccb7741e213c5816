"""One machine in virtual time: a loop and threads, one step at a time, by a seed.

The threads of a run are greenlets here. Only one thing runs at any moment; what runs
next, and how long everything takes, the seed decides. So a run that goes wrong can be
had again, and a run that would wait for ever is found at once.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import queue
import random
import selectors
import sys
import time
import zlib
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from random import Random
from typing import Any, TypeVar
from unittest.mock import patch

import greenlet

T = TypeVar("T")

LAST_EVENTS = 40


class Crash(BaseException):
    """End a thread or a task of a process that was killed."""


class Deadlock(AssertionError):
    """Report that everybody waits for somebody else."""


class _Thread:
    """A greenlet, and what it waits for."""

    def __init__(self, name: str, run: Callable[[], None]) -> None:
        self.name = name
        self.greenlet = greenlet.greenlet(run)
        self.ready: Callable[[], bool] = lambda: True
        self.until_s: float | None = None


class Machine:
    """Run a coroutine and its threads as *seed* decides, until *crash_at* steps.

    Args:
        seed: decides who runs next, and where a thread is interrupted.
        crash_at: the step at which the process is killed; None for never.
        on_crash: called at that moment, before anything is cleaned up.

    Attributes:
        now_s: what every clock of the machine says.
        steps: how far the run came.
        dead: whether the process was killed.
        digest: equal for two runs that did the same.
        events: the last of what happened.
    """

    def __init__(
        self,
        seed: int,
        *,
        crash_at: int | None = None,
        on_crash: Callable[[], object] = lambda: None,
    ) -> None:
        self.random = Random(seed)
        self._seed = seed
        self.now_s = 0.0
        self.steps = 0
        self.dead = False
        self.digest = 0
        self.events: deque[str] = deque(maxlen=LAST_EVENTS)
        self._crash_at = crash_at
        self._on_crash = on_crash
        self._threads: list[_Thread] = []
        self._running: _Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run *main* on this machine, as ``asyncio.run`` would.

        Raises:
            Crash: the process was killed on the way.
            Deadlock: nobody could go on.
        """

        def make_loop() -> asyncio.AbstractEventLoop:
            self._loop = _Loop(self)
            return self._loop

        with self._installed():
            try:
                with asyncio.Runner(loop_factory=make_loop) as runner:
                    return runner.run(main)
            except BaseException as error:
                if self.dead:
                    raise Crash from error
                raise

    def note(self, event: str) -> None:
        """Remember what happened, and make it part of the digest."""
        who = self._running.name if self._running else "loop"
        line = f"{self.steps} {self.now_s:.4f} {who}: {event}"
        self.events.append(line)
        self.digest = zlib.crc32(line.encode(), self.digest)

    def tick(self) -> None:
        """Count a step; this is where the process may be killed."""
        if self.dead and self._running is not None:
            raise Crash
        self.steps += 1
        if self.steps == self._crash_at:
            self.crash()

    def crash(self) -> None:
        """Kill the process: what is durable now is all that is left of it."""
        if not self.dead:
            self.note("crash")
            self._on_crash()
            self.dead = True
            assert self._loop is not None
            # Whatever its tasks and threads end with, nobody is there to hear of it.
            self._loop.set_exception_handler(lambda *_: None)
        if self._running is not None:
            raise Crash

    def pause(self, *, share: float) -> None:
        """Let somebody else run, in a *share* of the cases."""
        self.tick()
        if self._running is not None and self.random.random() < share:
            self._wait(lambda: True)

    def sleep(self, seconds: float) -> None:
        """Hold up the running thread; the loop cannot be held up."""
        if self._running is not None and seconds > 0:
            self._wait(lambda: False, self.now_s + seconds)

    def wait(self, ready: Callable[[], bool], timeout_s: float | None) -> None:
        """Wait in a thread until it is *ready*, or the time is over."""
        if self._running is None:
            assert ready(), "the loop itself must never wait for a thread"
        elif not ready() or self.random.random() < 0.5:
            until_s = None if timeout_s is None else self.now_s + timeout_s
            self._wait(ready, until_s)

    def _wait(self, ready: Callable[[], bool], until_s: float | None = None) -> None:
        thread = self._running
        assert thread is not None
        thread.ready, thread.until_s = ready, until_s
        thread.greenlet.parent.switch()
        if self.dead:
            raise Crash

    def start(self, work: Callable[[], T]) -> concurrent.futures.Future[T]:
        """Begin a thread."""
        future: concurrent.futures.Future[T] = concurrent.futures.Future()

        def run() -> None:
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001  # as an executor does
                future.set_exception(error)
            else:
                future.set_result(result)

        name = f"thread {len(self._threads)}"
        self._threads.append(_Thread(name, run))
        return future

    def step(self, timeout_s: float | None) -> None:
        """Do what comes next: a thread's turn, or the next moment of the clock."""
        self.tick()
        if self.dead:
            self._let_go()
        runnable = [one for one in self._threads if self._may_run(one)]
        idle = timeout_s is None or timeout_s > 0
        if runnable and (idle or self.random.random() < 0.5):
            self._resume(self.random.choice(runnable))
        elif idle:
            self._jump(timeout_s)

    def _let_go(self) -> None:
        """Cancel what is left of a dead process; its threads end at their next turn."""
        assert self._loop is not None
        for task in asyncio.all_tasks(self._loop):
            task.cancel()

    def _may_run(self, thread: _Thread) -> bool:
        over = thread.until_s is not None and thread.until_s <= self.now_s
        return self.dead or over or thread.ready()

    def _resume(self, thread: _Thread) -> None:
        self._running = thread
        try:
            thread.greenlet.switch()
        finally:
            self._running = None
        if thread.greenlet.dead:
            self._threads.remove(thread)

    def _jump(self, timeout_s: float | None) -> None:
        moments = [one.until_s for one in self._threads if one.until_s is not None]
        if timeout_s is not None:
            moments.append(self.now_s + timeout_s)
        if not moments:
            raise Deadlock("nobody can go on: " + "; ".join(self.events))
        self.now_s = max(self.now_s, min(moments))

    @contextmanager
    def _installed(self) -> Iterator[None]:
        """Give what blocks a thread, and every clock of the pipeline, to the machine.

        A thread of a run blocks in two places: it waits for the loop (the result of a
        future) and for the next item of a queue.
        """
        result = concurrent.futures.Future.result

        def wait_for_result(
            future: concurrent.futures.Future[T], timeout: float | None = None
        ) -> T:
            self.wait(future.done, timeout)
            return result(future, 0)

        with ExitStack() as stack:
            enter = stack.enter_context
            enter(patch.object(concurrent.futures.Future, "result", wait_for_result))
            made = functools.partial(_Queue, self)
            enter(patch.object(queue, "SimpleQueue", made))
            # tenacity draws its backoff from the module's own generator.
            stack.callback(random.setstate, random.getstate())
            random.seed(self._seed)
            for module in _with_a_clock():
                enter(patch.object(module, "monotonic", lambda: self.now_s))
            yield


@functools.cache
def _with_a_clock() -> tuple[Any, ...]:
    named = [one for name, one in sys.modules.items() if name.startswith("aip_p")]
    real = time.monotonic
    return tuple(one for one in named if getattr(one, "monotonic", None) is real)


class _Queue:
    """A `queue.SimpleQueue` whose waiting is the machine's."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._items: deque[Any] = deque()

    def put(self, item: object) -> None:
        self._items.append(item)

    def get(self, *, timeout: float | None = None) -> Any:
        self._machine.wait(lambda: bool(self._items), timeout)
        if not self._items:
            raise queue.Empty
        return self._items.popleft()

    def qsize(self) -> int:
        return len(self._items)


class _Selector(selectors.DefaultSelector):
    """A selector that asks the machine instead of the system; there are no sockets."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self._machine = machine

    def select(
        self, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, int]]:
        self._machine.step(timeout)
        return []


class _Loop(asyncio.SelectorEventLoop):
    """An event loop on a machine: its clock, its threads."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        super().__init__(_Selector(machine))

    def time(self) -> float:
        return self._machine.now_s

    def run_in_executor(  # type: ignore[override]  # every executor is the machine
        self, executor: object, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        del executor
        started = self._machine.start(functools.partial(func, *args))
        return asyncio.wrap_future(started, loop=self)

    def _write_to_self(self) -> None:
        """Wake nobody: the machine looks at everything at each step."""
