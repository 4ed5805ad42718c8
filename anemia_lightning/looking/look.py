"""What finished networks look at, and what moves their decisions: on some of the photos that each was tested on."""

import io
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from anemia_lightning.command_line.terminal import progress_bar
from anemia_lightning.data.cut_outs import CutOut, Pixels, cut_out
from anemia_lightning.data.dataset import PhotoDataset, PhotoRows
from anemia_lightning.data.framing import Framing
from anemia_lightning.data.transforms import normalise
from anemia_lightning.looking.changes import Change, changes_of, choose_partners
from anemia_lightning.looking.sample import choose_photos
from anemia_lightning.looking.values import (
    Changes,
    Deciding,
    Looked,
    Outcome,
    change_values,
    heat_shares,
    join,
    photo_values,
    saliency_values,
)
from anemia_lightning.looking.words import look_sentences
from anemia_lightning.machine.freed_memory import give_back_memory
from anemia_lightning.machine.made_ahead import made_ahead
from anemia_lightning.model.backbone import AnemiaNetwork
from anemia_lightning.model.saliency import grad_cam
from anemia_lightning.model.trunk_pass import TrunkPass
from anemia_lightning.plots.looks import draw_robustness, heat_beside
from anemia_lightning.report.sections import Picture

_QUALITY = 80
_MAPS_AT_ONCE = 8
_PHOTOS_AT_ONCE = 8
_LABELS = ("not anaemic", "anaemic")


@dataclass(frozen=True)
class Looks:
    """What looking at a network brought to light."""

    values: dict[str, Any]
    """Plain values, for looks.json."""
    robustness: Figure
    errors: list[Picture]
    """Photos beside themselves under their heat maps: those called wrongly, the most confident first."""
    others: list[Picture]
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

    def logits_of(self, images: Sequence[Pixels]) -> NDArray[np.float64]:
        """Returns the logit of each image, float64 [N], without keeping the maps of more than one pass."""
        size = self._pass.batch_size
        parts = [images[start : start + size] for start in range(0, len(images), size)]
        return np.concatenate([self.logits(self.maps(part)) for part in parts])

    def heat(self, maps: Tensor, called: NDArray[np.int64], size: int) -> NDArray[np.float32]:
        """Returns heat maps, float32 [N, size, size], of what speaks for each decision."""
        is_half = maps.dtype in (torch.bfloat16, torch.float16)
        with torch.autocast(maps.device.type, dtype=maps.dtype if is_half else None, enabled=is_half):
            found = grad_cam(self._network, maps, torch.from_numpy(called), size=size)
        heat: NDArray[np.float32] = found.numpy()
        return heat


class Subject(NamedTuple):
    """A finished network, and the photos that it was tested on."""

    network: Callable[[], AnemiaNetwork]
    """Opens it; it is left as it is."""
    photos: PhotoRows
    table: pd.DataFrame
    """The prediction table of these photos, in the same order."""
    decision: Deciding
    """From logits to decisions."""


def look(
    subjects: Sequence[Subject],
    *,
    framing: Framing,
    device: torch.device,
    dtype: torch.dtype,
    photos: int = 32,
    show_photos: bool = True,
    threads: int = 2,
) -> Looks | None:
    """Looks at what finished networks do with photos that each was tested on: one of a run, or those of all folds.

    Everything that is estimated rests on a random sample of photos that share neither patient nor photograph; the
    errors are shown beside it and never mixed in. Changed photos are compared with the photo as it is, put together
    and computed in the same way; its logit may differ from the scored one by rounding.

    Args:
        subjects: The networks with their photos, each photo once.
        framing: How photographs become squares.
        device: Where to compute.
        dtype: In which precision trunk and layer4 compute.
        photos: How many to draw of all, and how many errors to show; 0 looks at nothing.
        show_photos: Whether to make pictures, in which people may be recognised.
        threads: Makers of changed photographs beside the network.

    Returns:
        What was found; None where no photo is to be looked at.

    Raises:
        PhotoUnreadable: If a photo can no longer be decoded.
        PhotoChangedError: If a photo is no longer the file that the survey saw.
    """
    table = pd.concat([subject.table for subject in subjects], ignore_index=True)
    if not photos or table.empty:
        return None
    sizes = [len(subject.table) for subject in subjects]
    cut_offs = np.repeat([subject.decision.threshold.value for subject in subjects], sizes)
    sample = choose_photos(table, photos=photos, threshold=cut_offs)
    parts: list[_Seen] = []
    with progress_bar("looking at photographs") as progress, ThreadPoolExecutor(threads) as pool:
        for subject, end in zip(subjects, np.cumsum(sizes).tolist(), strict=True):
            first, done = end - len(subject.table), sum(len(part.drawn.photo) for part in parts)
            mine = [_within(rows, first, end) for rows in (sample.drawn, sample.errors)]
            if any(mine):
                eyes = Eyes(subject.network(), device=device, dtype=dtype)
                give_back_memory()  # of the network's weights, which were copied in full precision first
                show = partial(_add, progress, done, len(sample.drawn))
                parts.append(_see(eyes, subject, *mine, framing=framing, pool=pool, progress=show))
    drawn, errors = join([part.drawn for part in parts]), join([part.errors for part in parts])
    background, robustness = change_values(drawn, _joined_changes(parts))
    values: dict[str, Any] = {
        "photos": photo_values(sample, len(table), shown=show_photos),
        "saliency": saliency_values(drawn, errors),
        "background": background,
        "robustness": robustness,
    }
    values["says"] = look_sentences(values)
    wrong = [str(table["photo"].iloc[row]) for row in sample.errors.tolist()]
    others = [place for place, photo in enumerate(drawn.photo) if photo not in set(wrong)]
    known = {str(row["photo"]): row for row in table.to_dict("records")}
    return Looks(
        values,
        draw_robustness(robustness),
        errors=_pictures(errors.at([errors.photo.index(photo) for photo in wrong]), known) if show_photos else [],
        others=_pictures(drawn.at(others), known) if show_photos else [],
    )


class _Seen(NamedTuple):
    """What one network makes of its photos."""

    drawn: Looked
    errors: Looked
    changes: Changes


def _see(
    eyes: Eyes,
    subject: Subject,
    drawn: Sequence[int],
    errors: Sequence[int],
    *,
    framing: Framing,
    pool: ThreadPoolExecutor,
    progress: Callable[[int], None],
) -> _Seen:
    """Looks at rows of a subject: those of the random sample, and the errors."""
    chosen = sorted({*drawn, *errors})
    dataset = PhotoDataset(subject.photos, framing, None)
    cut_outs = list(pool.map(lambda row: cut_out(dataset.photograph(row).rgba, framing), chosen))
    looked = _look_at(eyes, subject.table.iloc[chosen], cut_outs, subject.decision)
    give_back_memory()  # of heat maps, which need gradients
    sampled, wrong = (looked.at([chosen.index(row) for row in rows]) for rows in (drawn, errors))
    logits = _change_logits(eyes, sampled, pool, progress) if drawn else {}
    return _Seen(sampled, wrong, {change: _outcomes(found, subject.decision) for change, found in logits.items()})


def _outcomes(logits: Mapping[int, float], decision: Deciding) -> dict[int, Outcome]:
    called = decision.decide(decision.probability(np.array(list(logits.values()))))
    return {
        place: Outcome(logit, int(each)) for (place, logit), each in zip(logits.items(), called.tolist(), strict=True)
    }


def _joined_changes(parts: Sequence[_Seen]) -> Changes:
    """Returns the changes of all parts, with the places that their photos have in all drawn ones."""
    joined: dict[Change, dict[int, Outcome]] = {}
    first = 0
    for part in parts:
        for change, found in part.changes.items():
            joined.setdefault(change, {}).update({first + place: outcome for place, outcome in found.items()})
        first += len(part.drawn.photo)
    return joined


def _within(rows: NDArray[np.int64], first: int, end: int) -> list[int]:
    """Returns those of the rows that lie in a part of a table, counted from its first."""
    return [row - first for row in rows.tolist() if first <= row < end]


def _add(progress: Callable[[int, int], None], before: int, total: int, done: int) -> None:
    progress(before + done, total)


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
    eyes: Eyes, drawn: Looked, pool: ThreadPoolExecutor, progress: Callable[[int], None]
) -> dict[Change, dict[int, float]]:
    """Returns, for each change, the logit of each photo that underwent it, by its place."""
    work = list(zip(drawn.cut_outs, choose_partners(drawn.cut_outs, drawn.called), strict=True))
    # A few ahead, since all at once need much memory.
    versions = made_ahead(pool, lambda pair: changes_of(*pair), work, ahead=_PHOTOS_AT_ONCE)
    logits: dict[Change, dict[int, float]] = {}
    # Together, so that few passes of the trunk are padded.
    for start in range(0, len(work), _PHOTOS_AT_ONCE):
        part = list(islice(versions, _PHOTOS_AT_ONCE))
        found = eyes.logits_of(list(chain.from_iterable(changed.values() for changed in part)))
        whose = [(place, change) for place, changed in enumerate(part, start) for change in changed]
        for (place, change), logit in zip(whose, found.tolist(), strict=True):
            logits.setdefault(change, {})[place] = logit
        progress(start + len(part))
    return logits


def _pictures(looked: Looked, table: Mapping[str, Mapping[Hashable, Any]]) -> list[Picture]:
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
        pictures.append(Picture(photo, _jpeg(both), lines, is_anaemic=bool(row["label"] == 1)))
    return pictures


def _jpeg(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=_QUALITY, optimize=True)
    return file.getvalue()
