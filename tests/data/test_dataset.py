import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from anemia_lightning.contracts import UNKNOWN_LABEL, Batch, BatchRequest
from anemia_lightning.data.dataset import PhotoDataset, PhotoRows
from anemia_lightning.data.framing import Framing
from anemia_lightning.data.manifest import build_manifest
from anemia_lightning.data.reading import read_photo
from anemia_lightning.data.survey import survey_photos
from anemia_lightning.data.transforms import Augmentation, augment, draw_views, normalise
from anemia_lightning.errors import PhotoChangedError, PhotoUnreadable, WorkerError

FRAMING = Framing(size=16, region="full", resize="stretch", background=(124, 116, 104))
AUGMENTATION = Augmentation(
    flip=0.5,
    rotation_degrees=15.0,
    brightness=0.2,
    contrast=0.2,
    affine_rotation_degrees=15.0,
    translation=0.1,
    scale=(0.8, 1.2),
    interpolation="bilinear",
    fill=(124, 116, 104),
    seed=0,
)


@pytest.fixture
def manifest(tmp_path: Path) -> pd.DataFrame:
    """Six photos; the last two have masks that show their upper half."""
    rng = np.random.default_rng(0)
    for number in range(6):
        Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(tmp_path / f"{number}.png")
    mask = np.zeros((20, 24), dtype=np.uint8)
    mask[:10] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    return build_manifest(
        [
            {
                "photo": f"s/{number}.png",
                "path": tmp_path / f"{number}.png",
                "label": number % 2,
                "mask": tmp_path / "mask.png" if number > 3 else "",
            }
            for number in range(6)
        ]
    )


@pytest.fixture
def rows(manifest: pd.DataFrame) -> PhotoRows:
    return PhotoRows.of(manifest)


def request(*indices: int, view: int = 0) -> BatchRequest:
    return BatchRequest(indices, view, (3, 4))


def framed(rows: PhotoRows, index: int) -> Tensor:
    photo = read_photo(rows.path[index], mask=rows.mask[index] or None)
    return torch.from_numpy(FRAMING.apply(photo)).permute(2, 0, 1)


def test_a_request_is_answered_with_its_batch(rows: PhotoRows) -> None:
    batch = PhotoDataset(rows, FRAMING, None)[request(3, 0, 1)]
    assert batch.photo == ("s/3.png", "s/0.png", "s/1.png")
    assert torch.equal(batch.label, torch.tensor([1, 0, 1]))
    assert batch.label.dtype == torch.int64
    assert batch.values.shape == (3, 3, 16, 16)
    assert batch.values.dtype == torch.float32
    assert batch.entry == "image"
    assert torch.equal(batch.step_label_counts, torch.tensor([3, 4]))


def test_what_the_survey_found_is_known_of_each_photo(manifest: pd.DataFrame) -> None:
    facts = survey_photos(manifest).facts
    photos = PhotoDataset(PhotoRows.of(manifest[2:4], facts[::-1]), FRAMING, None)
    assert photos.contents == tuple(zip(facts["file_sha256"][2:4], facts["pixels_sha256"][2:4], strict=True))


def test_a_mask_that_has_changed_since_the_survey_is_noticed(manifest: pd.DataFrame, tmp_path: Path) -> None:
    photos = PhotoDataset(PhotoRows.of(manifest, survey_photos(manifest).facts), FRAMING, None)
    before = photos.pixels(range(6))
    mask = np.zeros((20, 24), dtype=np.uint8)
    mask[:, :12] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    assert torch.equal(photos.pixels(range(4)), before[:4])
    with pytest.raises(
        PhotoChangedError, match=rf"5\.png with its mask {tmp_path}/mask\.png as it was when this command"
    ):
        photos.pixels([5])


def test_evaluation_is_the_framed_photo_normalised(rows: PhotoRows) -> None:
    batch = PhotoDataset(rows, FRAMING, None)[request(2)]
    assert torch.equal(batch.values, normalise(framed(rows, 2).unsqueeze(0)))


def test_evaluation_has_no_randomness(rows: PhotoRows) -> None:
    dataset = PhotoDataset(rows, FRAMING, None)
    before = torch.get_rng_state()
    first = dataset[request(0, 1, 2, view=0)].values
    torch.manual_seed(7)
    assert torch.equal(dataset[request(0, 1, 2, view=9)].values, first)
    torch.set_rng_state(before)
    dataset[request(0, 1, 2)]
    assert torch.equal(torch.get_rng_state(), before)


def test_training_is_the_view_of_the_epoch(rows: PhotoRows) -> None:
    dataset = PhotoDataset(rows, FRAMING, AUGMENTATION)
    pixels = torch.stack([framed(rows, 4), framed(rows, 2)])
    expected = augment(pixels, draw_views(AUGMENTATION, ["s/4.png", "s/2.png"], view=5), AUGMENTATION)
    assert torch.equal(dataset[request(4, 2, view=5)].values, expected)
    assert not torch.equal(dataset[request(4, 2, view=6)].values, expected)


@pytest.mark.parametrize("augmentation", [None, AUGMENTATION])
def test_a_batch_is_its_photos_one_by_one(rows: PhotoRows, augmentation: Augmentation | None) -> None:
    dataset = PhotoDataset(rows, FRAMING, augmentation)
    together = dataset[request(*range(6), view=2)].values
    alone = torch.cat([dataset[request(index, view=2)].values for index in range(6)])
    assert torch.equal(together, alone)


def test_a_mask_rules_what_is_tissue(rows: PhotoRows) -> None:
    images = PhotoDataset(rows, FRAMING, None)[request(3, 5)].values
    background = normalise(torch.tensor(FRAMING.background).view(1, 3, 1, 1))[0].expand(3, 7, 16)
    assert torch.equal(images[1, :, 9:], background)
    assert not torch.equal(images[0, :, 9:], background)


def test_photos_without_a_label_can_be_predicted(rows: PhotoRows) -> None:
    unknown = PhotoRows(rows.photo, rows.path, rows.mask, (UNKNOWN_LABEL,) * 6)
    assert PhotoDataset(unknown, FRAMING, None)[request(0, 1)].label.tolist() == [-1, -1]


def test_the_length_is_the_number_of_photos(rows: PhotoRows) -> None:
    assert len(PhotoDataset(rows, FRAMING, None)) == 6


def test_a_data_set_travels_to_a_worker_process(rows: PhotoRows) -> None:
    dataset = PhotoDataset(rows, FRAMING, AUGMENTATION)
    copy = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(copy[request(1, 4, view=3)].values, dataset[request(1, 4, view=3)].values)


def test_a_photo_that_vanished_is_named(rows: PhotoRows) -> None:
    Path(rows.path[1]).unlink()
    with pytest.raises(PhotoUnreadable) as caught:
        PhotoDataset(rows, FRAMING, None)[request(0, 1)]
    assert str(caught.value) == (
        f"Looked for a photograph in {rows.path[1]}; found no file there. Give a whole JPEG, PNG or WebP file."
    )


def test_a_worker_process_says_the_same_in_one_line(rows: PhotoRows) -> None:
    Path(rows.path[1]).unlink()
    loader: DataLoader[Batch] = DataLoader(
        PhotoDataset(rows, FRAMING, None),
        sampler=[request(0, 1)],
        batch_size=None,
        num_workers=1,
        multiprocessing_context="spawn",
    )
    batches = iter(loader)
    with pytest.raises(WorkerError) as caught:
        next(batches)
    batches._shutdown_workers()  # type: ignore[attr-defined]  # else a later test waits for it
    assert str(caught.value) == (
        f"Looked for a photograph in {rows.path[1]}; found no file there. Give a whole JPEG, PNG or WebP file."
    )


def test_of_a_large_photo_no_more_is_decoded_than_the_image_needs(tmp_path: Path) -> None:
    slope = np.linspace(0, 255, 640, dtype=np.uint8)
    pixels = np.stack([np.broadcast_to(slope, (480, 640)), np.full((480, 640), 90), np.full((480, 640), 60)], axis=2)
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "large.jpg", quality=95)
    manifest = build_manifest([{"photo": "s/large.jpg", "path": tmp_path / "large.jpg", "label": 0, "mask": ""}])
    dataset = PhotoDataset(PhotoRows.of(manifest), FRAMING, None)
    # An eighth of each side is the smallest that holds twice 16 pixels.
    assert dataset.photograph(0).rgba.shape == (60, 80, 4)
    whole = torch.from_numpy(FRAMING.apply(read_photo(tmp_path / "large.jpg"))).permute(2, 0, 1)
    torch.testing.assert_close(dataset.pixels([0])[0].float(), whole.float(), rtol=0, atol=4)
