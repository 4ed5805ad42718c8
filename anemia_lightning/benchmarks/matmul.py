"""How much of the machine's own matrix-product rate the trunk pass reaches, both measured in turns."""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

_SHAPES = {"cpu": ((2048, 2048, 2048), (4096, 4096, 4096), (6272, 1024, 2304)), "cuda": ((4096,) * 3, (8192,) * 3)}
"""Rows, columns and depth of the products that are tried."""
_LEAST_S = 0.3


@dataclass(frozen=True)
class TrunkRate:
    """The rate of a forward pass beside that of the best matrix product."""

    macs_per_image: int
    """Multiply-accumulates of the convolutions and products of one image."""
    matmul_macs_per_s: float
    """Of the best shape; median over the rounds."""
    pass_macs_per_s: float
    """Median over the rounds."""
    images_per_s: float
    share: float
    """Of the matrix product's rate that the pass reaches; median over the rounds."""
    shares: list[float]
    """The share in each round."""

    def to_dict(self) -> dict[str, object]:
        """Returns plain values."""
        return asdict(self)


def count_macs(forward: Callable[[torch.Tensor], object], size: int) -> int:
    """Returns the multiply-accumulates of convolutions and matrix products that one image takes.

    Args:
        forward: Takes images float [B, 3, size, size]; on torch's meta device nothing is computed.
        size: Side of the image in pixels.
    """
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        forward(torch.empty(1, 3, size, size, device="meta"))
    return int(counter.get_total_flops()) // 2


def measure_trunk(
    forward: Callable[[torch.Tensor], object],
    images: torch.Tensor,
    *,
    macs_per_image: int,
    dtype: torch.dtype,
    rounds: int = 5,
) -> TrunkRate:
    """Times matrix products and a forward pass in turns, with the threads that torch has.

    Args:
        forward: The pass; takes `images`.
        images: float [B, 3, S, S], on the device that computes.
        macs_per_image: What the pass takes; see `count_macs`.
        dtype: Of the matrix products: the one that the pass computes in.
        rounds: Turns.
    """
    device = images.device
    products = [_product(shape, device, dtype) for shape in _SHAPES["cuda" if device.type == "cuda" else "cpu"]]
    macs = [rows * columns * depth for rows, columns, depth in _SHAPES["cuda" if device.type == "cuda" else "cpu"]]
    for warm_up in (lambda: forward(images), *products):
        warm_up()
    peaks, rates = [], []
    for _ in range(rounds):
        peaks.append(max(count / _seconds(product, device) for count, product in zip(macs, products, strict=True)))
        rates.append(len(images) * macs_per_image / _seconds(lambda: forward(images), device))
    shares = [rate / peak for rate, peak in zip(rates, peaks, strict=True)]
    median = statistics.median
    return TrunkRate(
        macs_per_image=macs_per_image,
        matmul_macs_per_s=median(peaks),
        pass_macs_per_s=median(rates),
        images_per_s=median(rates) / macs_per_image,
        share=median(shares),
        shares=shares,
    )


def _product(shape: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> Callable[[], object]:
    rows, columns, depth = shape
    left = torch.randn(rows, depth, device=device).to(dtype)
    right = torch.randn(depth, columns, device=device).to(dtype)
    result = torch.empty(rows, columns, device=device, dtype=dtype)
    return lambda: torch.mm(left, right, out=result)


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    """Returns the mean time of one of as many runs as fill the least span."""
    runs = 0
    wait_for(device)
    started = time.perf_counter()
    while (spent := time.perf_counter() - started) < _LEAST_S or not runs:
        work()
        runs += 1
        wait_for(device)
    return spent / runs


def wait_for(device: torch.device) -> None:
    """Waits until a GPU has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
