"""Finished models that meet photos together."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from anemia_lightning.data.sources.synthetic import read_synthetic
from anemia_lightning.model.classifier import AnemiaClassifier
from anemia_lightning.model.trunk_pass import TrunkPass
from anemia_lightning.scoring import predict_photos, predict_together
from anemia_lightning.settings import compose


@pytest.fixture
def rows(drawn_photos: Path) -> pd.DataFrame:
    return read_synthetic(root=drawn_photos, patients=24, photos=48).head(10)


def classifier(settings: dict[str, Any], *, seed: int, init_seed: int = 0, size: int = 32) -> AnemiaClassifier:
    framing = {"size": size, "region": "full", "resize": "stretch", "background": (124, 116, 104)}
    made = AnemiaClassifier(**{**settings, "seed": seed, "init_seed": init_seed, "preprocessing": framing})
    with torch.no_grad():
        # As if each had been trained on other photos.
        made.network.backbone.layer4[0].conv1.weight.mul_(1 + seed / 10)
    return made


@pytest.mark.parametrize(
    ("others", "passes"), [([{}, {}], 1), ([{"init_seed": 1}, {}], 2), ([{"init_seed": 1}, {"size": 48}], 3)], ids=str
)
def test_models_with_one_trunk_share_its_pass_and_agree_with_each_alone(
    classifier_settings: dict[str, Any],
    rows: pd.DataFrame,
    others: list[dict[str, int]],
    passes: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cfg = compose("predict", ["ckpt=x", "source=x", "trainer=cpu", "batch_size=4"])
    models = [classifier(classifier_settings, seed=seed, **changed) for seed, changed in enumerate([{}, *others])]
    alone = [predict_photos(cfg, model, rows, None, precision="32-true") for model in models]
    images: list[int] = []
    trunk = TrunkPass.trunk

    def count(self: TrunkPass, values: torch.Tensor) -> torch.Tensor:
        images.append(len(values))
        return trunk(self, values)

    monkeypatch.setattr(TrunkPass, "trunk", count)
    together = predict_together(cfg, models, rows, precision="32-true")
    assert sum(images) == passes * len(rows)
    assert together.index.tolist() == rows["photo"].tolist()
    for place, each in enumerate(alone):
        assert together[place].to_numpy() == pytest.approx(each.to_numpy(), rel=1e-6)
    assert len({each.iloc[0] for each in alone}) == 3
