"""Time that passes only when somebody waits, for everything in this process.

What is asleep wakes at its moment: a request that the exchange delays is processed while the client
sleeps, as it would be, and nobody waits for it in earnest.
"""

import asyncio
import concurrent.futures
import selectors
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import time_machine

START = 1_790_000_000.0
_NAMES = ("sleep", "monotonic", "monotonic_ns")


class Timeline:
    """A context manager; inside it ``sleep`` returns at once and the clocks have moved."""

    def __init__(self) -> None:
        self._elapsed_ns = 0
        self._lock = threading.RLock()
        self._travel = time_machine.travel(START, tick=False)
        self._real = {name: getattr(time, name) for name in _NAMES}
        self._loop_maker = asyncio.new_event_loop
        self._future_result = concurrent.futures.Future.result
        self.loop: asyncio.AbstractEventLoop

    def __enter__(self) -> "Timeline":
        self._traveller = self._travel.start()
        for name in _NAMES:
            setattr(time, name, getattr(self, name))
        asyncio.new_event_loop = self.new_loop
        real_result = self._future_result

        def result(future: Any, timeout: float | None = None) -> Any:
            # What another thread does takes no time here, and the transport keeps its deadline.
            return real_result(future, None if timeout is None or timeout > 0 else timeout)

        concurrent.futures.Future.result = result
        self.loop = self.new_loop()
        return self

    def __exit__(self, *failure: object) -> None:
        with self._lock:
            # (The thread of a call that was given up may still be on the exchange's side.)
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self._real_run(asyncio.sleep(0))
            self.loop.close()
        asyncio.new_event_loop = self._loop_maker
        concurrent.futures.Future.result = self._future_result
        for name, function in self._real.items():
            setattr(time, name, function)
        self._travel.stop()

    def new_loop(self) -> asyncio.AbstractEventLoop:
        """An event loop whose timers are due by this time."""
        return asyncio.SelectorEventLoop(_Impatient(self._pass))

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run this on the exchange's side, with everything else that is going on there."""
        with self._lock:
            return self._real_run(work)

    def _real_run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def _pass(self, seconds: float) -> None:
        # Up to a whole microsecond: a timer must not find itself a hair too early.
        passed = int(seconds * 1_000_000 + 1) * 1000
        self._elapsed_ns += passed
        self._traveller.shift(passed / 1e9)

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            self.run(asyncio.sleep(seconds))

    def monotonic(self) -> float:
        return self._elapsed_ns / 1e9

    def monotonic_ns(self) -> int:
        return self._elapsed_ns


class _Impatient(selectors.DefaultSelector):
    """Lets time pass instead of waiting for it."""

    def __init__(self, let_pass: Callable[[float], None]) -> None:
        super().__init__()
        self._let_pass = let_pass

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0 if timeout is not None else None)
        if not ready and timeout:
            self._let_pass(timeout)
        return ready
