"""What a network must beat: tables in, probabilities out."""

from anemia_lightning.baselines.colour import fit_predict_colour

__all__ = ["fit_predict_colour"]
