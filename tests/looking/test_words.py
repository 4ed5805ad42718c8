"""The sentences claim what the intervals allow, and no more."""

from typing import Any

import pytest

from anemia_lightning.looking.changes import OTHER_OUTLINE, OUTLINE_ALONE
from anemia_lightning.looking.words import look_sentences


def interval(value: float, low: float, high: float) -> dict[str, float | None]:
    return {"value": value, "low": low, "high": high}


def effect(flipped: int, shift: float = 0.1, auroc: float | None = 0.52) -> dict[str, Any]:
    shares = interval(flipped / 20, max(0, flipped / 20 - 0.1), min(1, flipped / 20 + 0.1))
    return {"n": 20, "flipped": flipped, "flipped_interval": shares, "mean_logit_shift": shift, "auroc": auroc}


def looks(*, flips: int = 0, beyond: tuple[float, float] = (0.05, 0.15), **background: Any) -> dict[str, Any]:
    swaps = [
        {"swap": "black background", **effect(0)},
        {"swap": "white background", **effect(flips)},
        {"swap": OUTLINE_ALONE, **effect(9)},
    ]
    change = {"perturbation": "brightness", "level": 1.3, "unit": "factor"}
    return {
        "photos": {"drawn": 20, "independent": 40, "of": 50, "errors_shown": 20, "errors": 31},
        "saliency": {
            "skipped": "",
            "n": 20,
            "energy_inside": interval(0.4, 0.35, 0.45),
            "by_chance": 0.3,
            "beyond_chance": interval(0.1, *beyond),
        },
        "background": {"skipped": "", "note": "", "swaps": swaps, **background},
        "robustness": [{**change, **effect(flips, 0.8)}, {**change, "level": 0.7, **effect(0, -0.3)}],
    }


@pytest.mark.parametrize(
    ("beyond", "verdict"),
    [
        ((0.05, 0.15), "more than by chance"),
        ((-0.02, 0.22), "not told from chance"),
        ((-0.2, -0.1), "less than by chance"),
    ],
)
def test_chance_is_beaten_only_where_the_interval_says_so(beyond: tuple[float, float], verdict: str) -> None:
    sentence = look_sentences(looks(beyond=beyond))[2]
    assert f"40% [35%, 45%] lies on the tissue, which covers 30% of the image: {verdict} (difference +10.0" in sentence


def test_the_worst_change_and_the_worst_background_are_named() -> None:
    text = " ".join(look_sentences(looks(flips=8)))
    assert "the white background flips most: 8 of 20 decisions (40% [30%, 50%])" in text
    assert "brightness times 1.3 flips most: 8 of 20 decisions (40% [30%, 50%]); it moves the logit by +0.80" in text
    assert "towards anaemic. 1 of 2 such changes flip none." in text
    assert (
        "From the outline alone, filled with one colour, the network reaches an AUROC of 0.52 on these 20 photos."
        in text
    )
    assert "Shown beside them are 20 of 31 photos called wrongly, the most confident ones, one at most of each" in text
    values = looks()
    values["photos"]["errors"] = 20
    assert "Shown beside them are all 20 photos called wrongly." in " ".join(look_sentences(values))


def test_a_shift_that_rounds_to_nothing_has_no_direction() -> None:
    values = looks(flips=8)
    values["robustness"][0]["mean_logit_shift"] = -0.003
    text = " ".join(look_sentences(values))
    assert "it moves the logit by less than 0.01 on average." in text
    assert "towards" not in text


def test_what_is_not_shown_is_not_said_to_be() -> None:
    values = looks()
    values["photos"]["errors_shown"] = 0
    assert "called wrongly" not in " ".join(look_sentences(values))


def test_where_nothing_flips_that_is_said() -> None:
    text = " ".join(look_sentences(looks()))
    assert "No other background flips any of the 20 decisions (0% [0%, 10%])." in text
    assert text.endswith("flips any decision.")


def test_tissue_and_outline_are_counted_against_each_other() -> None:
    values = looks()
    values["background"]["swaps"].append({"swap": OTHER_OUTLINE, **effect(7)})
    assert any(
        "the decision follows the tissue in 13 of 20 photos and the outline in 7 (35% [25%, 45%])" in sentence
        for sentence in look_sentences(values)
    )


def test_what_could_not_be_done_says_why() -> None:
    values = looks(skipped="no mask", swaps=[])
    values["saliency"]["skipped"] = "no heat"
    sentences = look_sentences(values)
    assert "How much of the heat lies on the tissue cannot be said: no heat." in sentences
    assert "Tissue and background could not be swapped: no mask." in sentences
    assert "Tissue was not put into other outlines: all called alike." in look_sentences(looks(note="all called alike"))
