"""A finished model opens without Lightning and is the one that was trained."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from anemia_lightning.contracts import Batch
from anemia_lightning.errors import CheckpointUnreadableError
from anemia_lightning.model.classifier import AnemiaClassifier, load_classifier
from anemia_lightning.model.finished import open_model


@pytest.fixture
def checkpoint(classifier_settings: dict[str, Any], tmp_path: Path) -> Path:
    classifier = AnemiaClassifier(**classifier_settings)
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    trainer.strategy.connect(classifier)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    return tmp_path / "a.ckpt"


def test_it_is_the_model_that_was_trained(checkpoint: Path, draw_batch: Callable[..., Batch]) -> None:
    trained = AnemiaClassifier.load_from_checkpoint(checkpoint, weights_only=True).eval()
    before = torch.get_rng_state()
    found = open_model(checkpoint)
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(module.training for module in found.network.modules())
    assert dict(found.hparams) == dict(trained.hparams)
    assert found.network.backbone.layer4[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)
    state = trained.network.state_dict()
    assert found.network.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[key]) for key, value in found.network.state_dict().items())
    for entry in ("image", "layer3", "pooled"):
        batch = draw_batch(entry=entry)
        with torch.no_grad():
            assert torch.equal(found.network(batch.values, entry=entry), trained(batch))


@pytest.mark.parametrize("lost", ["hyper_parameters", "a setting", "a weight"])
@pytest.mark.parametrize("open_it", [open_model, load_classifier])
def test_a_file_that_lacks_something_is_refused(checkpoint: Path, open_it: Callable[[Path], object], lost: str) -> None:
    content = torch.load(checkpoint, weights_only=True)
    if lost == "hyper_parameters":
        del content[lost]
    elif lost == "a setting":
        del content["hyper_parameters"]["backbone"]
    else:
        del content["state_dict"]["network.head.output.bias"]
    torch.save(content, checkpoint)
    with pytest.raises(CheckpointUnreadableError, match=r"a file that cannot be read as one \((Key|Type|Runtime)Error"):
        open_it(checkpoint)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(CheckpointUnreadableError, match="found no file there"):
        open_model(tmp_path / "none.ckpt")
