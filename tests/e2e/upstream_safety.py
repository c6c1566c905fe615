"""Classifiers: Azure AI Content Safety, OpenAI's moderation, and the verdicts of a guard model, by words in the text.

Decides verdicts from markers: FORBIDDEN is violent, ATTACK an attack, UNWELL is answered with 500, SLOW not for ten
seconds. Sources: Content Safety `text:analyze` and `text:shieldPrompt` (2024-09-01), `POST /moderations`.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

CATEGORIES = ["hate", "hate/threatening", "harassment", "harassment/threatening", "self-harm", "self-harm/intent",
              "self-harm/instructions", "sexual", "sexual/minors", "violence", "violence/graphic", "illicit", "illicit/violent"]


def has(path: str) -> bool:
    return path.startswith("/contentsafety/") or path.endswith("/moderations")


def analyzed(asked: dict[str, Any]) -> dict[str, Any]:
    severity = 6 if "FORBIDDEN" in asked["text"] else 0
    return {"blocklistsMatch": [], "categoriesAnalysis": [
        {"category": c, "severity": severity if c == "Violence" else 0} for c in asked["categories"]]}


def shielded(asked: dict[str, Any]) -> dict[str, Any]:
    return {"userPromptAnalysis": {"attackDetected": "ATTACK" in asked["userPrompt"]},
            "documentsAnalysis": [{"attackDetected": "ATTACK" in d} for d in asked["documents"]]}


def moderated(asked: dict[str, Any]) -> dict[str, Any]:
    bad = "FORBIDDEN" in asked["input"]
    flags = {c: bad and c == "violence" for c in CATEGORIES}
    scores = {c: 0.97 if flags[c] else 0.001 for c in CATEGORIES}
    return {"id": "modr-1", "model": asked["model"],
            "results": [{"flagged": bad, "categories": flags, "category_scores": scores}]}


async def judge(x: Any, state: Any) -> None:
    text = x.body.decode()
    state.records.append({"model": "safety", "method": x.method, "path": x.target, "headers": x.headers, "body": text,
                          "at": time.time()})
    if "SLOW" in text:
        await asyncio.sleep(10)
    if "UNWELL" in text:
        return await x.answer(500, {"error": {"code": "InternalError", "message": "unwell"}})
    asked = json.loads(text)
    answer = moderated if x.path.endswith("/moderations") else shielded if "shield" in x.path else analyzed
    await x.answer(200, answer(asked))
