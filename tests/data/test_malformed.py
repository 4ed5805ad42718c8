"""Ten thousand malformed photographs and tables, each refused with a code and a sentence or read correctly.

The test runs this file as a script of its own, so that time and memory are those of reading and nothing else:
python tests/data/test_malformed.py FOLDER COUNT, or FOLDER KIND NUMBER to repeat one input.
"""

import io
import json
import os
import resource
import struct
import subprocess
import sys
import time
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageCms

from anemia_lightning.data.reading import Photograph, open_photo
from anemia_lightning.data.sources.table import read_table
from anemia_lightning.errors import AnemiaError, PhotoUnreadable

READ, REFUSED = "READ", "REFUSED"

Draw = np.random.Generator
Make = Callable[[Draw], bytes]


class Kind(NamedTuple):
    """A way in which inputs are malformed."""

    make: Make
    may_meet: set[str]
    suffix: str
    share: int = 20


# --- pictures ---


def picture(draw: Draw, mode: str = "RGB", size: tuple[int, int] = (56, 40)) -> Image.Image:
    coarse = Image.fromarray(draw.integers(0, 256, (6, 7, 3), dtype=np.uint8))
    image = coarse.resize(size, Image.Resampling.BICUBIC)
    if mode in {"RGBA", "LA"}:
        image.putalpha(Image.linear_gradient("L").resize(size))
    if mode == "I;16":
        return Image.fromarray(draw.integers(0, 65536, size[::-1], dtype=np.uint16))
    return image.convert(mode)


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    memory = io.BytesIO()
    image.save(memory, kind, **options)
    return memory.getvalue()


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    return block


def profile() -> bytes:
    return bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())


def jpeg(draw: Draw) -> bytes:
    options: list[dict[str, Any]] = [
        {},
        {"progressive": True},
        {"subsampling": 0, "quality": 95},
        {"restart_marker_rows": 1},
    ]
    options += [{"exif": exif(int(draw.integers(1, 9)))}, {"icc_profile": profile()}, {"optimize": True}]
    return encode(picture(draw), "JPEG", **options[draw.integers(len(options))])


def png(draw: Draw) -> bytes:
    modes = ["RGB", "RGBA", "P", "RGB", "RGBA"]
    options: list[dict[str, Any]] = [{}, {"icc_profile": profile()}, {"exif": exif(1)}, {"dpi": (72, 72)}]
    return encode(picture(draw, modes[draw.integers(5)]), "PNG", **options[draw.integers(4)])


def webp(draw: Draw) -> bytes:
    options: list[dict[str, Any]] = [{}, {"lossless": True}, {"exif": exif(6)}, {"icc_profile": profile()}]
    return encode(picture(draw, "RGBA" if draw.random() < 0.5 else "RGB"), "WEBP", **options[draw.integers(4)])


def any_picture(draw: Draw) -> bytes:
    return (jpeg, png, webp)[draw.integers(3)](draw)


# --- what happens to bytes ---


def truncated(data: bytes, draw: Draw) -> bytes:
    return data[: draw.integers(0, len(data))]


def flipped(data: bytes, draw: Draw) -> bytes:
    changed = bytearray(data)
    for at in draw.integers(0, len(data), draw.integers(1, 9)):
        changed[at] ^= 1 << int(draw.integers(8))
    return bytes(changed)


def overwritten(data: bytes, draw: Draw) -> bytes:
    start = int(draw.integers(0, len(data)))
    noise = draw.bytes(int(draw.integers(1, 64))) if draw.random() < 0.5 else bytes(int(draw.integers(1, 64)))
    return data[:start] + noise + data[start + len(noise) :]


def cut_and_pasted(data: bytes, draw: Draw) -> bytes:
    a, b, c = sorted(draw.integers(0, len(data), 3))
    return [data[:a] + data[b:], data[:b] + data[a:], data[:a] + data[b:c] + data[a:b] + data[c:]][draw.integers(3)]


def followed(data: bytes, draw: Draw) -> bytes:
    return data + draw.bytes(int(draw.integers(1, 400)))


MUTATIONS = (truncated, flipped, overwritten, cut_and_pasted)


def mutated(data: bytes, draw: Draw) -> bytes:
    for _ in range(draw.integers(1, 4)):
        data = MUTATIONS[draw.integers(len(MUTATIONS))](data, draw) or b"\0"
    return data


# --- PNG chunks ---


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    at, found = 8, []
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    return found


def join(parts: list[tuple[bytes, bytes]]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, content) for name, content in parts)


def png_with(data: bytes, *extra: tuple[bytes, bytes]) -> bytes:
    head, *rest = chunks(data)
    return join([head, *extra, *rest])


def png_chunks_moved(draw: Draw) -> bytes:
    parts = chunks(png(draw))
    first, second = draw.integers(0, len(parts), 2)
    parts[first], parts[second] = parts[second], parts[first]
    return join(parts if draw.random() < 0.5 else parts[: max(first, 1)] + parts[first + 1 :])


def png_content_mutated(draw: Draw) -> bytes:
    parts = chunks(png(draw))
    which = int(draw.integers(len(parts)))
    parts[which] = (parts[which][0], mutated(parts[which][1] or b"\0", draw))
    return join(parts)


def png_of(width: int, height: int, *, depth: int = 8, colour: int = 2, pixels: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return join([(b"IHDR", header), (b"IDAT", zlib.compress(pixels)), (b"IEND", b"")])


def png_header_lies(draw: Draw) -> bytes:
    (_, header), *rest = chunks(png(draw))
    width, height = (int(side) for side in 2 ** draw.integers(0, 31, 2))
    return join([(b"IHDR", struct.pack(">II", width, height) + header[8:]), *rest])


def png_16_bits(draw: Draw) -> bytes:
    values = draw.integers(0, 65536, (20, 20, 3)).astype(">u2")
    return png_of(20, 20, depth=16, pixels=b"".join(b"\0" + row.tobytes() for row in values))


def png_bomb(draw: Draw) -> bytes:
    side = int(draw.integers(7_100, 100_000))
    return png_of(side, side)


def png_text_bomb(draw: Draw) -> bytes:
    packed = zlib.compress(bytes(30_000_000), 1)
    return png_with(encode(picture(draw), "PNG"), (b"zTXt", b"Comment\0\0" + packed), (b"iCCP", b"x\0\0" + packed))


def png_at_the_limit(draw: Draw) -> bytes:
    rows = bytes(1 + 7_000 * 4) * 7_000
    header = struct.pack(">IIBBBBB", 7_000, 7_000, 8, 6, 0, 0, 0)
    return join([(b"IHDR", header), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b"")])


def png_profile_with_wrong_checksum(draw: Draw) -> bytes:
    data = bytearray(encode(picture(draw), "PNG", icc_profile=profile()))
    data[data.index(b"iCCP") + 10] ^= 0xFF
    return bytes(data)


def png_pixels_with_wrong_checksum(draw: Draw) -> bytes:
    data = bytearray(encode(picture(draw), "PNG"))
    data[-13 - int(draw.integers(4))] ^= 1 << int(draw.integers(8))
    return bytes(data)


def png_of_empty_chunks(draw: Draw) -> bytes:
    return encode(picture(draw), "PNG")[:33] + chunk(b"tEXt", b"") * 200_000


def png_grey_in_colour(draw: Draw) -> bytes:
    return encode(picture(draw, "L").convert("RGB"), "PNG")


# --- JPEG segments ---


def segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content


def jpeg_with(data: bytes, *segments: bytes) -> bytes:
    return data[:2] + b"".join(segments) + data[2:]


def jpeg_bit_rot(draw: Draw) -> bytes:
    data = bytearray(encode(picture(draw, size=(160, 120)), "JPEG", quality=90))
    start = data.index(b"\xff\xda") + 14
    for at in draw.integers(start, len(data) - 2, draw.integers(1, 6)):
        data[at] ^= 1 << int(draw.integers(8))
    return bytes(data)


def jpeg_header_lies(draw: Draw) -> bytes:
    data = bytearray(jpeg(draw))
    frame = next(data.index(mark) for mark in (b"\xff\xc0", b"\xff\xc2") if mark in data)
    data[frame + 5 : frame + 9] = struct.pack(">HH", *(2 ** draw.integers(0, 16, 2)))
    return bytes(data)


def jpeg_bad_exif(draw: Draw) -> bytes:
    block = mutated(exif(6).tobytes(), draw)
    return jpeg_with(encode(picture(draw), "JPEG"), segment(0xE1, b"Exif\0\0" + block[:60_000]))


def jpeg_bad_profile(draw: Draw) -> bytes:
    broken = mutated(profile(), draw) if draw.random() < 0.8 else draw.bytes(500)
    count = int(draw.integers(1, 4))
    return jpeg_with(encode(picture(draw), "JPEG"), segment(0xE2, b"ICC_PROFILE\0" + bytes((count, 1)) + broken))


def jpeg_many_scans(draw: Draw) -> bytes:
    data = encode(picture(draw, size=(1_600, 1_600)), "JPEG", progressive=True, quality=30)
    scan = data.rindex(b"\xff\xda")
    return data[:scan] + data[scan:-2] * 600 + data[-2:]


def jpeg_12_bits(draw: Draw) -> bytes:
    data = bytearray(encode(picture(draw), "JPEG"))
    data[data.index(b"\xff\xc0") + 4] = 12
    return bytes(data)


def cmyk(draw: Draw) -> bytes:
    options = {"icc_profile": draw.bytes(600)} if draw.random() < 0.5 else {}
    return encode(picture(draw, "CMYK"), "JPEG", **options)


def mpo(draw: Draw) -> bytes:
    return encode(picture(draw), "MPO", save_all=True, append_images=[picture(draw)])


# --- WebP chunks ---


def webp_header_lies(draw: Draw) -> bytes:
    data = bytearray(encode(picture(draw, "RGBA"), "WEBP", exif=exif(1)))
    data[24:30] = draw.bytes(6) if draw.random() < 0.5 else b"\xff\x3f\0\xff\x3f\0"
    return bytes(data)


def webp_with_bad_profile(draw: Draw) -> bytes:
    return encode(picture(draw), "WEBP", icc_profile=mutated(profile(), draw))


# --- whole files ---


def animated(draw: Draw) -> bytes:
    kind = ("PNG", "WEBP")[draw.integers(2)]
    return encode(picture(draw), kind, save_all=True, append_images=[picture(draw) for _ in range(2)])


def exotic(draw: Draw) -> bytes:
    kinds = ("GIF", "TIFF", "BMP", "PPM", "TGA", "ICO", "PCX", "DDS", "SGI", "PDF", "AVIF")
    return encode(picture(draw), kinds[draw.integers(len(kinds))])


def words(draw: Draw) -> bytes:
    texts = [
        b"not a picture",
        b"<html></html>",
        b'<?xml version="1.0"?><svg/>',
        b"\xff\xd8",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF",
    ]
    return texts[draw.integers(len(texts))]


def heic(draw: Draw) -> bytes:
    return b"\0\0\0\x18ftyp" + [b"heic", b"heix", b"mif1", b"msf1", b"hevc"][draw.integers(5)] + draw.bytes(200)


def grey(draw: Draw) -> bytes:
    kind, mode = [("PNG", "L"), ("PNG", "LA"), ("PNG", "1"), ("PNG", "I;16"), ("JPEG", "L")][draw.integers(5)]
    return encode(picture(draw, mode), kind)


def blank(draw: Draw) -> bytes:
    image = Image.new("RGB", (40, 30), tuple(int(value) for value in draw.integers(0, 256, 3)))
    kind, options = [("PNG", {}), ("JPEG", {}), ("WEBP", {"lossless": True})][draw.integers(3)]
    return encode(image, kind, **options)


def transparent(draw: Draw) -> bytes:
    image = picture(draw)
    image.putalpha(int(draw.integers(0, 128)))
    return encode(image, "PNG")


def tiny(draw: Draw) -> bytes:
    return encode(picture(draw, size=(int(draw.integers(1, 16)), 40)), ("PNG", "WEBP", "JPEG")[draw.integers(3)])


def palette(draw: Draw) -> bytes:
    return encode(picture(draw, "P"), "PNG", transparency=draw.bytes(40) + b"\xff" * 200)


def turned(draw: Draw) -> bytes:
    return encode(picture(draw), ("PNG", "WEBP", "JPEG")[draw.integers(3)], exif=exif(int(draw.integers(1, 9))))


ANY = {
    READ,
    *(f"IMG_{code}" for code in ("EMPTY", "FORMAT", "ANIMATED", "TOO_LARGE", "TOO_SMALL", "DAMAGED", "CMYK", "GREY")),
    *("IMG_BLANK", "IMG_NO_TISSUE"),
}

PHOTOS = {
    "zero bytes": Kind(lambda draw: b"", {"IMG_EMPTY"}, ".jpg", 4),
    "truncated": Kind(lambda draw: truncated(any_picture(draw), draw), ANY - {READ}, ".jpg", 60),
    "truncated JPEG": Kind(lambda draw: jpeg(draw)[: -int(draw.integers(1, 40))], {"IMG_DAMAGED"}, ".jpg"),
    "JPEG bit rot": Kind(jpeg_bit_rot, {READ, "IMG_DAMAGED"}, ".jpg", 60),
    "flipped JPEG": Kind(lambda draw: flipped(jpeg(draw), draw), ANY, ".jpg", 60),
    "flipped PNG": Kind(lambda draw: flipped(png(draw), draw), ANY, ".png", 60),
    "flipped WebP": Kind(lambda draw: flipped(webp(draw), draw), ANY, ".webp", 60),
    "mutated JPEG": Kind(lambda draw: mutated(jpeg(draw), draw), ANY, ".jpg", 60),
    "mutated PNG": Kind(lambda draw: mutated(png(draw), draw), ANY, ".png", 60),
    "mutated WebP": Kind(lambda draw: mutated(webp(draw), draw), ANY, ".webp", 60),
    "PNG chunks moved": Kind(png_chunks_moved, ANY, ".png", 30),
    "PNG content mutated, checksums right": Kind(png_content_mutated, ANY, ".png", 60),
    "PNG header lies": Kind(png_header_lies, ANY, ".png"),
    "PNG pixels with a wrong checksum": Kind(png_pixels_with_wrong_checksum, {"IMG_DAMAGED"}, ".png"),
    "PNG profile with a wrong checksum": Kind(png_profile_with_wrong_checksum, {READ}, ".png"),
    "PNG text bomb": Kind(png_text_bomb, {READ}, ".png", 1),
    "PNG of empty chunks": Kind(png_of_empty_chunks, {"IMG_DAMAGED"}, ".png", 1),
    "JPEG header lies": Kind(jpeg_header_lies, ANY, ".jpg"),
    "WebP header lies": Kind(webp_header_lies, ANY, ".webp"),
    "decompression bomb": Kind(png_bomb, {"IMG_TOO_LARGE"}, ".png"),
    "picture at the limit": Kind(png_at_the_limit, {"IMG_NO_TISSUE"}, ".png", 1),
    "JPEG of many scans": Kind(jpeg_many_scans, {"IMG_TOO_LARGE"}, ".jpg", 1),
    "JPEG of 12 bits": Kind(jpeg_12_bits, {"IMG_FORMAT"}, ".jpg", 2),
    "damaged EXIF": Kind(jpeg_bad_exif, {READ}, ".jpg"),
    "damaged profile in JPEG": Kind(jpeg_bad_profile, {READ}, ".jpg"),
    "damaged profile in WebP": Kind(webp_with_bad_profile, {READ}, ".webp"),
    "CMYK": Kind(cmyk, {"IMG_CMYK"}, ".jpg"),
    "two pictures in one": Kind(mpo, {READ}, ".jpg", 5),
    "trailing bytes": Kind(lambda draw: followed(any_picture(draw), draw), {READ}, ".jpg"),
    "animated": Kind(animated, {"IMG_ANIMATED"}, ".png"),
    "other formats": Kind(exotic, {"IMG_FORMAT"}, ".jpg"),
    "no picture": Kind(words, {"IMG_FORMAT", "IMG_DAMAGED"}, ".jpg"),
    "noise": Kind(lambda draw: draw.bytes(int(draw.integers(1, 999))), {"IMG_FORMAT", "IMG_DAMAGED"}, ".jpg"),
    "HEIC": Kind(heic, {"IMG_FORMAT", "IMG_DAMAGED"}, ".heic"),
    "grey": Kind(grey, {"IMG_GREY"}, ".png"),
    "grey stored as colour": Kind(png_grey_in_colour, {"IMG_GREY"}, ".png"),
    "blank": Kind(blank, {"IMG_BLANK", "IMG_GREY"}, ".png"),
    "transparent throughout": Kind(transparent, {"IMG_NO_TISSUE"}, ".png"),
    "tiny": Kind(tiny, {"IMG_TOO_SMALL"}, ".png"),
    "palette": Kind(palette, {READ}, ".png"),
    "16 bits": Kind(png_16_bits, {READ}, ".png"),
    "alpha": Kind(lambda draw: encode(picture(draw, "RGBA"), "PNG"), {READ}, ".png"),
    "turned": Kind(turned, {READ}, ".png"),
    "wrong extension": Kind(png, {READ}, ".jpg"),
    "file of 60 MB": Kind(lambda draw: jpeg(draw) + bytes(60_000_000), {"IMG_TOO_LARGE"}, ".jpg", 1),
}

# --- masks: beside a sound photograph of 56x40 pixels ---


def mask_of(values: "np.ndarray[Any, Any]") -> bytes:
    return encode(Image.fromarray(values.astype(np.uint8)), "PNG")


def noise_mask(draw: Draw) -> bytes:
    return mask_of(draw.integers(0, 256, (40, 56)))


MASKS = {
    "mask": Kind(noise_mask, {READ}, ".png"),
    "mask of colours": Kind(lambda draw: encode(picture(draw, "RGBA"), "PNG"), {READ}, ".png", 5),
    "mask of 16 bits": Kind(lambda draw: encode(picture(draw, "I;16"), "PNG"), {READ}, ".png", 5),
    "mask of zero bytes": Kind(lambda draw: b"", {"MASK_EMPTY"}, ".png", 2),
    "mask that is no picture": Kind(words, {"MASK_FORMAT", "MASK_DAMAGED"}, ".png", 3),
    "mask that moves": Kind(animated, {"MASK_ANIMATED"}, ".png", 3),
    "mask in CMYK": Kind(cmyk, {"MASK_CMYK"}, ".jpg", 3),
    "mask bomb": Kind(png_bomb, {"MASK_TOO_LARGE"}, ".png", 3),
    "mask of another size": Kind(lambda draw: encode(picture(draw, size=(40, 56)), "PNG"), {"MASK_SIZE"}, ".png", 3),
    "mask without tissue": Kind(lambda draw: mask_of(draw.integers(0, 128, (40, 56))), {"MASK_NO_TISSUE"}, ".png", 3),
    "truncated mask": Kind(lambda draw: noise_mask(draw)[: -int(draw.integers(1, 60))], {"MASK_DAMAGED"}, ".png", 5),
}

# --- places in the file system: what stands there, and which codes that meets ---


def place_missing(at: Path) -> Path:
    return at


def place_folder(at: Path) -> Path:
    at.mkdir()
    return at


def place_pipe(at: Path) -> Path:
    os.mkfifo(at)
    return at


def place_device(_: Path) -> Path:
    return Path(os.devnull)


def place_link_to_itself(at: Path) -> Path:
    at.symlink_to(at)
    return at


def place_long_name(at: Path) -> Path:
    return at.with_name("x" * 5_000)


def place_impossible_name(at: Path) -> Path:
    return at.with_name("a\0b.png")


PLACES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "nothing": (place_missing, "MISSING"),
    "folder": (place_folder, "NOT_A_FILE"),
    "pipe": (place_pipe, "NOT_A_FILE"),
    "device": (place_device, "NOT_A_FILE"),
    "link to itself": (place_link_to_itself, "DENIED"),
    "name of 5000 letters": (place_long_name, "DENIED"),
    "name with a zero": (place_impossible_name, "DENIED"),
}

# --- tables: of the photos 1.png to 9.png ---

ROWS = [(f"{number}.png", number % 2, f"00{number // 2}", 9.5 + number) for number in range(1, 10)]
HEADER = ("photo", "label", "patient", "hemoglobin_g_dl")


def table(header: tuple[str, ...] = HEADER, *, mark: str = ",", rows: Any = ROWS) -> str:
    return "".join(mark.join(map(str, row)) + "\n" for row in [header, *rows])


def with_cell(value: str, column: int, draw: Draw) -> bytes:
    rows = [list(row) for row in ROWS]
    rows[draw.integers(len(rows))][column] = value
    return table(rows=rows).encode()


def in_column(column: int, *values: str) -> Make:
    return lambda draw: with_cell(values[draw.integers(len(values))], column, draw)


def in_another_encoding(draw: Draw) -> bytes:
    text = with_cell("Ünal", 2, draw).decode()
    return text.encode(("latin-1", "cp1252", "utf-16", "utf-16-le", "utf-32", "cp037")[draw.integers(6)])


def with_mark(draw: Draw) -> bytes:
    return table().encode("utf-8-sig")


def with_another_separator(draw: Draw) -> bytes:
    text = table(mark=";\t"[draw.integers(2)])
    return (text.replace(".5", ",5") if draw.random() < 0.5 else text).encode()


def with_other_columns(draw: Draw) -> bytes:
    headers = [("foto", *HEADER[1:]), ("photo", "photo", *HEADER[2:]), ("Photo", "PHOTO", *HEADER[2:])]
    return table(headers[draw.integers(3)]).encode()


def in_other_case(draw: Draw) -> bytes:
    return table(("Photo ", "LABEL", "pAtient", " Hemoglobin_g_dL")).encode()


def ragged(draw: Draw) -> bytes:
    lines = table().splitlines()
    which = int(draw.integers(1, len(lines)))
    lines[which] += ",x" if draw.random() < 0.5 else ""
    lines[which] = lines[which] if lines[which].endswith("x") else lines[which].rpartition(",")[0]
    return "\n".join(lines).encode()


def huge_cell(draw: Draw) -> bytes:
    return with_cell("9" * 1_000_000, 2, draw)


def many_lines(draw: Draw) -> bytes:
    return table().encode() + b"a,1\n" * 3_000_000


def blank_lines(draw: Draw) -> bytes:
    return b"\n" * 3_000_000 + table().encode() + b",,,\n" * 100_000


def excel(draw: Draw, **parts: bytes) -> bytes:
    memory = io.BytesIO()
    pd.DataFrame(ROWS, columns=list(HEADER)).to_excel(memory, index=False)
    if not parts:
        return memory.getvalue()
    changed = io.BytesIO()
    with zipfile.ZipFile(memory) as old, zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, parts.get(Path(name).stem, old.read(name)))
    return changed.getvalue()


def excel_bomb(draw: Draw) -> bytes:
    return excel(draw, sheet1=b"<worksheet><sheetData>" + b"<row/>" * 20_000_000)


def excel_of_laughs(draw: Draw) -> bytes:
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    return excel(draw, sheet1=f'<!DOCTYPE x [<!ENTITY a0 "ha">{entities}]><worksheet>&a11;</worksheet>'.encode())


def excel_that_claims_to_be_vast(draw: Draw) -> bytes:
    cell = '<row r="{0}"><c r="XFD{0}" t="inlineStr"><is><t>a</t></is></c></row>'
    rows = cell.format(1) + cell.format(1_048_576)
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    dimension = '<dimension ref="A1:XFD1048576"/>'
    return excel(
        draw, sheet1=f'<worksheet xmlns="{space}">{dimension}<sheetData>{rows}</sheetData></worksheet>'.encode()
    )


def parquet(draw: Draw) -> bytes:
    memory = io.BytesIO()
    pd.DataFrame(ROWS, columns=list(HEADER)).to_parquet(memory)
    return memory.getvalue()


def parquet_bomb(draw: Draw) -> bytes:
    memory = io.BytesIO()
    pd.DataFrame({name: np.zeros(6_000_000, dtype=np.int8) for name in HEADER[:2]}).to_parquet(memory)
    return memory.getvalue()


EITHER = {READ, REFUSED}

TABLES = {
    "CSV in another encoding": Kind(in_another_encoding, {REFUSED}, ".csv"),
    "CSV with a byte order mark": Kind(with_mark, {READ}, ".csv", 5),
    "CSV with another separator": Kind(with_another_separator, {REFUSED}, ".csv"),
    "decimal comma": Kind(in_column(3, '"11,2"'), {REFUSED}, ".csv", 5),
    "zero byte": Kind(in_column(2, "a\0b"), {REFUSED}, ".csv", 5),
    "ragged rows": Kind(ragged, {REFUSED}, ".csv"),
    "missing or repeated columns": Kind(with_other_columns, {REFUSED}, ".csv"),
    "columns in another case": Kind(in_other_case, {READ}, ".csv", 5),
    "ids that look like numbers": Kind(in_column(2, "007", "NA", "1e5", "nan", "None", "-inf"), {READ}, ".csv"),
    "labels of no class": Kind(in_column(1, "2", "yes", "1.0", "Anaemic", "-1"), {REFUSED}, ".csv"),
    "paths that lead elsewhere": Kind(
        in_column(0, "../1.png", "/etc/passwd", "C:\\1.png", "a/../../1.png", "CON", ".", "9" * 300), {REFUSED}, ".csv"
    ),
    "haemoglobin that is no number": Kind(in_column(3, "inf", "nan", "-3", "x", "112"), EITHER, ".csv"),
    "quotes that do not add up": Kind(in_column(2, '"', '"a"b'), {REFUSED}, ".csv"),
    "huge cell": Kind(huge_cell, {REFUSED}, ".csv", 2),
    "empty table": Kind(lambda draw: b"\n , \n"[: draw.integers(6)], {REFUSED}, ".csv", 5),
    "three million lines": Kind(many_lines, {REFUSED}, ".csv", 1),
    "three million blank lines": Kind(blank_lines, {READ}, ".csv", 1),
    "mutated CSV": Kind(lambda draw: mutated(table().encode(), draw), EITHER, ".csv", 60),
    "noise for CSV": Kind(lambda draw: draw.bytes(int(draw.integers(1, 999))), {REFUSED}, ".csv"),
    "mutated Excel": Kind(lambda draw: mutated(excel(draw), draw), EITHER, ".xlsx", 30),
    "no Excel": Kind(any_picture, {REFUSED}, ".xlsx"),
    "Excel bomb": Kind(excel_bomb, {REFUSED}, ".xlsx", 1),
    "Excel of entities": Kind(excel_of_laughs, {REFUSED}, ".xlsx", 1),
    "Excel that claims to be vast": Kind(excel_that_claims_to_be_vast, {REFUSED}, ".xlsx", 1),
    "mutated Parquet": Kind(lambda draw: mutated(parquet(draw), draw), EITHER, ".parquet", 60),
    "no Parquet": Kind(any_picture, {REFUSED}, ".parquet"),
    "Parquet bomb": Kind(parquet_bomb, {REFUSED}, ".parquet", 1),
    "other kind of table": Kind(lambda draw: b"x", {REFUSED}, ".ods", 2),
}

# --- running ---

LIMIT_SECONDS = 5.0
LIMIT_BYTES = 1024**3


def check_photograph(photograph: Photograph, data: bytes) -> None:
    rgba = photograph.rgba
    assert rgba.dtype == np.uint8
    assert rgba.shape == (photograph.height, photograph.width, 4)
    assert rgba.flags.c_contiguous
    assert photograph.sha256 == sha256(data).hexdigest()
    assert photograph.file_bytes == len(data)


def check_sentence(fault: AnemiaError, start: str) -> None:
    assert str(fault).startswith(start)


def meet_photo(path: Path, mask: Path | None = None) -> str:
    try:
        photograph = open_photo(path, mask=mask)
    except PhotoUnreadable as fault:
        check_sentence(fault, f"Looked for a photograph in {path}; found {fault.reason}")
        return fault.code
    check_photograph(photograph, path.read_bytes())
    return READ


def meet_table(path: Path) -> str:
    try:
        manifest = read_table(root=path.parent, table=path.name)
    except AnemiaError as fault:
        check_sentence(fault, "Looked for ")
        return REFUSED
    assert set(manifest["photo"]) <= {f"table/{row[0]}" for row in ROWS}
    return READ


class Bench:
    """Reads inputs one by one and keeps count."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.met: dict[str, Counter[str]] = {}
        self.faults: list[str] = []
        self.slowest = (0.0, "")
        draw = np.random.default_rng(0)
        self.photo = folder / "photo.png"
        self.photo.write_bytes(encode(picture(draw), "PNG"))
        for name, *_ in ROWS:
            (folder / name).write_bytes(self.photo.read_bytes())

    def run(self, kind: str, number: int) -> None:
        """Makes and reads one input."""
        (self.folder / "current").write_text(f"{kind} {number}")
        path, meet, may_meet = self._lay_out(kind, number)
        # Of the processor: how busy the machine is says nothing about the reader. A hang meets the test's time-out.
        start = time.process_time()
        try:
            code = meet(path)
        except Exception as fault:  # this is what must not happen
            code = "CRASH"
            self.faults.append(f"{kind} {number}: {type(fault).__name__}: {fault}"[:500])
        seconds = time.process_time() - start
        self.slowest = max(self.slowest, (seconds, f"{kind} {number}"))
        if seconds > LIMIT_SECONDS:
            self.faults.append(f"{kind} {number}: {seconds:.1f} s")
        if peak_bytes() > LIMIT_BYTES and not any("GiB" in fault for fault in self.faults):
            self.faults.append(f"{kind} {number}: more than 1 GiB")
        if code not in may_meet and code != "CRASH":
            self.faults.append(f"{kind} {number}: {code}")
        self.met.setdefault(kind, Counter())[code] += 1

    def _lay_out(self, kind: str, number: int) -> tuple[Path, Callable[[Path], str], set[str]]:
        draw = np.random.default_rng((zlib.crc32(kind.encode()), number))
        at = self.folder / f"input {number}"
        if kind in PLACES:
            make, code = PLACES[kind]
            place = make(self.folder / f"{kind} {number}")
            if number % 2:
                return self.photo, lambda photo: meet_photo(photo, mask=place), {f"MASK_{code}"}
            return place, meet_photo, {f"IMG_{code}"}
        kinds = PHOTOS | MASKS | TABLES
        path = at.with_suffix(kinds[kind].suffix)
        path.write_bytes(kinds[kind].make(draw))
        if kind in MASKS:
            return self.photo, lambda photo: meet_photo(photo, mask=path), kinds[kind].may_meet
        return path, meet_photo if kind in PHOTOS else meet_table, kinds[kind].may_meet


def peak_bytes() -> int:
    """Returns the most memory that this process has had."""
    status = Path("/proc/self/status")
    if status.is_file():
        # Unlike getrusage's figure, this one does not begin with what our parent had.
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def shares() -> dict[str, int]:
    """Returns how many of some 1,500 inputs are of each kind."""
    return {kind: each.share for kind, each in (PHOTOS | MASKS | TABLES).items()} | dict.fromkeys(PLACES, 2)


def main(folder: Path, count: int) -> None:
    """Reads so many inputs, and prints what they met."""
    bench = Bench(folder)
    times = count / sum(shares().values())
    done = 0
    for kind, share in shares().items():
        # Bombs are the same each time; what is drawn at random is what needs numbers.
        number_of = share if share == 1 else max(2, round(share * times))
        for number in range(number_of):
            bench.run(kind, number)
            done += 1
    seconds, slowest = bench.slowest
    report = {"inputs": done, "slowest": f"{seconds:.2f} s, {slowest}", "peak_mb": peak_bytes() // 1024**2}
    print(json.dumps({**report, "met": bench.met, "faults": bench.faults}))  # noqa: T201


if __name__ == "__main__":
    warnings.simplefilter("error")
    if len(sys.argv) == 3:
        main(Path(sys.argv[1]), int(sys.argv[2]))
    else:
        lone = Bench(Path(sys.argv[1]))
        lone.run(sys.argv[2], int(sys.argv[3]))
        print(lone.met, lone.faults, lone.slowest)  # noqa: T201


@pytest.mark.slow
def test_10_000_malformed_inputs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, __file__, str(tmp_path), "10200"]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert answer.returncode == 0, f"{(tmp_path / 'current').read_text()}: {answer.stderr[-2000:]}"
    report = json.loads(answer.stdout)
    met = sum((Counter(codes) for codes in report["met"].values()), Counter())
    lines = [f"\n{report['inputs']} inputs; slowest: {report['slowest']}; at most {report['peak_mb']} MB"]
    for kind, codes in report["met"].items():
        lines.append(f"{kind:42} " + ", ".join(f"{code} {number}" for code, number in codes.items()))
    lines += [f"{code:42} {number}" for code, number in sorted(met.items())]
    with capsys.disabled():
        print(*lines, sep="\n")  # noqa: T201
    assert not report["faults"], "\n".join(report["faults"])
    assert report["inputs"] >= 10_000
    photos = (ANY - {READ}) | {f"IMG_{code}" for _, code in PLACES.values()}
    masks = set().union(*(kind.may_meet for kind in MASKS.values())) | {f"MASK_{code}" for _, code in PLACES.values()}
    assert photos | masks | EITHER <= set(met)
