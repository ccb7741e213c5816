"""The other end of `labs.fresh`: ``python -m labs._child MODULE FUNCTION``."""

from __future__ import annotations

import importlib
import json
import sys
import time

from labs._measure import peak_bytes


def main() -> None:
    """Call the function with the arguments on stdin; print what it cost as JSON."""
    module, name = sys.argv[1:]
    function = getattr(importlib.import_module(module), name)
    args, kwargs = json.load(sys.stdin)
    start_bytes = peak_bytes()
    start = time.perf_counter()
    value = function(*args, **kwargs)
    seconds = time.perf_counter() - start
    cost = {"start_bytes": start_bytes, "seconds": seconds, "peak_bytes": peak_bytes()}
    print(f"\n{json.dumps({'value': value, **cost})}")


if __name__ == "__main__":
    main()
