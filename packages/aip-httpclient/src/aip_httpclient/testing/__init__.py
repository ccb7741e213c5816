"""A loopback server that misbehaves on purpose, and a clock that does not wait.

Public, because whoever builds on the client has the same tests to write.
"""

from __future__ import annotations

from ._clock import FakeClock, run_in_fake_time
from ._faults import Brownout, Faults, Latency
from ._model import Fate, FaultModel
from ._server import FaultServer
from ._wire import ModelClient

__all__ = [
    "Brownout",
    "FakeClock",
    "Fate",
    "FaultModel",
    "FaultServer",
    "Faults",
    "Latency",
    "ModelClient",
    "run_in_fake_time",
]
