"""Scaling of logits, fitted on validation photos and carried with the model: temperature, or Platt's two numbers."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from anemia_lightning.metrics.logistic import Floats, checked_photos, fault_of, fit_logistic

TEMPERATURES = (0.01, 100.0)
"""The temperatures within which a fit is held."""

ScalingMethod = Literal["none", "temperature", "platt"]
"""How the logits are scaled; none leaves them as they are."""


@dataclass(frozen=True)
class Scaling:
    """The map logit -> slope * logit + intercept; plain numbers and texts, fit for a checkpoint."""

    method: ScalingMethod
    slope: float
    """Above 0, so that the order of photos stays."""
    intercept: float
    """Of a temperature, and where nothing was fitted, what takes the class weights back, 0 where both classes weighed
    the same."""
    photos: int
    """How many it was fitted on."""
    note: str
    """What a reader must know: that nothing was fitted and why, or that a limit was met; else empty."""

    @property
    def is_fitted(self) -> bool:
        """Whether photos chose it; where none did, the slope is 1, which no fit comes to exactly."""
        return self.slope != 1

    @property
    def temperature(self) -> float:
        """1 / slope: above 1 where the logits were too extreme."""
        return 1 / self.slope

    @property
    def words(self) -> str:
        """What is done to the logits, for people."""
        if self.is_fitted and self.method == "platt":
            return f"logits times {self.slope:.3g} plus {self.intercept:.3g}"
        moved = f"logits less {-self.intercept * self.temperature:.3g}" if self.intercept else ""
        if not self.is_fitted:
            return moved or "logits as they are"
        return f"{moved}{', ' if moved else ''}temperature {self.temperature:.3g}"

    def apply(self, logits: ArrayLike) -> Floats:
        """Returns the scaled logits, float64 of the same shape."""
        scaled: Floats = self.slope * np.asarray(logits, dtype=np.float64) + self.intercept
        return scaled


UNSCALED = Scaling("none", 1.0, 0.0, photos=0, note="")
"""The logits as they are."""


def fit_scaling(labels: ArrayLike, logits: ArrayLike, *, method: ScalingMethod, offset: float = 0.0) -> Scaling:
    """Returns the scaling of a method: `fit_temperature`, `fit_platt`, or `UNSCALED`, which needs no photos.

    Platt's line finds the offset by itself, and takes it from here only where it cannot be fitted.
    """
    if method == "none":
        return UNSCALED
    fit = fit_temperature if method == "temperature" else fit_platt
    return fit(labels, logits, offset=offset)


def fit_temperature(labels: ArrayLike, logits: ArrayLike, *, offset: float = 0.0) -> Scaling:
    """Returns the temperature that makes the log-loss of (logits - offset) / temperature smallest.

    Guo et al. (ICML 2017) have no offset. But a loss whose classes weigh w0 and w1 moves the logits by log(w1 / w0)
    (Elkan, IJCAI 2001, theorem 2): to a population half anaemic, where the weights are balanced. No temperature takes
    that back.

    The offset alone is taken back, with a note, where the photos say nothing of the temperature: fewer than 10, one
    class, one logit for all, or every photo on the right side of the offset, when the sharpest is the best.

    Args:
        labels: int [N], 1 anaemic and 0 not, of photos that the network was not trained on.
        logits: float [N].
        offset: What the loss has moved the logits by.

    Raises:
        ValueError: If the lengths differ, or a label is not 0 or 1.
        NonFiniteLogitsError: If a logit is infinite or not a number.

    Example:
        >>> labels, logits = [0, 0, 0, 1, 0, 1, 1, 1, 0, 1], [-4, -4, -4, -4, 0, 0, 4, 4, 4, 4]
        >>> round(fit_temperature(labels, logits).temperature, 3)
        3.641
    """
    truth, given, _ = checked_photos(labels, logits)
    values = given - offset
    fault = fault_of(truth, values)
    if not fault and (np.where(truth == 1, values, -values) >= 0).all():
        side = f"{offset:.3g}" if offset else "0"
        fault = f"every photo is on the right side of {side} already, so that no finite temperature is best"
    if fault:
        return _unfitted("temperature", len(truth), fault, offset)
    # Imported to fit alone: predictions apply what was fitted.
    from scipy.optimize import minimize_scalar

    signed = np.where(truth == 1, -values, values)
    lowest, highest = TEMPERATURES
    best = minimize_scalar(
        lambda log_slope: float(np.logaddexp(0.0, np.exp(log_slope) * signed).mean()),
        bounds=(-np.log(highest), -np.log(lowest)),
        method="bounded",
        options={"xatol": 1e-9},
    )
    slope, note = _held(float(np.exp(best.x)))
    return Scaling("temperature", slope, -slope * offset if offset else 0.0, len(truth), note)


def fit_platt(labels: ArrayLike, logits: ArrayLike, *, offset: float = 0.0) -> Scaling:
    """Returns slope and intercept of the logistic regression of the label on the logit (Platt 1999).

    The targets are Platt's (a + 1) / (a + 2) for the a anaemic and 1 / (b + 2) for the b other photos instead of 1 and
    0, which keeps the fit finite where the classes do not overlap. The offset alone is taken back, with a note, where
    there are fewer than 10 photos, one class or one logit for all.

    Args:
        labels: int [N], 1 anaemic and 0 not, of photos that the network was not trained on.
        logits: float [N].
        offset: What the loss has moved the logits by; what is fitted does not depend on it.

    Raises:
        ValueError: If the lengths differ, or a label is not 0 or 1.
        NonFiniteLogitsError: If a logit is infinite or not a number.
    """
    truth, values, _ = checked_photos(labels, logits)
    if fault := fault_of(truth, values):
        return _unfitted("platt", len(truth), fault, offset)
    targets = _smoothed(truth)
    spread = float(values.std())
    design = np.column_stack([np.ones(len(values)), (values - values.mean()) / spread])
    slope, note = _held(float(fit_logistic(design, targets)[0, 1]) / spread)
    intercept = float(fit_logistic(design[:, :1], targets, offset=slope * (values - values.mean()))[0, 0])
    return Scaling("platt", slope, intercept - slope * float(values.mean()), len(truth), note)


def _unfitted(method: ScalingMethod, photos: int, fault: str, offset: float) -> Scaling:
    """Returns what can be done without photos: they choose the scaling, but the class weights are known."""
    if not offset:
        return Scaling(method, 1.0, 0.0, photos, f"The logits are left as they are: {fault}.")
    moved = "The logits are moved back from where the class weights have put them, and no more"
    return Scaling(method, 1.0, -offset, photos, f"{moved}: {fault}.")


def _smoothed(labels: Floats) -> Floats:
    anaemic = float(labels.sum())
    return np.where(labels == 1, (anaemic + 1) / (anaemic + 2), 1 / (len(labels) - anaemic + 2))


def _held(slope: float) -> tuple[float, str]:
    """Returns the slope within the limits, and a note where it was not."""
    lowest, highest = TEMPERATURES
    held = min(max(slope, 1 / highest), 1 / lowest)
    if held * (1 - 1e-6) > 1 / highest and held * (1 + 1e-6) < 1 / lowest:
        return held, ""
    if held > 1:
        return 1 / lowest, f"The temperature is held at {lowest:g}; a lower one would fit better."
    return 1 / highest, f"The temperature is held at {highest:g}: the logits do not tell these photos apart."
