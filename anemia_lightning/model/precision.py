"""The Trainer's precisions, and the number formats that these compute in."""

import torch

from anemia_lightning.errors import UnknownNameError

_DTYPES = {"32": torch.float32, "bf16": torch.bfloat16, "16": torch.float16, "64": torch.float64}
_SHORT = {"64": "64-true", "32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed"}
"""What the Trainer takes short names of precisions for."""

_PRECISIONS = ("32-true", "bf16-mixed", "bf16-true", "16-mixed", "16-true", "64-true")


def full_name(name: str) -> str:
    """Returns the one name of a precision that may have been given by its short one: 32-true for 32."""
    return _SHORT.get(name, name)


def read_precision(name: str) -> tuple[str, bool]:
    """Returns the number format of a precision of the Trainer, and whether weights stay in float32 beside it.

    Args:
        name: Such as bf16-mixed, or bf16, which is short for it.

    Raises:
        UnknownNameError: If it is none that we compute in.
    """
    full = full_name(name)
    if full not in _PRECISIONS:
        raise UnknownNameError("a precision for trainer.precision", name, _PRECISIONS)
    number, _, kind = full.partition("-")
    return number, kind == "mixed"


def dtype_of(precision: str) -> torch.dtype:
    """Returns in which type frozen layers compute under a precision of the Trainer, such as bf16-mixed.

    Raises:
        UnknownNameError: If it is none that we compute in.
    """
    number, _ = read_precision(precision)
    return _DTYPES[number]
