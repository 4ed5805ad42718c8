"""What a network must beat: tables in, probabilities out."""

from anemia_lightning.baselines.fitting import available_baselines, out_of_fold, predict_baselines
from anemia_lightning.baselines.registry import BASELINES, COMPARED, Baseline

__all__ = ["BASELINES", "COMPARED", "Baseline", "available_baselines", "out_of_fold", "predict_baselines"]
