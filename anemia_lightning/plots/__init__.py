"""Figures: arrays in, matplotlib out, never through pyplot."""

from anemia_lightning.plots.curves import (
    draw_confusion,
    draw_precision_recall,
    draw_roc,
    draw_training_curves,
)
from anemia_lightning.plots.photos import draw_photo_grid
from anemia_lightning.plots.style import house_style, new_figure, to_pixels, to_png

__all__ = [
    "draw_confusion",
    "draw_photo_grid",
    "draw_precision_recall",
    "draw_roc",
    "draw_training_curves",
    "house_style",
    "new_figure",
    "to_pixels",
    "to_png",
]
