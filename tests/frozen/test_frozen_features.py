"""How photographs are read for the pass through the frozen layers."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import Barrier, Lock

import pandas as pd
import pytest
import torch
from torch import Tensor

from anemia_lightning.contracts import Batch, BatchRequest
from anemia_lightning.data.dataset import PhotoDataset, PhotoRows
from anemia_lightning.data.framing import Framing
from anemia_lightning.features.on_device import OnDevice
from anemia_lightning.features.store import FeatureStore
from anemia_lightning.features.stored import Compute
from anemia_lightning.frozen.feature_identity import FeatureSettings
from anemia_lightning.frozen.frozen_features import FrozenFeatures
from anemia_lightning.model.backbone import AnemiaNetwork

CPU = torch.device("cpu")
SIZE, PHOTOS, READERS = 32, 16, 2


class Photos(PhotoDataset):
    """Photographs that note how many are read at once; nobody gets one who does not read beside another."""

    def __init__(self) -> None:
        rows = pd.DataFrame({"photo": [f"{n}.png" for n in range(PHOTOS)], "path": "", "mask": "", "label": 0})
        framing = Framing(size=SIZE, region="full", resize="stretch", background=(0, 0, 0))
        contents = rows[["photo"]].assign(file_sha256=rows["photo"], pixels_sha256=rows["photo"])
        super().__init__(PhotoRows.of(rows, contents), framing, None)
        self.most, self._open, self._others, self._lock = 0, 0, Barrier(READERS), Lock()

    def pixels(self, indices: Sequence[int]) -> Tensor:
        with self._lock:
            self._open += len(indices)
            self.most = max(self.most, self._open)
        self._others.wait(timeout=60)
        # Whoever may not read now would have begun meanwhile.
        time.sleep(0.01)
        with self._lock:
            self._open -= len(indices)
        return torch.tensor(indices, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, SIZE, SIZE)


def read_beside_a_gpu(photos: Photos, monkeypatch: pytest.MonkeyPatch, *, room: int) -> Batch:
    """Reads a batch as beside a GPU that has room for so many bytes of pixels."""

    def bring(_: FrozenFeatures, values: Compute, description: str, *, rows: int, row_bytes: int) -> Compute:
        assert description == "Photographs"
        return OnDevice(
            values,
            rows=rows,
            row_bytes=row_bytes,
            device=CPU,
            budget=lambda: room,
            progress=lambda: nullcontext(lambda *_: None),
        )

    monkeypatch.setattr(FrozenFeatures, "_on_gpu", bring)
    monkeypatch.setattr(FrozenFeatures, "_is_on_cpu", False)
    dataset = frozen_features().dataset(photos, entry="layer3", augmented=False)
    return dataset[BatchRequest(tuple(range(PHOTOS)), view=0, step_label_counts=(PHOTOS, 0))]


def frozen_features(store: FeatureStore | None = None, *, say: Callable[[str], None] = pytest.fail) -> FrozenFeatures:
    settings = FeatureSettings(
        store=store,
        off_because=None if store else "nothing is kept",
        views=1,
        keep_fresh=False,
        codec="auto",
        dtype=torch.float32,
        compiled=False,
        framing={},
        augmentation={},
        size=SIZE,
        threads=READERS,
    )
    network = AnemiaNetwork(backbone="resnet18", hidden=8)
    return FrozenFeatures(network, settings, device=CPU, say=say)


def test_what_a_gpu_has_room_for_is_read_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    photos = Photos()
    read_beside_a_gpu(photos, monkeypatch, room=10**9)
    assert photos.most == READERS


def test_what_it_has_no_room_for_is_read_by_as_many_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    photos = Photos()
    passed_on = read_beside_a_gpu(photos, monkeypatch, room=0)
    assert photos.most == READERS
    brought = read_beside_a_gpu(Photos(), monkeypatch, room=10**9)
    assert torch.equal(passed_on.values, brought.values)


@pytest.mark.parametrize("processes", [1, 2])
def test_on_a_gpu_lives_what_no_other_process_needs_a_share_of_until_the_features_are_closed(
    processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: processes)
    monkeypatch.setattr("anemia_lightning.frozen.frozen_features.half_of_free_memory", lambda _: 10**6)

    def values(indices: Sequence[int], view: int) -> Tensor:
        return torch.tensor([[float(index), view] for index in indices])

    features = frozen_features()
    monkeypatch.setattr(features._pass, "device", torch.device("cuda", 0))
    bars = list[str]()

    def note(description: str) -> AbstractContextManager[Callable[[int, int], None]]:
        bars.append(description)
        return nullcontext(lambda *_: None)

    monkeypatch.setattr("anemia_lightning.frozen.frozen_features.progress_bar", note)
    found = features._on_gpu(values, "Photographs", rows=PHOTOS, row_bytes=8)
    if processes > 1:
        assert found is values
        return
    assert isinstance(found, OnDevice)
    found._device = CPU
    assert torch.equal(found([3, 1], 0), values([3, 1], 0))
    assert list(found._held) == [0]
    assert bars == ["Photographs"]
    features.close()
    assert not found._held
    assert torch.equal(found([3, 1], 0), values([3, 1], 0))


def test_a_folder_in_the_store_that_may_not_be_read_stops_no_command(
    refuse_folder: Callable[[Path], None], tmp_path: Path
) -> None:
    others, told = tmp_path / ("0" * 32), list[str]()
    others.mkdir()
    refuse_folder(others)
    features = frozen_features(FeatureStore(tmp_path, max_bytes=100), say=told.append)
    features.make_room({"pixels": 100})
    assert told == []
    features.make_room({"pixels": 101})
    assert [note.partition(";")[0] for note in told] == [
        "Note: no more features can be kept, so this run will take longer, with the same result: 101B more would be "
        "needed"
    ]


def test_each_call_for_room_decides_what_is_kept_from_then_on(tmp_path: Path) -> None:
    told = list[str]()
    features = frozen_features(FeatureStore(tmp_path, max_bytes=100), say=told.append)
    features.make_room({"pixels": 10, "layer3": 200})
    assert features.room[0].kinds == ("pixels",)
    features.make_room({"pixels": 10, "layer3": 50})
    assert features.room[0].holds("layer3")
    assert len(told) == 1


def test_who_keeps_nothing_any_more_takes_no_room_from_others(tmp_path: Path) -> None:
    others = FeatureStore(tmp_path).open({"kind": "of others"}, {"values": ((4,), torch.uint8)})
    others.add(["ab" * 32], {"values": torch.zeros(1, 4, dtype=torch.uint8)})
    others.flush()
    others.close()
    told = list[str]()
    features = frozen_features(FeatureStore(tmp_path, max_bytes=1000), say=told.append)
    features.make_room({"pixels": 1001})
    features.make_room({"pixels": 1000})
    assert others.folder.is_dir()
    assert len(told) == 1
