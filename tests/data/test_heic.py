import io
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from anemia_lightning.data import heic
from anemia_lightning.data.container import PhotoFault

DATA = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


class FakeFile(list[Any]):
    """What `pillow_heif.open_heif` returns, as far as it is used."""

    primary_index = 1


def test_without_pillow_heif_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(PhotoFault) as caught:
        heic.read_header(DATA)
    assert caught.value.code == "IMG_FORMAT"
    assert caught.value.reason.endswith("(convert it, or pip install 'anemia-lightning[heic]')")


def test_the_main_picture_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    main = SimpleNamespace(
        mode="RGB", size=(30, 20), info={"icc_profile": b"p"}, to_pillow=lambda: Image.fromarray(pixels)
    )
    module = SimpleNamespace(open_heif=lambda data: FakeFile([None, main]))
    monkeypatch.setitem(sys.modules, "pillow_heif", module)
    header = heic.read_header(DATA)
    assert (header.format, header.mode, header.width, header.height) == ("HEIC", "RGB", 30, 20)
    assert (header.profile, header.exif) == (b"p", b"")
    assert np.array_equal(heic.decode(header)[..., :3], pixels)


def test_a_real_file_is_read_upright() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    pixels = np.asarray(Image.linear_gradient("L").convert("RGB").resize((64, 48)))
    file = pillow_heif.from_bytes("RGB", (64, 48), pixels.tobytes())
    memory = io.BytesIO()
    file.save(memory, quality=100, chroma=444)
    header = heic.read_header(memory.getvalue())
    assert (header.width, header.height) == (64, 48)
    assert np.abs(heic.decode(header)[..., :3].astype(int) - pixels).max() < 12
    with pytest.raises(PhotoFault, match="IMG_DAMAGED"):
        heic.decode(heic.read_header(memory.getvalue()[:-200]))


def test_whatever_libheif_raises_becomes_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: bytes) -> None:
        raise RuntimeError("no such box")

    monkeypatch.setitem(sys.modules, "pillow_heif", SimpleNamespace(open_heif=fail))
    with pytest.raises(PhotoFault) as caught:
        heic.read_header(DATA)
    assert (caught.value.code, caught.value.reason) == ("IMG_DAMAGED", "a damaged file (no such box)")
