"""What a classifier is worth: pure functions of labels and logits, and the running scores of an epoch.

`collection` needs torch and is imported by its own name.
"""

from anemia_lightning.metrics.scores import (
    Score,
    auroc,
    average_precision,
    confusion_counts,
    decisions_of,
    probability_of,
    score_decisions,
    shown,
    weighted_log_loss,
)

__all__ = [
    "Score",
    "auroc",
    "average_precision",
    "confusion_counts",
    "decisions_of",
    "probability_of",
    "score_decisions",
    "shown",
    "weighted_log_loss",
]
