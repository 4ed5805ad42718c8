"""A few tables of photos, as a preparation would hand them to an audit."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from anemia_lightning.contracts import GRAINS, MANIFEST_COLUMNS

Table = Callable[..., pd.DataFrame]


@pytest.fixture
def table() -> Table:
    """Builds a manifest with GROUP_COLUMNS of as many photos as there are labels; each a photograph of its own."""

    def build(labels: list[int], **columns: list[Any]) -> pd.DataFrame:
        size = len(labels)
        photos = [f"s/{number}.png" for number in range(size)]
        texts = dict.fromkeys(MANIFEST_COLUMNS, [""] * size)
        numbers = dict.fromkeys(
            ("age_months", "hemoglobin_g_dl", "altitude_m", "cigarettes_per_day"), [float("nan")] * size
        )
        own = {"photo": photos, "patient": photos, "photo_group": photos, "source": ["s"] * size, "label": labels}
        groups = {f"group_{grain}": photos for grain in GRAINS}
        given = {
            name: [photos[value] for value in values] if name.startswith("group_") else values
            for name, values in columns.items()
        }
        return pd.DataFrame({**texts, **numbers, **own, **groups, **given})

    return build


@pytest.fixture
def facts() -> Table:
    """Builds the survey of a manifest: opaque PNG files of 40 by 30 pixels, unless told otherwise."""

    def build(manifest: pd.DataFrame, **columns: list[Any]) -> pd.DataFrame:
        usual: dict[str, Any] = {
            "format": "PNG",
            "mode": "RGB",
            "width": 40,
            "height": 30,
            "orientation": 1,
            "notes": "",
        }
        usual |= {"file_bytes": 900, "tissue_share": 1.0, "tissue_pixels": 1200, "sharpness": 50.0}
        usual |= {"clipped_dark": 0.0, "clipped_bright": 0.0}
        rows = pd.DataFrame({"photo": manifest["photo"], "file_sha256": manifest["group_bytes"]})
        return rows.assign(**usual).assign(**columns)

    return build
