"""What crosses the borders between packages: requests, batches and the columns of the tables."""

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

Stage = Literal["train", "val", "test", "predict"]

Entry = Literal["image", "layer3", "pooled"]
"""Where a batch enters the network: as an image, as layer3's output, or as the pooled vector."""

UNKNOWN_LABEL = -1
"""The label of a photo that has none, as in prediction; 1 is anaemic and 0 is not, always."""


class BatchRequest(NamedTuple):
    """What a sampler asks of a data set: some photos, in one version.

    A data set answers a request with a `Batch`. It keeps no state between requests, so worker
    processes, prefetching and resumption cannot change what a request returns.
    """

    indices: tuple[int, ...]
    """Rows of the data set."""
    view: int
    """Which version of the photos, from 0; data sets that do not augment have one."""
    step_label_counts: tuple[int, int]
    """Photos with label 0 and label 1 in the whole optimizer step: all ranks, all micro-batches."""


class Batch(NamedTuple):
    """Some photos on their way through the network."""

    photo: tuple[str, ...]
    """Photo ids."""
    label: "Tensor"
    """int64 [B]: 1 anaemic, 0 not, `UNKNOWN_LABEL` where there is none."""
    values: "Tensor"
    """float [B, 3, H, W], [B, C, h, w] or [B, C], as `entry` says."""
    entry: Entry
    """Where `values` enter the network."""
    step_label_counts: "Tensor"
    """int64 [2]: `BatchRequest.step_label_counts`."""


MANIFEST_COLUMNS = (
    "photo",
    "path",
    "label",
    "patient",
    "photo_group",
    "source",
    "site",
    "sex",
    "age_months",
    "hemoglobin_g_dl",
    "pregnancy",
    "altitude_m",
    "cigarettes_per_day",
    "severity",
    "mask",
    "split",
)
"""Columns of every manifest; a source may add its own behind them.

`pregnancy` is "no", the trimester "1", "2" or "3", "yes" where that is unknown, or ""; `severity` is none, mild,
moderate, severe or "". Where the data do not name the patient, `patient` is the id of the photo: see `names_patient`.
"""

FACT_COLUMNS = (
    "file_sha256",
    "file_bytes",
    "format",
    "mode",
    "width",
    "height",
    "orientation",
    "notes",
    "pixels_sha256",
    "turned_sha256",
    "tissue_share",
    "tissue_pixels",
    "sharpness",
    "clipped_dark",
    "clipped_bright",
)
"""What the survey finds out about each photo, beside its colour."""

COLOUR_PREFIX = "colour_"
"""What the names of the columns of its colour begin with."""

GRAINS = ("bytes", "pixels", "turned", "recut")
"""What counts as copies of one photograph, from the narrowest to the widest; each includes those before it: the same
file, the same pixels, the same after mirroring, turning or re-encoding, another cut-out of the same photograph."""

GROUP_COLUMNS = tuple(f"group_{grain}" for grain in GRAINS)
"""One column per grain: the id of the first photo of the group."""

PREDICTION_COLUMNS = (
    "photo",
    "patient",
    "photo_group",
    "site",
    "label",
    "logit",
    "probability",
    "prediction",
)
"""Columns of predictions_val.csv, predictions_test.csv and of what `predict` writes.

`logit` is the network's own, the fp32 difference of its two outputs; loss and ranks are scored on it. `probability` is
P(anaemic) by the calibration that the model carries, and `prediction` is 1 where it reaches the model's threshold.
"""

SPLIT_COLUMNS = ("photo", "patient", "photo_group", "label", "split", "reason")
"""Columns of splits.csv; `split` is train, val, test or excluded."""


def names_patient(photos: "pd.DataFrame") -> "pd.Series[bool]":
    """Says of which photos the data name the patient; each other photo counts as a patient of its own.

    Args:
        photos: Columns photo and patient, as in manifests, splits and predictions.
    """
    return photos["patient"] != photos["photo"]
