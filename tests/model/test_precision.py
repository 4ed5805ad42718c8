"""What the Trainer's precisions mean."""

import pytest
import torch

from anemia_lightning.errors import UnknownNameError
from anemia_lightning.model.precision import dtype_of, read_precision


@pytest.mark.parametrize(
    ("name", "number", "is_mixed", "dtype"),
    [
        ("32-true", "32", False, torch.float32),
        ("32", "32", False, torch.float32),
        ("bf16-mixed", "bf16", True, torch.bfloat16),
        ("bf16", "bf16", True, torch.bfloat16),
        ("bf16-true", "bf16", False, torch.bfloat16),
        ("16-mixed", "16", True, torch.float16),
        ("16", "16", True, torch.float16),
        ("16-true", "16", False, torch.float16),
        ("64-true", "64", False, torch.float64),
    ],
)
def test_a_precision_is_a_number_format_with_weights_in_it_or_beside_it(
    name: str, number: str, *, is_mixed: bool, dtype: torch.dtype
) -> None:
    assert read_precision(name) == (number, is_mixed)
    assert dtype_of(name) == dtype


@pytest.mark.parametrize("name", ["transformer-engine", "8-true", "32-mixed", ""])
def test_a_precision_that_we_do_not_compute_in_is_refused(name: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        dtype_of(name)
    assert str(caught.value).startswith(
        f"Looked for a precision for trainer.precision; found '{name}'. Known, the nearest first: "
    )
