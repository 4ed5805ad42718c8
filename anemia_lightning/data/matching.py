"""Whether two cut-outs show the same photograph: lays one over the other and weighs how their textures agree."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2

from anemia_lightning.data.alignment import Similarity, Subject, align, correlation, count_support
from anemia_lightning.data.texture import hue, light, standardise

LEAST_OVERLAP = 0.25
"""Cut-outs are compared where at least this share of the smaller one's tissue lies on the other's."""

_LEAST_OVERLAP_PX = 200
_DOUBT, _HARMLESS, _ELSEWHERE_PX = 0.5, 8.0, 8.0
_FARTHEST_LAG_PX = 24
_LARGEST_CORRELATION = 0.999
_FINE_SIGMA_PX = 4.0
_SUPPORT, _MOST_SUPPORT = 0.75, 12
_WHOLE = 255
# Colours that agree to a few levels everywhere are rare by chance; colours that do not may have been changed.
_SAME_COLOURS, _COLOUR_LEVELS = 3.0, 4.0

_Plane = NDArray[np.float32]


class Overlay(NamedTuple):
    """How two cut-outs agree where one lies on the other."""

    score: float
    """How significant the agreement of light and of hue is, in standard deviations of chance, both added up, and
    up to 3 more where the colours themselves agree to a few grey levels."""
    to_second: Similarity
    """From the first's pixels to the second's, both at working size."""
    overlap: float
    """Share of the smaller one's tissue that lies on the other's."""


def compare(first: Subject, second: Subject) -> Overlay | None:
    """Finds how the first cut-out lies on the second where they agree best, mirrored or not.

    Where a second overlay elsewhere is nearly as good, a pattern repeats itself, bricks or the shade along a lid, and
    the score is lowered by half of what the second one has beyond chance.

    Returns:
        The best overlay, or None if nothing matches on enough tissue.
    """
    judged = [judge(first, second, similarity) for similarity in align(first, second)]
    found = sorted((each for each in judged if each is not None), key=lambda each: -each.score)
    if not found:
        return None
    best = found[0]
    rival = max((each.score for each in found if _lies_elsewhere(first, each, best)), default=0.0)
    return best._replace(score=best.score - _DOUBT * max(rival - _HARMLESS, 0.0))


def _lies_elsewhere(first: Subject, one: Overlay, other: Overlay) -> bool:
    """Says whether two overlays put the first's tissue in different places, or turn it differently."""
    # Measured at the first's middle and at its far end, in pixels of the second.
    places = np.array([first.points.mean(), first.points[0], first.points[-1]])
    gaps = np.abs(one.to_second.move(places) - other.to_second.move(places))
    return bool(gaps.max() > _ELSEWHERE_PX)


def judge(first: Subject, second: Subject, to_second: Similarity) -> Overlay | None:
    """Weighs how well two cut-outs agree when one is laid on the other.

    The correlation r of two textures is as significant as Fisher's atanh(r) * sqrt(n - 3), where n is the number
    of pixels that are as good as independent, by the autocorrelation of both (Bartlett 1935). So smooth
    tissue, of which any two pieces look alike, has to agree far better than tissue full of vessels.

    Returns:
        The overlay, or None if less than a quarter of the smaller tissue, or less than 200 pixels, are shared.
    """
    # Only what lies wholly inside the second's tissue: a pixel on its edge is mixed with what is beside it.
    shared = (_warp(second.tissue.mask * np.uint8(_WHOLE), to_second, first) == _WHOLE) & (first.tissue.mask > 0)
    shared = shared.astype(np.uint8)
    count = int(shared.sum())
    smaller = min(len(first.points), len(second.points) / abs(to_second.factor) ** 2)
    if count < max(LEAST_OVERLAP * smaller, _LEAST_OVERLAP_PX):
        return None
    left, top, width, height = cv2.boundingRect(shared)
    window = np.s_[top : top + height, left : left + width]
    moved = _warp(second.tissue.rgb, to_second, first)[window]
    own, mask = first.tissue.rgb[window], shared[window]
    score = sum(
        _significance(standardise(plane(own), mask, sigma), standardise(plane(moved), mask, sigma), mask)
        for plane, sigma in ((light, _FINE_SIGMA_PX), (hue, _FINE_SIGMA_PX))
    )
    difference = own[mask > 0].astype(np.float32) - moved[mask > 0]
    same_colours = _SAME_COLOURS * float(np.exp(-np.mean(difference**2) / _COLOUR_LEVELS**2))
    support = _SUPPORT * min(count_support(first, second, to_second), _MOST_SUPPORT)
    return Overlay(score + same_colours + support, to_second, count / smaller)


def _warp(picture: NDArray[np.uint8], to_second: Similarity, first: Subject) -> NDArray[np.uint8]:
    height, width = first.tissue.mask.shape
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(picture, to_second.matrix(), (width, height), flags=flags).astype(np.uint8, copy=False)


def _significance(one: _Plane, other: _Plane, mask: NDArray[np.uint8]) -> float:
    inside = mask > 0
    r = np.clip(correlation(one[inside], other[inside]), -_LARGEST_CORRELATION, _LARGEST_CORRELATION)
    centred = [np.where(inside, each - each[inside].mean(), np.float32(0)) for each in (one, other)]
    independent = np.count_nonzero(inside) / max(_common_memory(*centred), 1.0)
    return float(np.arctanh(r) * np.sqrt(max(independent - 3, 0.0)))


def _common_memory(one: _Plane, other: _Plane) -> float:
    """Returns over how many pixels both hang together: the sum over all lags of the product of autocorrelations."""
    shape = tuple(next_fast_len(side + _FARTHEST_LAG_PX, real=True) for side in one.shape)
    by_lag = [irfft2(np.abs(rfft2(each, shape)) ** 2, shape) for each in (one, other)]
    at_rest = float(by_lag[0][0, 0]) * float(by_lag[1][0, 0])
    return float((by_lag[0] * by_lag[1]).sum()) / at_rest if at_rest > 0 else np.inf
