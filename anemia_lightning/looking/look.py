"""What a finished network looks at, and what moves its decisions: on some of the photos that it was tested on."""

import io
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from anemia_lightning.data.cut_outs import CutOut, Pixels, cut_out
from anemia_lightning.data.dataset import PhotoDataset, PhotoRows
from anemia_lightning.data.framing import Framing
from anemia_lightning.data.transforms import normalise
from anemia_lightning.looking.changes import Change, changes_of, choose_partners
from anemia_lightning.looking.sample import choose_photos
from anemia_lightning.looking.values import (
    Deciding,
    Looked,
    change_values,
    heat_shares,
    photo_values,
    saliency_values,
)
from anemia_lightning.looking.words import look_sentences
from anemia_lightning.model.backbone import AnemiaNetwork
from anemia_lightning.model.saliency import grad_cam
from anemia_lightning.model.trunk_pass import TrunkPass
from anemia_lightning.plots.looks import draw_robustness, heat_beside
from anemia_lightning.terminal import progress_bar

_QUALITY = 80
_MAPS_AT_ONCE = 64
_PHOTOS_AT_ONCE = 8
_LABELS = ("not anaemic", "anaemic")
_In = TypeVar("_In")
_Out = TypeVar("_Out")


class LookPicture(NamedTuple):
    """A photo beside itself under its heat map, and what stands below; as `report.sections.Picture`."""

    photo: str
    jpeg: bytes
    lines: list[str]
    is_anaemic: bool


@dataclass(frozen=True)
class Looks:
    """What looking at a network brought to light."""

    values: dict[str, Any]
    """Plain values, for looks.json."""
    robustness: Figure
    errors: list[LookPicture]
    """Photos called wrongly, the most confident first."""
    others: list[LookPicture]
    """Photos of the random sample that are not among those errors."""


class Eyes:
    """A network's logits and layer3 maps of framed photographs, by the trunk pass that scored it.

    Args:
        network: The network as it is now.
        device: Where to compute.
        dtype: In which precision trunk and layer4 compute.
    """

    def __init__(self, network: AnemiaNetwork, *, device: torch.device, dtype: torch.dtype) -> None:
        self._network = network
        self._pass = TrunkPass(network, device=device, dtype=dtype)

    def maps(self, images: Sequence[Pixels]) -> Tensor:
        """Returns layer3's output for images, each uint8 [S, S, 3]."""
        pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        return self._pass.trunk(normalise(pixels.to(self._pass.device)))

    def logits(self, maps: Tensor) -> NDArray[np.float64]:
        """Returns the logit of each photo, float64 [N], for layer3's output."""
        pooled = self._pass.pool(maps).to(self._network.head.hidden.weight.device)
        with torch.no_grad():
            both = self._network(pooled, entry="pooled")
        found: NDArray[np.float64] = (both[:, 1] - both[:, 0]).double().cpu().numpy()
        return found

    def heat(self, maps: Tensor, called: NDArray[np.int64], size: int) -> NDArray[np.float32]:
        """Returns heat maps, float32 [N, size, size], of what speaks for each decision."""
        is_half = maps.dtype in (torch.bfloat16, torch.float16)
        with torch.autocast(maps.device.type, dtype=maps.dtype if is_half else None, enabled=is_half):
            found = grad_cam(self._network, maps, torch.from_numpy(called), size=size, entry="layer3")
        heat: NDArray[np.float32] = found.numpy()
        return heat


def look(
    network: AnemiaNetwork,
    rows: pd.DataFrame,
    facts: pd.DataFrame | None,
    table: pd.DataFrame,
    decision: Deciding,
    *,
    framing: Framing,
    device: torch.device,
    dtype: torch.dtype,
    photos: int = 32,
    show_photos: bool = True,
    threads: int = 2,
) -> Looks | None:
    """Looks at what a finished network does with photos that it was tested on.

    Everything that is estimated rests on a random sample of photos that share neither patient nor photograph; the
    errors are shown beside it and never mixed in. Changed photos are compared with the photo as it is, put together
    and computed in the same way; its logit may differ from the scored one by rounding.

    Args:
        network: The finished network; it is left as it is.
        rows: The manifest's rows of the test photos.
        facts: What the survey found out about them; None where there was none.
        table: Their prediction table, in the same order.
        decision: From logits to decisions.
        framing: How photographs become squares.
        device: Where to compute.
        dtype: In which precision trunk and layer4 compute.
        photos: How many to draw, and how many errors to show; 0 looks at nothing.
        show_photos: Whether to make pictures, in which people may be recognised.
        threads: Makers of changed photographs beside the network.

    Returns:
        What was found; None where no photo is to be looked at.

    Raises:
        PhotoUnreadable: If a photo can no longer be decoded.
        PhotoChangedError: If a photo is no longer the file that the survey saw.
    """
    if not photos or table.empty:
        return None
    sample = choose_photos(table, photos=photos, threshold=decision.threshold.value)
    chosen = np.unique(np.concatenate([sample.drawn, sample.errors]))
    eyes = Eyes(network, device=device, dtype=dtype)
    dataset = PhotoDataset(PhotoRows.of(rows.iloc[chosen], facts), framing, None)
    with progress_bar("looking at photographs") as progress, ThreadPoolExecutor(threads) as pool:
        cut_outs = list(pool.map(lambda index: cut_out(dataset.photograph(index).rgba, framing), range(len(chosen))))
        looked = _look_at(eyes, table.iloc[chosen], cut_outs, decision)
        place = {row: index for index, row in enumerate(chosen.tolist())}
        drawn, errors = (looked.at([place[row] for row in which.tolist()]) for which in (sample.drawn, sample.errors))
        logits = _change_logits(eyes, drawn, pool, progress)
    background, robustness = change_values(drawn, logits, decision)
    values: dict[str, Any] = {
        "photos": photo_values(sample, len(table), shown=show_photos),
        "saliency": saliency_values(drawn, errors),
        "background": background,
        "robustness": robustness,
    }
    values["says"] = look_sentences(values)
    others = [index for index, row in enumerate(sample.drawn.tolist()) if row not in set(sample.errors.tolist())]
    known = {str(row["photo"]): row for row in table.to_dict("records")}
    return Looks(
        values,
        draw_robustness(robustness),
        errors=_pictures(errors, known) if show_photos else [],
        others=_pictures(drawn.at(others), known) if show_photos else [],
    )


def _look_at(eyes: Eyes, table: pd.DataFrame, cut_outs: list[CutOut], decision: Deciding) -> Looked:
    logits, called, heat = [], [], []
    for start in range(0, len(cut_outs), _MAPS_AT_ONCE):
        part = cut_outs[start : start + _MAPS_AT_ONCE]
        # Put together as its changed versions are: what they do is then no rounding at the rim of the tissue.
        maps = eyes.maps([photo.compose(photo.colours) for photo in part])
        logits.append(eyes.logits(maps))
        called.append(decision.decide(decision.probability(logits[-1])))
        heat.append(eyes.heat(maps, called[-1], part[0].image.shape[0]))
    labels = table["label"].to_numpy(dtype=np.int64)
    return Looked(
        list(table["photo"]), labels, cut_outs, np.concatenate(logits), np.concatenate(called), np.concatenate(heat)
    )


def _change_logits(
    eyes: Eyes, drawn: Looked, pool: ThreadPoolExecutor, progress: Callable[[int, int], None]
) -> dict[Change, dict[int, float]]:
    """Returns, for each change, the logit of each photo that underwent it, by its place."""
    work = list(zip(drawn.cut_outs, choose_partners(drawn.cut_outs, drawn.called), strict=True))
    versions = _made_ahead(pool, lambda pair: changes_of(*pair), work)
    logits: dict[Change, dict[int, float]] = {}
    # Together, so that few passes of the trunk are padded.
    for start in range(0, len(work), _PHOTOS_AT_ONCE):
        part = list(islice(versions, _PHOTOS_AT_ONCE))
        found = eyes.logits(eyes.maps(list(chain.from_iterable(changed.values() for changed in part))))
        whose = [(place, change) for place, changed in enumerate(part, start) for change in changed]
        for (place, change), logit in zip(whose, found.tolist(), strict=True):
            logits.setdefault(change, {})[place] = logit
        progress(start + len(part), len(work))
    return logits


def _made_ahead(pool: ThreadPoolExecutor, make: Callable[[_In], _Out], items: Iterable[_In]) -> Iterator[_Out]:
    """Yields what is made of each item, a few made beside while those before are used: all at once need much memory."""
    waiting: deque[Future[_Out]] = deque()
    for item in items:
        waiting.append(pool.submit(make, item))
        if len(waiting) > _PHOTOS_AT_ONCE:
            yield waiting.popleft().result()
    for future in waiting:
        yield future.result()


def _pictures(looked: Looked, table: Mapping[str, Mapping[Hashable, Any]]) -> list[LookPicture]:
    inside, chance = heat_shares(looked)
    pictures = []
    for index, photo in enumerate(looked.photo):
        row = table[photo]
        lines = [
            _LABELS[int(row["label"])],
            f"called {_LABELS[int(row['prediction'])]}, probability {row['probability']:.2f}",
        ]
        if not np.isnan(inside[index]):
            lines.append(f"{inside[index]:.0%} of the heat on the tissue, {chance[index]:.0%} by chance")
        both = heat_beside(looked.cut_outs[index].image, looked.heat[index])
        pictures.append(LookPicture(photo, _jpeg(both), lines, is_anaemic=bool(row["label"] == 1)))
    return pictures


def _jpeg(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=_QUALITY, optimize=True)
    return file.getvalue()
