"""PNG files: what their chunks say, checked against their checksums, and their pixels."""

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from anemia_lightning.data.container import (
    BROKEN_PROFILE,
    MOST_PARTS,
    PNG_MARK,
    PROFILE_LIMIT,
    Container,
    damaged,
)

_NEEDED = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_HARMLESS = set(b"iCCP eXIf acTL tEXt zTXt iTXt tIME pHYs gAMA cHRM sRGB sBIT bKGD hIST sPLT cICP mDCV cLLI".split())
_READ = {b"iCCP", b"eXIf", b"acTL"}
_MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
"""Of an interlaced picture's passes: first column and row, and the steps to the next."""
_PIECE = 1 << 20
_IHDR = struct.Struct(">IIBBBBB")
_ANCILLARY = 0x20
_FRAME = 12  # bytes of a chunk besides its content: size, name, checksum
_DEEP = 16
_STRIP = 256


def read_header(data: bytes) -> Container:
    """Reads the chunks of a PNG file.

    What the pixels do not need goes no further: a text or a profile with a wrong checksum, as some programmes write,
    is no reason to refuse a picture, and a text that unpacks to gigabytes is never unpacked.

    Raises:
        PhotoFault: If a chunk that the pixels need is missing, or does not match its checksum.
    """
    kept, read, notes = [PNG_MARK], dict[bytes, bytes](), list[str]()
    for name, chunk, is_sound in _chunks(data):
        if name in _NEEDED and is_sound:
            kept.append(chunk)
        elif not is_sound:
            notes.append(_pass_over(name))
        elif not name[0] & _ANCILLARY:
            raise damaged(f"its chunk {name.decode('latin-1')!a} is none of PNG's")
        if name in _READ:
            read.setdefault(name, chunk[8:-4] if is_sound else b"")
    width, height, depth, colour = _read_ihdr(kept)
    frames = int.from_bytes(read.get(b"acTL", b"")[:4], "big")
    if depth == _DEEP:
        notes.append("16 bits a channel, scaled to 8")
    return Container(
        format="PNG",
        mode={("L", 1): "1", ("L", _DEEP): "I;16"}.get((_MODES[colour], depth), _MODES[colour]),
        width=width,
        height=height,
        content=b"".join(kept),
        exif=read.get(b"eXIf", b""),
        profile=_unpack_profile(read[b"iCCP"]) if b"iCCP" in read else None,
        is_animated=frames > 1,
        notes=tuple(notes),
    )


def _pass_over(name: bytes) -> str:
    """Returns the note of a chunk with a wrong checksum, unless pixels may depend on what it was."""
    fault = f"its chunk {name.decode('latin-1')!a} does not match its checksum"
    if name not in _HARMLESS:
        raise damaged(fault)
    return f"{fault} and was passed over"


def decode(container: Container) -> NDArray[np.uint8]:
    """Decodes a PNG file to uint8 [H, W, 4]: grey as three equal channels, palettes and transparency resolved.

    Raises:
        PhotoFault: If it is not whole.
    """
    _check_rows(container)
    try:
        with PngImagePlugin.PngImageFile(io.BytesIO(container.content)) as image:
            image.load()
            rgba = np.empty((image.height, image.width, 4), dtype=np.uint8)
            # By strips, because Pillow would hold a picture four times over on its way to an array.
            for top in range(0, image.height, _STRIP):
                strip = image.crop((0, top, image.width, min(top + _STRIP, image.height)))
                rgba[top : top + _STRIP] = _to_rgba(strip)
            return rgba
    except (OSError, SyntaxError, ValueError, IndexError, struct.error) as fault:
        raise damaged(str(fault)) from fault


def _check_rows(container: Container) -> None:
    """Unpacks the pixels once to count them, because Pillow shows rows that are missing as black."""
    inflater = zlib.decompressobj()
    lacking = _unpacked_size(container.content)
    try:
        for name, chunk, _ in _chunks(container.content):
            packed = chunk[8:-4] if name == b"IDAT" else b""
            while packed and lacking > 0 and not inflater.eof:
                lacking -= len(inflater.decompress(packed, _PIECE))
                packed = inflater.unconsumed_tail
        lacking -= len(inflater.flush(_PIECE)) if lacking > 0 else 0
    except zlib.error as fault:
        raise damaged(str(fault)) from fault
    if lacking > 0:
        raise damaged(f"its pixels lack {lacking} bytes")


def _unpacked_size(content: bytes) -> int:
    """Returns the bytes of all rows: in each pass that has pixels, a row takes one byte more than its pixels."""
    width, height, depth, colour, _, _, interlace = _IHDR.unpack(content[16:29])
    bits = depth * _CHANNELS[colour]
    passes = _ADAM7 if interlace else [(0, 0, 1, 1)]
    sizes = [(-(-(width - left) // right), -(-(height - top) // down)) for left, top, right, down in passes]
    return sum(rows * (1 + (columns * bits + 7) // 8) for columns, rows in sizes if columns > 0)


def _to_rgba(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I"):
        # Pillow would clip 16-bit grey at 255 and turn nearly everything white.
        grey = np.asarray(image).astype(np.uint32)
        image = Image.fromarray(((grey * 255 + 32767) // 65535).astype(np.uint8))
    return np.asarray(image.convert("RGBA"))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Yields (name, the whole chunk, whether its checksum is right) up to the end of the picture."""
    at = len(PNG_MARK)
    for _ in range(MOST_PARTS):
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        chunk = data[at : at + _FRAME + size]
        if len(chunk) < _FRAME + size:
            raise damaged(f"it ends within the chunk at byte {at}")
        yield name, chunk, zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")
        if name == b"IEND":
            return
        at += len(chunk)
    raise damaged(f"more than {MOST_PARTS} chunks")


def _read_ihdr(chunks: list[bytes]) -> tuple[int, int, int, int]:
    if len(chunks) < 2 or chunks[1][4:8] != b"IHDR" or len(chunks[1]) != _FRAME + _IHDR.size:  # noqa: PLR2004
        raise damaged("no header")
    width, height, depth, colour, *_ = _IHDR.unpack(chunks[1][8:-4])
    if colour not in _MODES or not width or not height:
        raise damaged("a header that makes no sense")
    return width, height, depth, colour


def _unpack_profile(content: bytes) -> bytes:
    _, _, packed = content.partition(b"\0")
    try:
        return zlib.decompressobj().decompress(packed[1:], PROFILE_LIMIT)
    except zlib.error:
        return BROKEN_PROFILE
