"""Laying one cut-out over another: similarities that local features propose, grown from where they match."""

from typing import NamedTuple, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from anemia_lightning.data.fingerprints import Fingerprint
from anemia_lightning.data.texture import (
    TEXTURE_SIGMA_PX,
    Features,
    Tissue,
    light,
    mirror_features,
    standardise,
)

SMALLEST_SCALE, LARGEST_SCALE = 0.45, 2.2
"""How much larger one cut-out may be than another, both at working size."""

_Plane = NDArray[np.float32]
_Points = NDArray[np.complex64]

_MOST_MATCHES = 40
_TOLERANCE_PX, _LOG_SCALE_TOLERANCE = 4.0, 0.5
_MOST_SEEDS = 4
_LEAST_SPREAD_PX2 = 400.0
_SEED_RADIUS_PX = 16.0
_GROWN_RADII_PX = (32.0, 64.0, np.inf)
_GROWN = 3
_STEPS = 3
_FEWEST_PX, _ENOUGH_PX = 40, 600
# Promise is correlation times the square root of the pixels. Most of what is not of one photograph stays below, and
# the work on it ends early.
_LEAST_AT_FIRST, _LEAST_WHEN_ROOTED, _LEAST_GROWN = 11.0, 14.5, 20.0
_ENOUGH_SUPPORT, _MOST_SUPPORT, _SUPPORT_BONUS = 4, 12, 2.0
_WHOLE = 0.99
_NO_SECOND_MAP = np.zeros(0, np.float32)
_DAMPING = 0.01


class Subject(NamedTuple):
    """A fingerprint made ready to be compared: its tissue as pictures, and as a list of N pixels."""

    tissue: Tissue
    layers: _Plane
    """[H, W, 2]: how light the tissue is against its surroundings, and 1 where there is tissue."""
    points: _Points
    """[N]: x + iy of each pixel of tissue."""
    values: _Plane
    """[N]: how light it is against its surroundings."""
    slopes: _Points
    """[N]: how that rises along x and, as imaginary part, along y."""
    features: Features
    mirrored: Features
    """The features of the tissue turned upside down about y = 0."""


class Similarity(NamedTuple):
    """A map that takes z = x + iy to factor * z + shift, and then, if `mirrored`, turns that upside down."""

    factor: complex
    shift: complex
    mirrored: bool

    def move(self, points: NDArray[np.complexfloating]) -> NDArray[np.complexfloating]:
        """Returns where it takes points x + iy."""
        kind = points.dtype.type
        moved: NDArray[np.complexfloating] = kind(self.factor) * points + kind(self.shift)
        return moved.conj() if self.mirrored else moved

    def matrix(self) -> NDArray[np.float64]:
        """Returns it as OpenCV has it, [2, 3]."""
        hand = -1 if self.mirrored else 1
        above = [self.factor.real, -self.factor.imag, self.shift.real]
        return np.array([above, [hand * each for each in (self.factor.imag, self.factor.real, self.shift.imag)]], float)


class _Seed(NamedTuple):
    similarity: Similarity
    centre: complex
    support: int


def make_ready(fingerprint: Fingerprint) -> Subject:
    """Unpacks a fingerprint."""
    tissue = fingerprint.unpack()
    texture = standardise(light(tissue.rgb), tissue.mask, TEXTURE_SIGMA_PX)
    inside = tissue.mask > 0
    rows, columns = np.nonzero(inside)
    along, down = (cv2.Sobel(texture, cv2.CV_32F, *axis, ksize=3, scale=1 / 8)[inside] for axis in ((1, 0), (0, 1)))
    features = Features(fingerprint.keypoints, fingerprint.descriptors)
    return Subject(
        tissue,
        np.dstack([texture, tissue.mask.astype(np.float32)]),
        (columns + 1j * rows).astype(np.complex64),
        texture[inside],
        along + np.complex64(1j) * down,
        features,
        mirror_features(features),
    )


def align(first: Subject, second: Subject) -> list[Similarity]:
    """Finds how the first cut-out might lie on the second, mirrored or not.

    Each pair of local features that match is a seed. It is adjusted to the texture around it, and the most
    promising seeds are grown from there over the whole tissue.

    Returns:
        Up to three similarities from the first's pixels to the second's, the most promising first.
    """
    seeds = _plant(first, second.features, mirrored=False) + _plant(first, second.mirrored, mirrored=True)
    rooted = [_adjust(first, second, seed) for seed in seeds if _may_grow(first, second, seed, _LEAST_AT_FIRST)]
    rooted = [seed for seed in rooted if _may_grow(first, second, seed, _LEAST_WHEN_ROOTED)]
    rank = [_near_promise(first, second, seed) + _SUPPORT_BONUS * min(seed.support, _MOST_SUPPORT) for seed in rooted]
    grown = [_grow(first, second, rooted[each]) for each in np.argsort(-np.array(rank), kind="stable")[:_GROWN]]
    whole = np.ones(len(first.points), dtype=bool)
    final = np.array([_promise(first, second, similarity, whole) for similarity in grown])
    return [grown[each] for each in np.argsort(-final, kind="stable") if final[each] >= _LEAST_GROWN]


def _may_grow(first: Subject, second: Subject, seed: _Seed, least: float) -> bool:
    # Smooth tissue agrees with much by chance, and thin tissue has few pixels near: support tells more than promise.
    return seed.support >= _ENOUGH_SUPPORT or _near_promise(first, second, seed) >= least


def _near_promise(first: Subject, second: Subject, seed: _Seed) -> float:
    near = np.abs(first.points - np.complex64(seed.centre)) < _SEED_RADIUS_PX
    return _promise(first, second, seed.similarity, near)


def _adjust(first: Subject, second: Subject, seed: _Seed) -> _Seed:
    return seed._replace(similarity=_improve(first, second, seed.similarity, seed.centre, _SEED_RADIUS_PX))


def _grow(first: Subject, second: Subject, seed: _Seed) -> Similarity:
    similarity = seed.similarity
    for radius in _GROWN_RADII_PX:
        similarity = _improve(first, second, similarity, seed.centre, radius)
    return similarity


def _plant(first: Subject, other: Features, *, mirrored: bool) -> list[_Seed]:
    """Returns the similarities that pairs of features propose, those that most other pairs agree with first."""
    one, two = _match(first.features.descriptors, other.descriptors)
    here, there = _centres(first.features.keypoints[one]), _centres(other.keypoints[two])
    scale = other.keypoints[two, 2] / first.features.keypoints[one, 2]
    factor = scale * np.exp(1j * np.deg2rad(other.keypoints[two, 3] - first.features.keypoints[one, 3]))
    shift = there - factor * here
    agrees = np.abs(factor[:, None] * here + shift[:, None] - there) < _TOLERANCE_PX * np.maximum(1, scale[:, None])
    agrees &= np.abs(np.log(scale[:, None] / scale)) < _LOG_SCALE_TOLERANCE
    is_open = (scale > SMALLEST_SCALE) & (scale < LARGEST_SCALE)
    seeds: list[_Seed] = []
    for each in np.argsort(-agrees.sum(axis=1), kind="stable"):
        if is_open[each] and len(seeds) < _MOST_SEEDS:
            party = agrees[each]
            is_open &= ~party
            fitted = _fit(here[party], there[party], Similarity(factor[each], shift[each], mirrored))
            seeds.append(_Seed(fitted, complex(here[each]), int(party.sum())))
    return seeds


def count_support(first: Subject, second: Subject, similarity: Similarity) -> int:
    """Returns how many pairs of local features lie where a similarity takes them, at its scale."""
    other = second.mirrored if similarity.mirrored else second.features
    one, two = _match(first.features.descriptors, other.descriptors)
    here, there = _centres(first.features.keypoints[one]), _centres(other.keypoints[two])
    size = abs(similarity.factor)
    scale = other.keypoints[two, 2] / first.features.keypoints[one, 2]
    agrees = np.abs(similarity.factor * here + similarity.shift - there) < _TOLERANCE_PX * max(1.0, size)
    return int((agrees & (np.abs(np.log(scale / size)) < _LOG_SCALE_TOLERANCE)).sum())


def _match(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Returns the descriptors that are each other's nearest, the likest first."""
    if not len(first) or not len(second):
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    likeness = first.astype(np.float32) @ second.astype(np.float32).T
    nearest = likeness.argmax(axis=1)
    one = np.flatnonzero(likeness.argmax(axis=0)[nearest] == np.arange(len(first)))
    one = one[np.argsort(-likeness[one, nearest[one]], kind="stable")][:_MOST_MATCHES]
    return one, nearest[one]


def _centres(keypoints: NDArray[np.float32]) -> NDArray[np.complex128]:
    return cast(NDArray[np.complex128], keypoints[:, 0].astype(np.float64) + 1j * keypoints[:, 1])


def _fit(here: NDArray[np.complex128], there: NDArray[np.complex128], proposed: Similarity) -> Similarity:
    """Returns the similarity of least squares, or the proposed one where the points lie close together."""
    spread = here - here.mean()
    size = float((np.abs(spread) ** 2).sum())
    if size < _LEAST_SPREAD_PX2:
        return proposed
    factor = (there * spread.conj()).sum() / size
    return Similarity(complex(factor), complex(there.mean() - factor * here.mean()), proposed.mirrored)


def _improve(first: Subject, second: Subject, start: Similarity, centre: complex, radius_px: float) -> Similarity:
    """Moves a similarity to where the textures around a point agree best.

    By Gauss and Newton's steps, with the slopes of the first texture alone (Baker & Matthews 2004). Brightness
    and contrast are free.

    Returns:
        The improved similarity; the given one where too little tissue is shared or the scale runs away.
    """
    near = np.flatnonzero(np.abs(first.points - np.complex64(centre)) < radius_px)
    near = near[:: 1 + len(near) // _ENOUGH_PX]
    points, values, slopes = first.points[near], first.values[near], first.slopes[near]
    turn = slopes.conj() * (points - np.complex64(centre))
    response = np.stack([turn.real, -turn.imag, slopes.real, slopes.imag], axis=1)
    factor, shift = start.factor, start.shift
    for _ in range(_STEPS):
        found, shared = _look_up(second, Similarity(factor, shift, start.mirrored), points)
        if len(found) < _FEWEST_PX:
            return start
        own, rows = values[shared], response[shared]
        own, found = _centre(own), _centre(found)
        residual = found * np.float32(np.sqrt(np.dot(own, own) / max(float(np.dot(found, found)), 1e-6))) - own
        normal = rows.T @ rows
        normal[np.diag_indices(4)] *= 1 + _DAMPING
        solved, step = cv2.solve(normal, rows.T @ residual[:, None], flags=cv2.DECOMP_CHOLESKY)
        if not solved:
            return start
        # The step would move the first cut-out; undone before the map it moves the second instead.
        inverse = 1 / complex(1 + step[0, 0], step[1, 0])
        shift += factor * (centre - (centre + complex(step[2, 0], step[3, 0])) * inverse)
        factor *= inverse
        if not SMALLEST_SCALE < abs(factor) < LARGEST_SCALE:
            return start
    return Similarity(factor, shift, start.mirrored)


def _promise(first: Subject, second: Subject, similarity: Similarity, near: NDArray[np.bool_]) -> float:
    """Returns how well the chosen pixels agree: their correlation times the square root of their number."""
    found, shared = _look_up(second, similarity, first.points[near])
    if len(found) < _FEWEST_PX:
        return 0.0
    return correlation(first.values[near][shared], found) * float(np.sqrt(len(found)))


def _look_up(second: Subject, similarity: Similarity, points: _Points) -> tuple[_Plane, NDArray[np.bool_]]:
    """Returns the second's texture where points of the first fall on its tissue, and which of them do, bool [N]."""
    if not len(points):
        return np.zeros(0, np.float32), np.zeros(0, dtype=bool)
    # A complex number is x and y side by side, as OpenCV takes them.
    places = similarity.move(points).astype(np.complex64, copy=False).view(np.float32).reshape(-1, 1, 2)
    texture, area = cv2.remap(second.layers, places, _NO_SECOND_MAP, cv2.INTER_LINEAR)[:, 0].T
    shared: NDArray[np.bool_] = area > _WHOLE
    return texture[shared], shared


def correlation(one: _Plane, other: _Plane) -> float:
    """Returns Pearson's correlation of two lists, 0 where one of them is constant."""
    one, other = _centre(one), _centre(other)
    size = float(np.dot(one, one)) * float(np.dot(other, other))
    return float(np.dot(one, other)) / float(np.sqrt(size)) if size > 0 else 0.0


def _centre(values: _Plane) -> _Plane:
    centred: _Plane = values - values.sum(dtype=np.float32) / np.float32(len(values))
    return centred
