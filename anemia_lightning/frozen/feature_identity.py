"""What features depend on: the settings that they are made with, and all that tells one collection from another."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from anemia_lightning import __version__
from anemia_lightning.data.decoders import decoder_versions
from anemia_lightning.features.store import FeatureStore
from anemia_lightning.model.trunk_pass import TrunkPass

FEATURES_VERSION = 3
"""Raised whenever the same photo, augmentation and weights would give other features."""


@dataclass(frozen=True, kw_only=True)
class FeatureSettings:
    """How features are computed and kept."""

    store: FeatureStore | None
    """None keeps nothing."""
    off_because: str | None
    """Why nothing is kept."""
    views: int | None
    """Augmented versions of each training photo; None for a new one in each epoch."""
    keep_fresh: bool
    codec: Literal["auto", "uint8"]
    dtype: torch.dtype
    """In which the trunk computes."""
    compiled: bool
    """Whether the trunk is compiled."""
    framing: Mapping[str, Any]
    """How photographs become squares of pixels, in plain values."""
    augmentation: Mapping[str, Any]
    """How training views differ, in plain values."""
    size: int
    """Side of an image in pixels."""
    threads: int
    """Readers of photographs at work, on a GPU beside the network."""

    def exact(self) -> "FeatureSettings":
        """Returns those of features as `predict` computes them: neither rounded in order to be kept, nor compiled."""
        return replace(self, codec="auto", compiled=False)


def collection_ingredients(
    kind: str,
    settings: FeatureSettings,
    trunk: TrunkPass,
    *,
    backbone: str,
    trunk_sha256: str,
    top_sha256: str,
    augmented: bool,
    view: int,
) -> dict[str, str | int | None]:
    """Returns all that the rows of a collection depend on beside their photos, in plain values.

    Args:
        kind: pixels, layer3 or pooled.
        settings: How features are computed and kept.
        trunk: What computes them.
        backbone: The name of its network.
        trunk_sha256: Of the weights of its trunk, as `frozen_sha256` returns it.
        top_sha256: Of those of its layer4.
        augmented: Whether the views of a photo differ.
        view: Which it is.
    """
    ingredients: dict[str, str | int | None] = {
        "kind": kind,
        "version": f"{__version__} {FEATURES_VERSION}",
        "decoded by": decoder_versions(),
        "framing": repr(sorted(settings.framing.items())),
    }
    if kind == "pixels":
        return ingredients
    ingredients |= {
        "augmentation": repr(sorted(settings.augmentation.items())) if augmented else None,
        "view": view if augmented else None,
        "backbone": backbone,
        "trunk": trunk_sha256,
        "precision": str(settings.dtype).removeprefix("torch."),
        "maps stored as": settings.codec,
        "computed by": f"torch {torch.__version__}, {_device_words(trunk)}",
    }
    if settings.compiled:
        ingredients["compiled"] = "with frozen weights"
    if kind == "pooled":
        ingredients["layer4"] = top_sha256
    return ingredients


def _device_words(trunk: TrunkPass) -> str:
    """Returns what the rounding of a pass depends on."""
    shape = f"{trunk.batch_size} images a pass" + (", fused" if trunk.is_fused else "")
    if trunk.device.type == "cuda":
        kernels = f"TF32 {torch.backends.cudnn.allow_tf32}, benchmark {torch.backends.cudnn.benchmark}"
        kernels += f", deterministic {torch.are_deterministic_algorithms_enabled()}"
        matmul = torch.get_float32_matmul_precision()
        return f"{torch.cuda.get_device_name(trunk.device)}, {matmul}, {kernels}, {shape}"
    # Processors of one name may have bf16 instructions or not, as on the nodes of a cluster with one home folder.
    instructions = [name for name, is_there in sorted(_capabilities().items()) if is_there is True]
    capability = f"{torch.backends.cpu.get_cpu_capability()} ({' '.join(instructions)})"
    return f"{trunk.device.type} {platform.machine()} {capability}, {torch.get_num_threads()} threads, {shape}"


def _capabilities() -> dict[str, object]:
    # Not every version of torch that we take tells them.
    found: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return found
