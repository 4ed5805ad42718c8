"""The baselines by name: the columns that each may see, and the model that judges by them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sklearn.base import ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression

from anemia_lightning.baselines.forest import ForestInParts

_TREES = 300
_CANVAS = ("width", "height", "aspect", "tissue_share")


def _prevalence(seed: int) -> ClassifierMixin:
    return DummyClassifier(strategy="prior", random_state=seed)


def _logistic(seed: int) -> ClassifierMixin:
    return LogisticRegression(C=1.0, class_weight="balanced", solver="lbfgs", max_iter=1000, random_state=seed)


def _forest(seed: int) -> ClassifierMixin:
    # Leaves of one photo: copies of a photograph on both sides of a split then show in the score at full size.
    return ForestInParts(trees=_TREES, seed=seed)


@dataclass(frozen=True)
class Baseline:
    """What a baseline may see and the model that judges by it, with settings that no data has chosen."""

    model: Callable[[int], ClassifierMixin]
    """Builds scikit-learn's classifier from a seed."""
    numbers: tuple[str, ...] = ()
    """Columns of numbers, by name or by a pattern such as ``colour_*``; `aspect` is width over height."""
    texts: tuple[str, ...] = ()
    """Columns of text."""


BASELINES: Mapping[str, Baseline] = MappingProxyType(
    {
        "prevalence": Baseline(_prevalence),
        "age and sex": Baseline(_logistic, numbers=("age_months",), texts=("sex",)),
        "site": Baseline(_logistic, texts=("site",)),
        "canvas size": Baseline(_forest, numbers=_CANVAS),
        "file size": Baseline(_forest, numbers=("file_bytes",)),
        "size": Baseline(_forest, numbers=(*_CANVAS, "file_bytes")),
        "colour statistics, linear": Baseline(_logistic, numbers=("colour_*",)),
        "colour statistics, forest": Baseline(_forest, numbers=("colour_*",)),
    }
)
"""Every baseline by the name that readers see.

Colour is that of the tissue alone; site, age, sex and size are no look at it, so what they achieve is a shortcut that a
network could take too. The logistic regressions and forests weigh the classes alike, as the network's loss does: 0.5
is their even chance whatever the prevalence.
"""

COMPARED = ("prevalence", "age and sex", "site", "size", "colour statistics, linear", "colour statistics, forest")
"""Those that stand beside a network's score."""
