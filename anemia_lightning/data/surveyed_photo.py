"""What the survey finds out about one photograph."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anemia_lightning.contracts import COLOUR_PREFIX
from anemia_lightning.data.colour import tissue_colour
from anemia_lightning.data.fingerprints import Fingerprint, take_fingerprint
from anemia_lightning.data.reading import TISSUE_ALPHA, Photograph, open_photo

_DARK, _BRIGHT = 2, 253
_FACTS = "facts"


class SurveyedPhoto(NamedTuple):
    """What is known of a photograph once it has been read."""

    facts: dict[str, Any]
    """A row of `Survey.facts`, but for the photo's name: text and numbers."""
    fingerprint: Fingerprint

    def as_record(self) -> dict[str, NDArray[Any]]:
        """Returns it as arrays alone."""
        text = json.dumps(self.facts).encode()
        return {_FACTS: np.frombuffer(text, np.uint8), **self.fingerprint.arrays()}

    @classmethod
    def of_record(cls, record: Mapping[str, NDArray[Any]]) -> "SurveyedPhoto":
        """Returns what was made a record, the same to the last bit."""
        facts = json.loads(record[_FACTS].tobytes())
        hashes = {"pixels": facts["pixels_sha256"], "turned_pixels": facts["turned_sha256"]}
        return cls(facts, Fingerprint.of_arrays(record, **hashes))


def survey_photo(path: str, mask: str, *, of_cuts: bool) -> SurveyedPhoto:
    """Reads a photograph and finds out what the survey tells of it.

    Args:
        path: The file.
        mask: The file of its mask, or "".
        of_cuts: Whether other cut-outs of it are to be found.

    Raises:
        PhotoUnreadable: If it cannot be decoded whole, or does not fit its mask.
    """
    photograph = open_photo(path, mask=mask or None)
    fingerprint = take_fingerprint(photograph.rgba, of_cuts=of_cuts)
    colours = {f"{COLOUR_PREFIX}{name}": value for name, value in tissue_colour(photograph.rgba).items()}
    hashes = {"pixels_sha256": fingerprint.pixels, "turned_sha256": fingerprint.turned_pixels}
    measured = {**measure_tissue(photograph.rgba), **colours}
    return SurveyedPhoto({**_file_facts(photograph), **hashes, **measured}, fingerprint)


def _file_facts(photograph: Photograph) -> dict[str, Any]:
    return {
        "file_sha256": photograph.sha256,
        "file_bytes": photograph.file_bytes,
        "format": photograph.format,
        "mode": photograph.mode,
        "width": photograph.width,
        "height": photograph.height,
        "orientation": photograph.orientation,
        "notes": "; ".join(photograph.notes),
    }


def measure_tissue(rgba: NDArray[np.uint8]) -> dict[str, float]:
    """Measures how much tissue a photo shows, how sharp it is, and how much of it is black or white.

    Args:
        rgba: uint8 [H, W, 4]; tissue is where alpha is at least 128.

    Returns:
        tissue_share and tissue_pixels; sharpness: the variance of the Laplacian of the grey values (Pech-Pacheco et
        al. 2000, doi:10.1109/ICPR.2000.903548) over the tissue; clipped_dark and clipped_bright: the shares of the
        tissue whose brightest channel is at most 2, or at least 253.
    """
    tissue = rgba[..., 3] >= TISSUE_ALPHA
    if not tissue.any():
        nothing = dict.fromkeys(("sharpness", "clipped_dark", "clipped_bright"), float("nan"))
        return {"tissue_share": 0.0, "tissue_pixels": 0, **nothing}
    brightest = rgba[..., :3].max(axis=-1)[tissue]
    laplacian = cv2.Laplacian(cv2.cvtColor(rgba[..., :3], cv2.COLOR_RGB2GRAY), cv2.CV_32F)
    # Where tissue meets background the outline would count as detail.
    inner = cv2.erode(tissue.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return {
        "tissue_share": float(tissue.mean()),
        "tissue_pixels": int(tissue.sum()),
        "sharpness": float(laplacian[inner].var(dtype=np.float64)) if inner.any() else float("nan"),
        "clipped_dark": float((brightest <= _DARK).mean()),
        "clipped_bright": float((brightest >= _BRIGHT).mean()),
    }
