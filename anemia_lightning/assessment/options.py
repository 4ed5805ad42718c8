"""What a caller may choose about an assessment."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from anemia_lightning.metrics.estimates import Resampling
from anemia_lightning.metrics.patients import Pooling

Progress = Callable[[int, int], None]

SUBGROUPS = ("sex", "age_band", "site", "severity", "device", "background")
SUBJECT = "the network"


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to assess."""

    how: Resampling = field(default_factory=Resampling)
    """Of all intervals."""
    subgroups: Sequence[str] = SUBGROUPS
    """Columns of the facts whose groups are looked at."""
    orders: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By such a column, the groups in the order to show them."""
    left_out: str = ""
    """The column by which a cross-validation left out one group at a time, such as site; else empty."""
    pooling: Pooling = "mean"
    """How a patient's logits become one."""
    is_drawn: bool = False
    """Whether the photographs are drawn: scores then say nothing of real ones, and none is too good to be true."""
    unnamed: int = 0
    """Photos of which the data do not name the patient, so that each counts as a patient of its own."""


class Steps:
    """Tells how far a work of several steps is, each of which tells how far itself is.

    Args:
        steps: How many there are.
        progress: Called with (done, in all); None tells nobody.
    """

    _PARTS = 1000

    def __init__(self, steps: int, progress: Progress | None) -> None:
        self._steps, self._progress, self._done = steps, progress, 0

    def next(self) -> Progress:
        """Begins a step and returns what it is to call with (done, in all)."""
        begun = self._done
        self._done += 1
        self._tell(begun * self._PARTS)
        return lambda done, total: self._tell((begun * self._PARTS) + self._PARTS * done // max(total, 1))

    def finish(self) -> None:
        """Tells that all is done."""
        self._tell(self._steps * self._PARTS)

    def _tell(self, parts: int) -> None:
        if self._progress is not None:
            self._progress(parts, self._steps * self._PARTS)
