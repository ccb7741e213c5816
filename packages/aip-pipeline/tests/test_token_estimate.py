"""How near the estimate of tokens comes to what tokenizers count."""
# ruff: noqa: RUF001  # Chinese has commas of its own

from __future__ import annotations

import json

import pytest

from aip_pipeline._tokens import HIGHEST, TokenEstimate
from aip_pipeline.embedders import open_embedder

ENGLISH = (
    "Boil the water, wait a minute, then pour it over the leaves. Green tea wants less "
    "heat than black tea does; after three minutes it turns bitter, and nobody who has "
    "once tasted the difference will forget the clock again."
)
GERMAN = (
    "Der letzte Zug fährt um Mitternacht vom Bahnhof ab. Wer ihn verpasst, wartet bis "
    "zum frühen Morgen und nimmt besser ein Taxi, was in den Bergen teuer wird. Die "
    "Karte gilt am Tag der Reise im ganzen Land, in jedem Zug und in jedem Bus, und am "
    "Schalter bezahlt man daher mehr, doch im Netz steht es besser."
)
CODE = """\
def backoff(attempt: int, *, base_s: float = 0.2, cap_s: float = 10.0) -> float:
    \"\"\"Return how long to wait before the next attempt, in seconds.\"\"\"
    if attempt < 1:
        raise ValueError(f"attempt must be at least 1, not {attempt}")
    return random.uniform(0.0, min(cap_s, base_s * 2 ** (attempt - 1)))
"""
JSON = json.dumps(
    {"id": 48213, "user": "a.smith@example.com", "at": "2026-03-11T08:41:07Z"}
    | {"items": [{"sku": "B-1093", "price": 12.5, "count": 3}], "paid": True}
)
LOG = (
    '2026-03-11T08:41:07.531Z INFO 10.0.41.7 "GET /v1/users/48213 HTTP/1.1" 200 5120 '
    "in 17.3 ms, request 9f3c1ab27de04410"
)
CHINESE = (
    "先把水烧开，等一分钟，再慢慢倒在茶叶上。绿茶的水温要比红茶低，三分钟以后就会发苦。"
)
JAPANESE = (
    "お湯を沸かして一分待ち、それから茶葉に注ぎます。緑茶は紅茶より低い温度が合います。"
)
KOREAN = (
    "물을 끓이고 일 분 기다린 다음 찻잎 위에 천천히 부으세요. "
    "녹차는 홍차보다 낮은 온도가 좋습니다."
)
RUSSIAN = (
    "Вскипятите воду, подождите минуту и залейте чайные листья. Зелёный чай заваривают "
    "не такой горячей водой, как чёрный."
)
# Each with the tokens that cl100k_base makes of it, as bpe-openai 0.1.4 counts.
TEXTS = {
    "English": (ENGLISH, 47),
    "German": (GERMAN, 87),
    "code": (CODE, 96),
    "JSON": (JSON, 66),
    "log": (LOG, 63),
    "Chinese": (CHINESE, 56),
    "Japanese": (JAPANESE, 48),
    "Korean": (KOREAN, 58),
    "Russian": (RUSSIAN, 58),
}


def estimated(text: str, spec: str) -> int:
    estimate = TokenEstimate(spec)
    estimate.add([text.encode()])
    return estimate.tokens


@pytest.mark.parametrize("kind", TEXTS)
def test_the_estimate_is_near_what_openai_counts(kind: str) -> None:
    text, counted = TEXTS[kind]
    assert estimated(text, "openai:any") == pytest.approx(counted, rel=HIGHEST - 1)


@pytest.mark.parametrize("kind", TEXTS)
async def test_the_estimate_is_near_what_the_local_embedder_counts(kind: str) -> None:
    text, _ = TEXTS[kind]
    async with open_embedder("local") as embedder:
        await embedder.embed([text])
    counted = embedder.usage.tokens
    assert estimated(text, "local") == pytest.approx(counted, rel=HIGHEST - 1)


def test_a_prefix_is_counted_with_every_text() -> None:
    bare, prefixed = TokenEstimate("openai:m"), TokenEstimate("openai:m?prefix=query+")
    for estimate in (bare, prefixed):
        estimate.add([b"one", b"two"])
    assert prefixed.tokens > bare.tokens
