"""Randomness as a function of its ingredients, never of a global state.

NumPy's Philox is counter-based: a stream is named by its key and needs no history. So the order of an
epoch, the augmentation of a photo and its dropout mask are the same whichever process asks, in whatever
order, before or after a resume.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import NDArray


class _Key(ISeedSequence):
    """Hands a key to Philox as it is, in two words.

    `Philox(key=…)` gives the same stream, but draws a seed from the system first and mixes it, only to drop it.
    """

    def __init__(self, words: NDArray[np.uint64]) -> None:
        self._words = words

    def generate_state(self, n_words: int, dtype: object = np.uint64) -> NDArray[np.uint64]:
        """Returns the key."""
        return self._words


def stream(*ingredients: str | int) -> np.random.Generator:
    """Returns the random stream that belongs to these ingredients.

    Args:
        ingredients: What the draw may depend on, a purpose first: ``stream("order", seed, epoch)``.

    Returns:
        A fresh generator; equal ingredients give equal streams, and any difference gives another one.

    Example:
        >>> bool(stream("order", 0, 1).random() == stream("order", 0, 1).random())
        True
        >>> bool(stream("order", 0, 1).random() == stream("order", 0, 2).random())
        False
    """
    # NumPy's numbers and texts are written like Python's own, so that equal ingredients look alike.
    plain = tuple(str(each) if isinstance(each, str) else int(each) for each in ingredients)
    # ascii keeps 1 and "1", and ("a", "b") and ("a, b",), apart, and does not change with Python's Unicode tables.
    digest = hashlib.blake2b(ascii(plain).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(_Key(np.frombuffer(digest, dtype="<u8"))))  # type: ignore[arg-type]


def epoch_order(size: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Returns the order in which one epoch visits `size` photos, int64 [size]."""
    return stream("order", seed, epoch).permutation(size)


def view_of_epoch(epoch: int, views: int | None) -> int:
    """Returns which view of each training photo an epoch sees: `views` of them in turn, or, if None, one of its own."""
    return epoch if views is None else epoch % views


def dropout_keep(photos: Sequence[str], width: int, probability: float, seed: int, epoch: int) -> NDArray[np.bool_]:
    """Returns which hidden units of each photo survive dropout in one epoch.

    Args:
        photos: Photo ids.
        width: Hidden units.
        probability: Chance of a unit to be dropped, in [0, 1).
        seed: The run's seed.
        epoch: The epoch.

    Returns:
        bool [len(photos), width], True where the unit is kept.
    """
    if probability == 0:
        return np.ones((len(photos), width), dtype=np.bool_)
    draws = [stream("dropout", seed, epoch, photo).random(width, dtype=np.float32) for photo in photos]
    return np.stack(draws) >= probability
