import numpy as np
import pandas as pd

from anemia_lightning.contracts import MANIFEST_COLUMNS, UNKNOWN_LABEL
from anemia_lightning.data.exclusions import add_excluded, set_excluded_aside
from anemia_lightning.data.manifest import build_manifest


def manifest() -> pd.DataFrame:
    return build_manifest(
        [
            {"photo": f"s/{name}.png", "path": name, "label": label, "hemoglobin_g_dl": 9.5, "redness": 1.5}
            for label, name in enumerate("bd")
        ]
    )


def test_what_is_excluded_stands_among_the_others_with_its_reason() -> None:
    rows = [{"photo": "s/c.png", "path": "c", "patient": "7", "exclude_reason": "no haemoglobin"}]
    rows += [{"photo": "s/a.png", "path": "a", "hemoglobin_g_dl": "_", "exclude_reason": "eliminated"}]
    both = add_excluded(manifest(), rows)
    assert tuple(both) == (*MANIFEST_COLUMNS, "redness", "exclude_reason")
    assert both["photo"].tolist() == ["s/a.png", "s/b.png", "s/c.png", "s/d.png"]
    assert both["exclude_reason"].tolist() == ["eliminated", "", "no haemoglobin", ""]
    assert both["patient"].tolist() == ["s/a.png", "s/b.png", "7", "s/d.png"]
    assert both["label"].tolist() == [UNKNOWN_LABEL, 0, UNKNOWN_LABEL, 1]
    assert both["label"].dtype == np.int64
    assert both["hemoglobin_g_dl"].fillna(-1).tolist() == [-1, 9.5, -1, 9.5]
    assert set(both["mask"]) == {""}


def test_setting_aside_divides_them_again() -> None:
    rows = [{"photo": "s/c.png", "path": "c", "exclude_reason": "no haemoglobin"}]
    photos, excluded = set_excluded_aside(add_excluded(manifest(), rows))
    pd.testing.assert_frame_equal(photos, manifest())
    assert excluded[["photo", "reason"]].to_dict("list") == {"photo": ["s/c.png"], "reason": ["no haemoglobin"]}
    assert "exclude_reason" not in excluded


def test_without_exclusions_nothing_is_set_aside() -> None:
    for source in (manifest(), add_excluded(manifest(), [])):
        photos, excluded = set_excluded_aside(source)
        pd.testing.assert_frame_equal(photos, manifest())
        assert excluded.empty
        assert "reason" in excluded
