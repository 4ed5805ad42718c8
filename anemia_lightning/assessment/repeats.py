"""One row per photo of a table that holds several, one for each repeat of a cross-validation."""

import pandas as pd

_SHARED = ("patient", "photo_group", "label")
_AVERAGED = ("logit", "scaled", "margin", "probability")


def join_repeats(predictions: pd.DataFrame) -> pd.DataFrame:
    """Returns one row per photo, in the order in which photos first stand in the table.

    Each fold's model has made its decision by its own scaling and threshold, chosen on its own validation photos. A
    photo of several repeats is called anaemic if at least half of its models call it so: of a tie, a screening
    refers.

    Args:
        predictions: photo and prediction (whether it is called anaemic), and of the following those that there are;
            other columns are left out.

    Returns:
        photo; patient, photo_group and label, in which the rows of a photo agree; the means of logit, scaled, margin
        and probability; prediction, 1 or 0.
    """
    by_photo = predictions.groupby("photo", sort=False)
    shared, averaged = ([name for name in names if name in predictions] for names in (_SHARED, _AVERAGED))
    joined = by_photo[shared].first().join(by_photo[[*averaged, "prediction"]].mean()).reset_index()
    return joined.assign(prediction=(joined["prediction"] >= 1 / 2).astype(int))
