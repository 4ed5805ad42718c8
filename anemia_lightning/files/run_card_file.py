"""Reading run.json, without the callback that writes it."""

import json
from pathlib import Path
from typing import Any


def read_run_card(path: Path) -> dict[str, Any]:
    """Returns what run.json holds; nothing if there is none, or one that is damaged: the model is worth more."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    is_whole = isinstance(content, dict) and isinstance(content.get("sessions"), list)
    return content if is_whole else {}
