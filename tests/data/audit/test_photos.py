"""Counting photos and measuring their files."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2_contingency

from anemia_lightning.data.audit.photos import (
    count_classes,
    count_excluded,
    count_missing,
    describe_photos,
    find_outliers,
    measure_associations,
    measure_files,
)
from anemia_lightning.data.group_columns import ELDERLY, INFANTS

Table = Callable[..., pd.DataFrame]


def test_photos_are_counted_by_each_value_the_commonest_first_and_the_unknown_last(table: Table, facts: Table) -> None:
    manifest = table([1, 1, 0, 1], site=["", "B", "A", "B"], patient=["p", "q", "r", "q"])
    counts = count_classes(describe_photos(manifest, facts(manifest)))
    by_site = counts[counts["column"] == "site"].drop(columns="column").to_dict("records")
    assert by_site == [
        {"value": "B", "photos": 2, "patients": 1, "anaemic": 2, "share": 1.0},
        {"value": "A", "photos": 1, "patients": 1, "anaemic": 0, "share": 0.0},
        {"value": "unknown", "photos": 1, "patients": 1, "anaemic": 1, "share": 1.0},
    ]
    assert "sex" not in set(counts["column"]), "nobody's sex is given"


def test_patients_are_counted_whom_the_data_name(table: Table, facts: Table) -> None:
    manifest = table([1, 1, 0], site=["A", "A", "A"])
    manifest.loc[0, "patient"] = "p"
    counts = count_classes(describe_photos(manifest, facts(manifest)), ["site"])
    assert counts["patients"].tolist() == [1]


def test_age_bands_are_those_of_the_report_from_the_youngest(table: Table, facts: Table) -> None:
    ages = [800, 3, 30, 800, float("nan")]
    manifest = table([0, 1, 0, 1, 1], age_months=ages)
    counts = count_classes(describe_photos(manifest, facts(manifest)))
    assert counts.loc[counts["column"] == "age_band", "value"].tolist() == [INFANTS, "24-59 months", ELDERLY, "unknown"]


def test_a_photo_that_was_not_surveyed_is_not_passed_over(table: Table, facts: Table) -> None:
    manifest = table([0, 1])
    with pytest.raises(AssertionError, match="a photo was not surveyed"):
        describe_photos(manifest, facts(manifest).head(1))


@pytest.mark.parametrize("seed", range(5))
def test_the_association_is_cramers(seed: int, table: Table, facts: Table) -> None:
    rng = np.random.default_rng(seed)
    sites = rng.choice(["A", "B", "C"], 60).tolist()
    manifest = table(rng.integers(0, 2, 60).tolist(), site=sites, severity=sites)
    associations = measure_associations(describe_photos(manifest, facts(manifest)))
    row = associations.set_index("column").loc["site"]
    observed = pd.crosstab(manifest["site"], manifest["label"]).to_numpy()
    expected = np.outer(observed.sum(axis=1), observed.sum(axis=0)) / 60
    chi2 = ((observed - expected) ** 2 / expected).sum()
    assert row["cramers_v"] == pytest.approx(math.sqrt(chi2 / 60))
    assert row["p_value"] == pytest.approx(chi2_contingency(observed, correction=False).pvalue)
    assert associations["column"].tolist() == ["site"], "severity is the label, and all else has one value"


def test_a_missing_patient_is_one_that_is_only_the_photo(table: Table) -> None:
    manifest = table([0, 1, 1], sex=["male", "", ""], age_months=[1.0, 2.0, float("nan")])
    manifest.loc[0, "patient"] = "p"
    missing = count_missing(manifest).set_index("column")["missing"].to_dict()
    assert {name: missing[name] for name in ("patient", "sex", "age_months", "site")} == {
        "patient": 2,
        "sex": 2,
        "age_months": 1,
        "site": 3,
    }


def test_outliers_lie_far_out_in_ratio_and_clipped_photos_count_from_a_share(table: Table, facts: Table) -> None:
    manifest = table([0, 1] * 20)
    widths = [90 + 2 * number for number in range(38)] + [10, 5000]
    dark = [0.0] * 38 + [0.049, 0.05]
    described = describe_photos(manifest, facts(manifest, width=widths, clipped_dark=dark))
    found = find_outliers(described)
    by_measure = {name: rows["photo"].tolist() for name, rows in found.groupby("measure")}
    assert by_measure["width"] == ["s/39.png", "s/38.png"]
    assert by_measure["clipped_dark"] == ["s/39.png"]
    assert set(by_measure) == {"width", "aspect_ratio", "clipped_dark"}
    measures = measure_files(described).set_index("measure")
    assert measures.loc["width", "outliers"] == 2
    assert (measures.loc["width", "lowest"], measures.loc["width", "highest"]) == (10, 5000)


def test_photos_without_tissue_or_sharpness_are_no_obstacle(table: Table, facts: Table) -> None:
    manifest = table([0, 1] * 4)
    nothing = [float("nan")] * 8
    described = describe_photos(
        manifest, facts(manifest, sharpness=nothing, tissue_pixels=[0] + [900 + n for n in range(7)])
    )
    assert find_outliers(described)["photo"].tolist() == ["s/0.png"]
    assert measure_files(described).set_index("measure")["median"].isna().sum() == 1


def test_excluded_photos_are_counted_by_code() -> None:
    excluded = pd.DataFrame({"photo": ["a", "b", "c"], "reason": ["IMG_EMPTY: an empty file", "IMG_EMPTY: x", "other"]})
    assert count_excluded(excluded) == {"IMG_EMPTY": 2, "other": 1}
    assert count_excluded(pd.DataFrame(columns=["photo", "reason"])) == {}
