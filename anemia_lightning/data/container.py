"""What the headers of an image file say of its picture, before any of it is decoded."""

from dataclasses import dataclass

PROFILE_LIMIT = 4 * 1024**2
"""Colour profiles with more bytes count as broken; those of printers have some 2 MB."""

BROKEN_PROFILE = b""
"""Stands for a colour profile that is there, but cannot be had."""

MOST_PARTS = 100_000
"""Files of more chunks or segments are refused: to step through millions of empty ones takes too long."""

PNG_MARK = b"\x89PNG\r\n\x1a\n"
JPEG_MARK = b"\xff\xd8"

_OTHER_FORMATS = {
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"%PDF": "PDF",
    b"<svg": "SVG",
    b"\0\0\0\x0cjP": "JPEG 2000",
    b"\0\0\0\x0cJXL": "JPEG XL",
    b"\xff\x0a": "JPEG XL",
    b"8BPS": "Photoshop",
}
_PHONE_FORMATS = {b"avi": "AVIF", b"hei": "HEIC", b"hev": "HEIC", b"mif": "HEIC", b"msf": "HEIC"}


class PhotoFault(Exception):  # noqa: N818 (it becomes a PhotoUnreadable, which knows the file's name)
    """Why the bytes of a file are no photograph that can be used: a stable code, and a reason for people."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Container:
    """What the headers of a file say of its picture."""

    format: str
    """JPEG, MPO (several JPEGs in one file, the photograph first), PNG, WEBP or HEIC."""
    mode: str
    """As Pillow names it: 1, L, LA, I;16 (all grey), P, RGB, RGBA or CMYK."""
    width: int
    """Pixels, before the EXIF orientation is applied."""
    height: int
    content: bytes
    """What the decoder gets: the file, or the chunks of a PNG that its pixels need."""
    exif: bytes = b""
    """A TIFF block, with or without the mark "Exif" before it; empty without one."""
    profile: bytes | None = None
    """The ICC colour profile; None without one, `BROKEN_PROFILE` if it cannot be had."""
    is_animated: bool = False
    notes: tuple[str, ...] = ()


def damaged(what: str) -> PhotoFault:
    """Composes the refusal of a file that is not whole or makes no sense."""
    return PhotoFault("IMG_DAMAGED", f"a damaged file ({what})")


def sniff_format(data: bytes) -> str:
    """Returns JPEG, PNG, WEBP or HEIC, told by the first bytes.

    Raises:
        PhotoFault: IMG_FORMAT, with the name of the format that it is instead, where that is known.
    """
    if data.startswith(JPEG_MARK):
        return "JPEG"
    if data.startswith(PNG_MARK):
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    name = _name_other_format(data)
    if name == "HEIC":
        return name
    found = f"a {name} file in place of JPEG, PNG or WebP" if name else "no JPEG, PNG or WebP picture in the file"
    raise PhotoFault("IMG_FORMAT", found)


def _name_other_format(data: bytes) -> str | None:
    if data[4:8] == b"ftyp":
        return _PHONE_FORMATS.get(data[8:11])
    if data.startswith(b"<?xml") and b"<svg" in data[:1024]:
        return "SVG"
    return next((name for mark, name in _OTHER_FORMATS.items() if data.startswith(mark)), None)
