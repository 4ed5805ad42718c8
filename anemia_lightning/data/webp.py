"""WebP files: what their chunks say, and their pixels."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from anemia_lightning.data.container import MOST_PARTS, Container, damaged

_ANIMATION, _ALPHA = 0x02, 0x10
_LOSSLESS_ALPHA = 1 << 28
_CHANNELS = 4


def read_header(data: bytes) -> Container:
    """Reads the chunks of a WebP file.

    Raises:
        PhotoFault: If it is cut short, or its chunks contradict one another.
    """
    chunks: dict[bytes, bytes] = {}
    for name, content in _chunks(data):
        chunks.setdefault(name, content)
    frames = [_read_frame(name, chunks[name]) for name in (b"VP8X", b"VP8 ", b"VP8L") if name in chunks]
    if not frames:
        raise damaged("no picture")
    if len({size for size, _ in frames}) > 1:
        raise damaged("a canvas of another size than its picture")
    (width, height), _ = frames[0]
    has_alpha = any(alpha for _, alpha in frames)
    return Container(
        format="WEBP",
        mode="RGBA" if has_alpha else "RGB",
        width=width,
        height=height,
        content=data,
        exif=chunks.get(b"EXIF", b""),
        profile=chunks.get(b"ICCP"),
        is_animated=b"ANIM" in chunks or b"ANMF" in chunks,
    )


def decode(container: Container) -> NDArray[np.uint8]:
    """Decodes a WebP file to uint8 [H, W, 4].

    Raises:
        PhotoFault: If it is not whole.
    """
    # Pillow decodes every WebP as an animation, which takes four times the memory.
    bgr = cv2.imdecode(np.frombuffer(container.content, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if bgr is None or bgr.shape[:2] != (container.height, container.width):
        raise damaged("libwebp cannot decode it")
    order = cv2.COLOR_BGRA2RGBA if bgr.shape[-1] == _CHANNELS else cv2.COLOR_BGR2RGBA
    return np.asarray(cv2.cvtColor(bgr, order), dtype=np.uint8)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise damaged(f"it lacks {end - len(data)} of {end} bytes")
    at = 12
    for _ in range(MOST_PARTS):
        if at + 8 > end:
            return
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + size > end:
            raise damaged(f"it ends within the chunk at byte {at}")
        yield data[at : at + 4], data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    raise damaged(f"more than {MOST_PARTS} chunks")


def _read_frame(name: bytes, content: bytes) -> tuple[tuple[int, int], bool]:
    """Returns ((width, height), whether it has alpha) of a VP8X, VP8 or VP8L chunk."""
    if (len(content) < 10 and name != b"VP8L") or len(content) < 5:  # noqa: PLR2004 (their fixed parts)
        raise damaged("a header that is cut short")
    if name == b"VP8X":
        size = (1 + int.from_bytes(content[4:7], "little"), 1 + int.from_bytes(content[7:10], "little"))
        return size, bool(content[0] & _ALPHA)
    if name == b"VP8 ":
        sides = (int.from_bytes(content[at : at + 2], "little") & 0x3FFF for at in (6, 8))
        width, height = sides
        return (width, height), False
    bits = int.from_bytes(content[1:5], "little")
    return (1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)), bool(bits & _LOSSLESS_ALPHA)
