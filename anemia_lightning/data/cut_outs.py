"""A photograph as its tissue and what lies around it, at the network's size: one can change while the other stays."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from anemia_lightning.data.framing import Framing, composite
from anemia_lightning.data.reading import TISSUE_ALPHA

Pixels = NDArray[np.uint8]
"""uint8 [S, S, 3]: red, green and blue."""

_OPAQUE = 255


@dataclass(frozen=True, eq=False, kw_only=True)
class CutOut:
    """A framed photograph in two layers."""

    image: Pixels
    """As the network sees it."""
    colours: Pixels
    """The photograph's colours without its background: beyond the outline each pixel has the colour of the nearest
    tissue, so that blurs and codecs meet no edge. Of a photograph without a mask, the image."""
    tissue: NDArray[np.uint8]
    """uint8 [S, S]: how much of each pixel is tissue, 0 to 255; 255 throughout without a mask."""
    background: tuple[int, int, int]
    is_masked: bool
    """Whether a mask or transparency tells the tissue from what lies around it, and there is some of both."""

    @property
    def is_tissue(self) -> NDArray[np.bool_]:
        """Which pixels are rather tissue than background, bool [S, S]."""
        return np.asarray(self.tissue >= TISSUE_ALPHA)

    def compose(
        self,
        colours: Pixels,
        *,
        tissue: NDArray[np.uint8] | None = None,
        background: tuple[int, int, int] | None = None,
    ) -> Pixels:
        """Puts colours into an outline on a background.

        With its own colours, outline and background that is the image, but for rounding and for the colours of pixels
        on the rim that are mostly background.

        Args:
            colours: Of the tissue.
            tissue: Another outline.
            background: Another background.
        """
        outline = self.tissue if tissue is None else tissue
        return composite(np.dstack([colours, outline]), self.background if background is None else background)


def cut_out(rgba: NDArray[np.uint8], framing: Framing) -> CutOut:
    """Frames a photograph, uint8 [H, W, 4], and takes it apart."""
    image, tissue = framing.apply(rgba), framing.tissue(rgba)
    is_tissue = tissue >= TISSUE_ALPHA
    # What a letterbox adds is no background of the photograph's own.
    is_masked = bool((rgba[..., 3] < TISSUE_ALPHA).any() and is_tissue.any() and not is_tissue.all())
    if not is_masked:
        colours, tissue = image, np.full_like(tissue, _OPAQUE)
    else:
        shaded = framing.on((0, 0, 0)).apply(rgba).astype(np.float64)
        bare = np.rint(shaded * _OPAQUE / np.maximum(tissue, 1)[..., None]).clip(0, _OPAQUE)
        colours = spread(bare.astype(np.uint8), is_tissue)
    return CutOut(image=image, colours=colours, tissue=tissue, background=framing.background, is_masked=is_masked)


def spread(colours: Pixels, known: NDArray[np.bool_]) -> Pixels:
    """Gives each pixel that is not known the colour of the nearest that is.

    Args:
        colours: uint8 [H, W, 3].
        known: bool [H, W], True somewhere.
    """
    rows, columns = distance_transform_edt(~known, return_distances=False, return_indices=True)
    spread_out: Pixels = colours[rows, columns]
    return spread_out
