"""JSON as RFC 8259 defines it, without NaN and infinity: both become null."""

from __future__ import annotations

import json
import math
from typing import Any


def finite(value: Any) -> Any:
    """The same dicts and lists, with None for every float that is not finite.

    >>> finite({"loss": float("nan"), "curve": [1.5, float("inf")]})
    {'loss': None, 'curve': [1.5, None]}
    """
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def dumps(value: Any, *, ensure_ascii: bool = True) -> str:
    """JSON in one line.

    >>> dumps({"perplexity": float("inf")})
    '{"perplexity": null}'
    """
    try:
        return json.dumps(value, allow_nan=False, ensure_ascii=ensure_ascii)
    except ValueError:  # a number that is not finite; most values are written without a copy
        return json.dumps(finite(value), allow_nan=False, ensure_ascii=ensure_ascii)
