"""What a network that sees a known colour is found to look at, on drawn photographs from end to end."""

import copy
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from anemia_lightning.data.dataset import PhotoDataset, PhotoRows
from anemia_lightning.data.framing import Framing
from anemia_lightning.data.sources.synthetic import read_synthetic
from anemia_lightning.data.survey import survey_photos
from anemia_lightning.data.transforms import normalise
from anemia_lightning.errors import PhotoChangedError
from anemia_lightning.looking.look import Eyes, Looks, Subject, look
from anemia_lightning.looking.sample import choose_photos
from anemia_lightning.metrics.scores import probability_of
from anemia_lightning.model.backbone import AnemiaNetwork
from anemia_lightning.model.saliency import grad_cam

FRAMING = Framing(size=64, region="full", resize="stretch", background=(124, 116, 104))
CPU = torch.device("cpu")

ColourNetwork = Callable[..., AnemiaNetwork]


@dataclass(frozen=True)
class At:
    value: float = 0.5


@dataclass(frozen=True)
class Plain:
    """A decision at one half, on the network's own probabilities."""

    threshold: At = field(default_factory=At)

    def probability(self, logits: ArrayLike) -> NDArray[np.float64]:
        return probability_of(np.asarray(logits, dtype=np.float64))

    def decide(self, probabilities: ArrayLike) -> NDArray[np.int64]:
        return (np.asarray(probabilities) >= self.threshold.value).astype(np.int64)


@pytest.fixture(scope="module")
def rows(drawn_photos: Path) -> pd.DataFrame:
    return read_synthetic(root=drawn_photos, patients=24, photos=48)


@pytest.fixture(scope="module")
def tissue(colour_network: ColourNetwork, rows: pd.DataFrame) -> tuple[AnemiaNetwork, pd.DataFrame]:
    """Calls anaemic the half of the photos that holds less red, of which black, grey and white hold none."""
    network = colour_network((1.0, -1.0, 0.0), bias=-0.4, gain=-60.0, cutoff=0.0)
    logit = logits_of(network, rows)
    with torch.no_grad():
        network.head.output.bias[1] -= float(np.median(logit))
    return network, predicted(rows, logit - np.median(logit))


@pytest.fixture(scope="module")
def sees_tissue(tissue: tuple[AnemiaNetwork, pd.DataFrame]) -> AnemiaNetwork:
    return tissue[0]


@pytest.fixture(scope="module")
def sees_background(colour_network: ColourNetwork) -> AnemiaNetwork:
    # Blue less redness: of all colours here only white is more than nothing.
    return colour_network((-3.0, 3.0, 1.0), bias=-1.0, gain=60.0, cutoff=0.1)


def logits_of(network: AnemiaNetwork, rows: pd.DataFrame) -> NDArray[np.float64]:
    pixels = PhotoDataset(PhotoRows.of(rows), FRAMING, None).pixels(range(len(rows)))
    eyes = Eyes(network, device=CPU, dtype=torch.float32)
    return eyes.logits(eyes.maps(list(pixels.permute(0, 2, 3, 1).numpy())))


def predicted(rows: pd.DataFrame, logit: NDArray[np.float64]) -> pd.DataFrame:
    probability = probability_of(logit)
    return rows.assign(logit=logit, probability=probability, prediction=(probability >= 0.5).astype(int))


def look_with(network: AnemiaNetwork, table: pd.DataFrame, **changes: Any) -> Looks | None:
    settings: dict[str, Any] = {"framing": FRAMING, "device": CPU, "dtype": torch.float32, "photos": 3}
    return look([Subject(lambda: network, PhotoRows.of(table), table, Plain())], **(settings | changes))


def seen(network: AnemiaNetwork, table: pd.DataFrame, **changes: Any) -> Looks:
    looks = look_with(network, table, **changes)
    assert looks is not None
    return looks


@pytest.fixture(scope="module")
def table(tissue: tuple[AnemiaNetwork, pd.DataFrame]) -> pd.DataFrame:
    """What the network that sees the tissue predicts."""
    return tissue[1]


@pytest.fixture(scope="module")
def looks(sees_tissue: AnemiaNetwork, table: pd.DataFrame) -> Looks:
    """What is found of it."""
    return seen(sees_tissue, table, photos=6)


def flips(looks: Looks) -> dict[str, int]:
    swaps = {row["swap"]: row["flipped"] for row in looks.values["background"]["swaps"]}
    changes = {f"{row['perturbation']} {row['level']}": row["flipped"] for row in looks.values["robustness"]}
    return swaps | changes


def test_a_network_that_sees_the_background_flips_with_it(sees_background: AnemiaNetwork, rows: pd.DataFrame) -> None:
    looks = seen(sees_background, predicted(rows, logits_of(sees_background, rows)))
    found = flips(looks)
    assert found.pop("white background") == looks.values["photos"]["drawn"] == 3
    assert set(found.values()) == {0}
    white = next(row for row in looks.values["background"]["swaps"] if row["swap"] == "white background")
    assert white["mean_logit_shift"] > 10
    assert white["flipped_interval"]["value"] == 1.0
    # All were called alike, so there was nobody to take another outline from.
    assert "called alike" in looks.values["background"]["note"]
    assert any("white background flips most: 3 of 3" in sentence for sentence in looks.values["says"])


def test_a_network_that_sees_the_tissue_does_not(looks: Looks) -> None:
    found = flips(looks)
    assert found["black background"] == found["white background"] == 0
    # Light of another colour reddens or pales the tissue, and moves a network that sees redness alone.
    shift = {(row["perturbation"], row["level"]): row["mean_logit_shift"] for row in looks.values["robustness"]}
    assert shift["white balance", 5000] < 0 < shift["white balance", 9300]
    assert max(abs(shift["JPEG", 90]), abs(shift["blur", 1])) < abs(shift["white balance", 5000])
    for row in (*looks.values["robustness"], *looks.values["background"]["swaps"]):
        assert 0 <= row["flipped_interval"]["low"] <= row["flipped"] / row["n"] <= row["flipped_interval"]["high"] <= 1


def test_what_it_found_is_plain_and_the_same_again(sees_tissue: AnemiaNetwork, table: pd.DataFrame) -> None:
    state = {key: value.clone() for key, value in sees_tissue.state_dict().items()}
    needs = [parameter.requires_grad for parameter in sees_tissue.parameters()]
    first, second = seen(sees_tissue, table), seen(sees_tissue, table)
    assert json.dumps(first.values, allow_nan=False) == json.dumps(second.values, allow_nan=False)
    assert [picture.jpeg for picture in first.errors] == [picture.jpeg for picture in second.errors]
    assert all(torch.equal(value, state[key]) for key, value in sees_tissue.state_dict().items())
    assert [parameter.requires_grad for parameter in sees_tissue.parameters()] == needs
    assert not sees_tissue.training


def test_networks_with_photos_of_their_own_are_looked_at_together(
    sees_tissue: AnemiaNetwork, sees_background: AnemiaNetwork, table: pd.DataFrame, rows: pd.DataFrame
) -> None:
    # Of the random sample of all photos, each network answers for its own.
    other = predicted(rows, logits_of(sees_background, rows))
    half = len(table) // 2
    parts = [(sees_tissue, table.iloc[:half]), (sees_background, other.iloc[half:])]
    subjects = [Subject(partial(copy.copy, network), PhotoRows.of(part), part, Plain()) for network, part in parts]
    settings: dict[str, Any] = {"framing": FRAMING, "device": CPU, "dtype": torch.float32}
    looks = look(subjects, photos=8, **settings)
    assert looks is not None
    drawn = choose_photos(pd.concat([part for _, part in parts]), photos=8, threshold=0.5).drawn.tolist()
    of_background = sum(row >= half for row in drawn)
    assert 0 < of_background < 8
    white = next(row for row in looks.values["background"]["swaps"] if row["swap"] == "white background")
    assert (white["n"], white["flipped"]) == (8, of_background)
    assert looks.values["photos"]["drawn"] == 8
    together = look(subjects[:1], photos=8, **settings)
    assert together is not None
    assert flips(together)["white background"] == 0
    assert json.dumps(looks.values, allow_nan=False)


def test_errors_are_shown_and_not_counted(sees_tissue: AnemiaNetwork, table: pd.DataFrame) -> None:
    looks = seen(sees_tissue, table.assign(label=1 - table["prediction"]))  # a model that is always wrong
    assert [len(looks.errors), looks.values["photos"]["errors"]] == [3, 48]
    right = seen(sees_tissue, table.assign(label=table["prediction"]))
    assert (right.errors, right.values["photos"]["errors"]) == ([], 0)
    # What is estimated rests on the same random photos, be they called rightly or wrongly.
    assert flips(right) == flips(looks)
    assert right.values["saliency"]["energy_inside"] == looks.values["saliency"]["energy_inside"]
    patients = table.set_index("photo")["patient"]
    assert patients[[picture.photo for picture in right.others]].is_unique
    shown = [picture.photo for picture in (*looks.errors, *looks.others)]
    assert len(set(shown)) == len(shown)


def test_a_picture_shows_the_photo_beside_its_heat(looks: Looks, table: pd.DataFrame) -> None:
    by_photo = {row["photo"]: row for row in table.to_dict("records")}
    assert looks.others
    for picture in (*looks.errors, *looks.others):
        row = by_photo[picture.photo]
        with Image.open(io.BytesIO(picture.jpeg)) as image:
            assert (image.format, image.size) == ("JPEG", (128, 64))
        names = ("not anaemic", "anaemic")
        assert picture.lines[0] == names[int(row["label"])]
        assert picture.lines[1] == f"called {names[int(row['prediction'])]}, probability {row['probability']:.2f}"
        assert picture.is_anaemic == (row["label"] == 1)


def test_no_photograph_is_shown_where_none_may_be(sees_tissue: AnemiaNetwork, table: pd.DataFrame) -> None:
    hidden = seen(sees_tissue, table, photos=2, show_photos=False)
    assert (hidden.errors, hidden.others) == ([], [])
    assert hidden.values["photos"]["drawn"] == 2


def test_nothing_is_looked_at_where_nothing_is_asked(sees_tissue: AnemiaNetwork, table: pd.DataFrame) -> None:
    assert look_with(sees_tissue, table, photos=0) is None


@pytest.fixture(scope="module")
def whole_photos(rows: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The same photographs on skin, without transparency, as JPEG."""
    folder = tmp_path_factory.mktemp("whole")
    paths = []
    for number, path in enumerate(rows["path"]):
        with Image.open(path) as image:
            skin = Image.new("RGB", image.size, (205, 165, 140))
            skin.paste(image, mask=image.getchannel("A"))
        paths.append(str(folder / f"{number}.jpg"))
        skin.save(paths[-1], quality=95)
    return rows.assign(path=paths)


def test_whole_photographs_have_no_tissue_to_swap(sees_tissue: AnemiaNetwork, whole_photos: pd.DataFrame) -> None:
    looks = seen(sees_tissue, predicted(whole_photos, logits_of(sees_tissue, whole_photos)))
    assert json.dumps(looks.values, allow_nan=False)
    assert looks.values["saliency"]["energy_inside"]["value"] is None
    for part in ("saliency", "background"):
        assert "no mask or transparency" in looks.values[part]["skipped"]
    assert looks.values["background"]["swaps"] == []
    assert {row["n"] for row in looks.values["robustness"]} == {3}
    assert not any("on the tissue" in line for picture in looks.others for line in picture.lines)
    assert sum("no mask or transparency" in sentence for sentence in looks.values["says"]) == 2


def test_where_masks_are_given_for_some_photos_these_are_swapped(
    sees_tissue: AnemiaNetwork, table: pd.DataFrame, whole_photos: pd.DataFrame
) -> None:
    mixed = table.assign(path=np.where(np.arange(len(table)) % 2, table["path"], whole_photos["path"]))
    values = seen(sees_tissue, mixed, photos=6).values
    swapped = {row["n"] for row in values["background"]["swaps"]}
    assert 0 < max(swapped) < values["photos"]["drawn"] == 6
    assert values["saliency"]["n"] <= max(swapped)
    assert {row["n"] for row in values["robustness"]} == {6}


def test_a_photo_that_has_changed_since_is_refused(sees_tissue: AnemiaNetwork, table: pd.DataFrame) -> None:
    facts = survey_photos(table).facts
    settings: dict[str, Any] = {"framing": FRAMING, "device": CPU, "dtype": torch.float32, "photos": 1}
    subject = Subject(lambda: sees_tissue, PhotoRows.of(table, facts), table, Plain())
    assert look([subject], **settings) is not None
    with pytest.raises(PhotoChangedError):
        look([subject._replace(photos=PhotoRows.of(table, facts.assign(file_sha256="0")))], **settings)


@pytest.fixture(scope="module")
def network() -> AnemiaNetwork:
    return AnemiaNetwork(backbone="resnet18", hidden=8).eval()


@pytest.mark.parametrize(
    ("dtype", "within"), [(torch.float32, 1e-4), (torch.float64, 1e-4), (torch.bfloat16, 2e-2)], ids=str
)
def test_what_it_sees_is_what_the_network_says(network: AnemiaNetwork, dtype: torch.dtype, within: float) -> None:
    # More than one pass of the trunk takes.
    images = np.random.default_rng(0).integers(0, 256, (19, 64, 64, 3), dtype=np.uint8)
    values, called = normalise(torch.from_numpy(images).permute(0, 3, 1, 2)), np.arange(19) % 2
    with torch.no_grad():
        both, exact = network(values), network.trunk(values)
    eyes = Eyes(network, device=CPU, dtype=dtype)
    maps = eyes.maps(list(images))
    assert eyes.logits(maps) == pytest.approx((both[:, 1] - both[:, 0]).numpy(), abs=within)
    assert eyes.logits_of(list(images)) == pytest.approx(eyes.logits(maps), abs=0)
    expected = grad_cam(network, exact, torch.from_numpy(called), size=64)
    assert np.abs(eyes.heat(maps, called, 64) - expected.numpy()).max() < 5 * within


def test_the_words_say_what_the_values_hold(looks: Looks) -> None:
    values = looks.values
    sentences = values["says"]
    assert sentences[0].startswith("6 of 48 test photos")
    others = next(row for row in values["background"]["swaps"] if row["swap"] == "outline of another photo")
    kept = others["n"] - others["flipped"]
    assert any(f"the tissue in {kept} of {others['n']} photos" in sentence for sentence in sentences)
