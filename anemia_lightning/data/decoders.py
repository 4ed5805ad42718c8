"""What photographs are decoded with: another version may give other pixels, or read what could not be read before."""

from importlib.metadata import PackageNotFoundError, version

import cv2

_PACKAGES = ("pillow", "simplejpeg", "pillow-heif")


def decoder_versions() -> str:
    """Returns the packages that decode and resize photographs, each with its version or none."""
    packages = [f"{name} {_version(name)}" for name in _PACKAGES]
    return ", ".join([*packages, f"opencv {cv2.__version__}"])


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
