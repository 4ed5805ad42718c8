"""How many photos there are and of how many patients, without a claim about patients whom the data do not name."""

from typing import TYPE_CHECKING, NamedTuple

from anemia_lightning.contracts import names_patient

if TYPE_CHECKING:
    import pandas as pd


class Numbers(NamedTuple):
    """Some photos and the patients whom they show.

    Example:
        >>> Numbers(photos=240, patients=80, unnamed=0).words
        '240 photos of 80 patients'
        >>> Numbers(photos=496, patients=0, unnamed=496).words
        '496 photos (patients not named)'
        >>> Numbers(photos=600, patients=218, unnamed=382).words
        '600 photos of 218 patients and others not named'
    """

    photos: int
    patients: int
    """Those whom the data name."""
    unnamed: int
    """Photos of which the data do not name the patient."""

    @property
    def words(self) -> str:
        """What a reader sees."""
        photos = f"{self.photos} photo" + "s" * (self.photos != 1)
        if self.unnamed and not self.patients:
            return f"{photos} (patients not named)"
        patients = f"{self.patients} patient" + "s" * (self.patients != 1)
        return f"{photos} of {patients}" + " and others not named" * bool(self.unnamed)


def count_patients(photos: "pd.DataFrame") -> Numbers:
    """Counts photos, patients whom the data name, and photos of which they name none.

    Args:
        photos: Columns photo and patient.
    """
    is_named = names_patient(photos)
    return Numbers(len(photos), int(photos["patient"][is_named].nunique()), int((~is_named).sum()))
