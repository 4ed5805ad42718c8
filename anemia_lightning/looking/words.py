"""What looks.json says, in plain words."""

from collections.abc import Iterator, Mapping
from typing import Any

from anemia_lightning.data.swaps import BACKGROUNDS
from anemia_lightning.looking.changes import OTHER_OUTLINE, OUTLINE_ALONE
from anemia_lightning.plots.looks import change_words

Values = Mapping[str, Any]


def look_sentences(values: Values) -> list[str]:
    """Returns what was found, in sentences; `values` is what looks.json holds beside them."""
    return [*_sampled(values["photos"]), *_heat(values["saliency"]), *_followed(values["background"]), *_moved(values)]


def _sampled(photos: Values) -> Iterator[str]:
    yield (
        f"{photos['drawn']} of {photos['of']} test photos were drawn at random to estimate from, one at most of each "
        "patient and photograph; intervals are for other photos of this kind."
    )
    if photos["errors_shown"]:
        if photos["errors_shown"] < photos["errors"]:
            yield (
                f"Shown beside them are {photos['errors_shown']} of {photos['errors']} photos called wrongly, the most "
                "confident ones, one at most of each patient and photograph."
            )
        else:
            yield f"Shown beside them are all {photos['errors']} photos called wrongly."


def _heat(saliency: Values) -> Iterator[str]:
    if saliency["skipped"]:
        yield f"How much of the heat lies on the tissue cannot be said: {saliency['skipped']}."
        return
    inside, beyond = saliency["energy_inside"], saliency["beyond_chance"]
    yield (
        f"Of the Grad-CAM heat {_percent(inside)} lies on the tissue, which covers {saliency['by_chance']:.0%} of the "
        f"image: {_verdict(beyond)} (difference {_points(beyond)})."
    )


def _followed(background: Values) -> Iterator[str]:
    if background["skipped"]:
        yield f"Tissue and background could not be swapped: {background['skipped']}."
        return
    rows = {row["swap"]: row for row in background["swaps"]}
    worst = max((row for name, row in rows.items() if name in BACKGROUNDS), key=lambda row: row["flipped"])
    if worst["flipped"]:
        yield (
            f"Of the other backgrounds, the {worst['swap']} flips most: {_flips(worst)} depend on the colour of what "
            "lies around the tissue."
        )
    else:
        yield f"No other background flips any of the {worst['n']} decisions ({_percent(worst['flipped_interval'])})."
    if OTHER_OUTLINE in rows:
        row = rows[OTHER_OUTLINE]
        kept = row["n"] - row["flipped"]
        yield (
            f"With its tissue in the outline of a photo that is called otherwise, the decision follows the tissue in "
            f"{kept} of {row['n']} photos and the outline in {row['flipped']} ({_percent(row['flipped_interval'])})."
        )
    elif background["note"]:
        yield f"Tissue was not put into other outlines: {background['note']}."
    alone = rows[OUTLINE_ALONE]
    if alone["auroc"] is not None:
        yield (
            f"From the outline alone, filled with one colour, the network reaches an AUROC of {alone['auroc']:.2f} on "
            f"these {alone['n']} photos."
        )


def _moved(values: Values) -> Iterator[str]:
    rows = values["robustness"]
    worst = max(rows, key=lambda row: row["flipped"])
    if not worst["flipped"]:
        yield "No change of brightness, white balance, JPEG quality, blur or resolution flips any decision."
        return
    name = change_words(worst["perturbation"], worst["level"], worst["unit"])
    yield (
        f"Of the changes of light, sharpness and file, {name} flips most: {_flips(worst)}; it moves the logit by "
        f"{_shift(worst['mean_logit_shift'])}."
    )
    still = [row for row in rows if not row["flipped"]]
    yield f"{len(still)} of {len(rows)} such changes flip none."


def _shift(logits: float) -> str:
    if abs(logits) < 0.005:  # noqa: PLR2004 (two digits are shown)
        return "less than 0.01 on average"
    return f"{logits:+.2f} on average, towards {'anaemic' if logits > 0 else 'not anaemic'}"


def _flips(row: Values) -> str:
    return f"{row['flipped']} of {row['n']} decisions ({_percent(row['flipped_interval'])})"


def _verdict(beyond: Values) -> str:
    if beyond["low"] is not None and beyond["low"] > 0:
        return "more than by chance"
    if beyond["high"] is not None and beyond["high"] < 0:
        return "less than by chance"
    return "not told from chance"


def _percent(interval: Values) -> str:
    return f"{interval['value']:.0%}{_bounds(interval, '.0%')}"


def _points(interval: Values) -> str:
    scaled = {name: None if value is None else 100 * value for name, value in interval.items()}
    return f"{scaled['value']:+.1f} points{_bounds(scaled, '+.1f')}"


def _bounds(interval: Values, form: str) -> str:
    if interval["low"] is None or interval["high"] is None:
        return ""
    return f" [{interval['low']:{form}}, {interval['high']:{form}}]"
