"""Plain values for JSON, of dataclasses, arrays and tables."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pandas as pd

from anemia_lightning.metrics.estimates import Estimate
from anemia_lightning.metrics.intervals import Interval


def plain(value: object) -> Any:  # noqa: ANN401 (whatever JSON holds)
    """Returns a value as JSON has it: lists, dicts by text, texts, numbers; None for what is no finite number.

    A table becomes a list of its rows.

    Example:
        >>> plain({"a": np.array([1.0, np.nan]), "b": (np.int64(2), True)})
        {'a': [1.0, None], 'b': [2, True]}
        >>> plain(pd.DataFrame({"photo": ["007"], "width": [np.nan]}))
        [{'photo': '007', 'width': None}]
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, pd.DataFrame):
        value = value.to_dict("records")
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def estimate(interval: Interval, method: str) -> Any:  # noqa: ANN401 (whatever JSON holds)
    """Returns an interval and its method as an estimate of the file."""
    return plain(Estimate.of(interval, method))
