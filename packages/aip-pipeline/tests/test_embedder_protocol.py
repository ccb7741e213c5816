from __future__ import annotations

import subprocess
import sys

import pytest

from aip_pipeline.embedders import BatchProfile


@pytest.mark.parametrize("field", ["max_texts", "max_tokens", "max_bytes"])
def test_profile_refuses_a_bound_below_one(field: str) -> None:
    bounds = {"max_texts": 1, "max_tokens": 1, "max_bytes": 1, field: 0}
    with pytest.raises(ValueError, match=f"{field} must be at least 1, not 0"):
        BatchProfile(**bounds)


def test_profile_refuses_tokens_of_no_bytes() -> None:
    with pytest.raises(ValueError, match="bytes_per_token must be > 0"):
        BatchProfile(max_texts=1, max_tokens=1, max_bytes=1, bytes_per_token=0)


def test_token_estimate_rounds_up() -> None:
    profile = BatchProfile(max_texts=1, max_tokens=1, max_bytes=1, bytes_per_token=3)
    assert [profile.estimate_tokens(n) for n in (0, 1, 3, 4)] == [0, 1, 1, 2]


def test_import_is_light() -> None:
    heavy = "{'numpy', 'aiohttp', 'tokenizers', 'safetensors', 'wordllama'}"
    code = f"import sys, aip_pipeline.embedders; print({heavy} & set(sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == "set()"
