"""The Trainer's precisions, and the number formats that these compute in."""

import torch

from anemia_lightning.errors import UnknownNameError

_DTYPES = {"32": torch.float32, "bf16": torch.bfloat16, "16": torch.float16, "64": torch.float64}
_PRECISIONS = ("32-true", "bf16-mixed", "bf16-true", "16-mixed", "16-true", "64-true")


def read_precision(name: str) -> tuple[str, bool]:
    """Returns the number format of a precision of the Trainer, and whether weights stay in float32 beside it.

    Args:
        name: Such as bf16-mixed, or bf16, which is short for it.

    Raises:
        UnknownNameError: If it is none that we compute in.
    """
    number, _, kind = name.partition("-")
    kind = kind or ("mixed" if number in ("16", "bf16") else "true")
    if f"{number}-{kind}" not in _PRECISIONS:
        raise UnknownNameError("a precision for trainer.precision", name, _PRECISIONS)
    return number, kind == "mixed"


def dtype_of(precision: str) -> torch.dtype:
    """Returns in which type frozen layers compute under a precision of the Trainer, such as bf16-mixed.

    Raises:
        UnknownNameError: If it is none that we compute in.
    """
    number, _ = read_precision(precision)
    return _DTYPES[number]
