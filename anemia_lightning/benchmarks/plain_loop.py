"""The protocol as a plain PyTorch loop, written without this library: what it is compared with.

`LoopSettings` as they are give the loop that a competent reader of the protocol would write. Its four switches and
the number of workers give the same loop tuned. Nothing of ours is imported.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from safetensors.torch import load_file
from sklearn.metrics import roc_auc_score
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import models, transforms

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """What the loop is told."""

    photos: str
    """A CSV with path, label and split (train, val, test)."""
    weights: str
    """A .safetensors or torch.save file with torchvision's keys."""
    backbone: str = "resnet50"
    image_size: int = 224
    batch_size: int = 32
    head_epochs: int = 5
    """Epochs that train the head alone."""
    layer4_epochs: int = 18
    """Epochs after these, which train layer4 too."""
    hidden: int = 512
    dropout: float = 0.5
    learning_rate: float = 1e-4
    weight_decay: float = 1e-4
    num_workers: int = 2
    seed: int = 0
    device: str = "cpu"
    channels_last: bool = False
    bf16: bool = False
    frozen_batchnorm: bool = False
    """Leave layer4's BatchNorm in eval mode while it trains."""
    fused: bool = False
    """Adam's fused step, and on a GPU cuDNN's choice by measurement; workers that live on between epochs."""


class Photos(Dataset[tuple[Tensor, int]]):
    """Photographs of one split as images, decoded anew whenever they are asked for."""

    def __init__(self, rows: pd.DataFrame, transform: transforms.Compose) -> None:
        self.rows, self.transform = rows, transform

    def __len__(self) -> int:
        """Returns how many there are."""
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Returns an image, float32 [3, S, S], and its label."""
        row = self.rows.iloc[index]
        with Image.open(row["path"]) as image:
            return self.transform(image.convert("RGB")), int(row["label"])


class Network(nn.Module):
    """A ResNet whose trunk is frozen for good, with a head of two linear layers."""

    def __init__(self, settings: LoopSettings) -> None:
        super().__init__()
        net = models.get_model(settings.backbone)
        file = Path(settings.weights)
        state = load_file(file) if file.suffix == ".safetensors" else torch.load(file, weights_only=True)
        missing = net.load_state_dict(state, strict=False).missing_keys
        assert all(key.startswith("fc.") for key in missing), missing
        self.trunk = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool, net.layer1, net.layer2, net.layer3)
        self.layer4 = net.layer4
        hidden = nn.Linear(net.fc.in_features, settings.hidden)
        output = nn.Linear(settings.hidden, 2)
        self.head = nn.Sequential(net.avgpool, nn.Flatten(), hidden, nn.ReLU(), nn.Dropout(settings.dropout), output)

    def forward(self, images: Tensor) -> Tensor:
        """Returns the logits of both labels, [B, 2], for images [B, 3, S, S]."""
        with torch.no_grad():
            maps = self.trunk(images)
        logits: Tensor = self.head(self.layer4(maps))
        return logits

    def train_from(self, stage: str, *, frozen_batchnorm: bool) -> None:
        """Sets modes and gradients for an epoch that trains from head or layer4 on."""
        self.train()
        self.trunk.eval()
        self.trunk.requires_grad_(requires_grad=False)
        self.layer4.requires_grad_(requires_grad=stage == "layer4")
        self.layer4.train(stage == "layer4")
        for module in self.layer4.modules():
            if frozen_batchnorm and isinstance(module, nn.BatchNorm2d):
                module.eval()


class PlainLoop:
    """Trains and scores as the settings say.

    Args:
        settings: What the loop is told.
        lap: Called with a name when a part is done: start, then head or layer4 train and val for each epoch, test.
    """

    def __init__(self, settings: LoopSettings, lap: Callable[[str], None]) -> None:
        self.settings, self.lap = settings, lap
        torch.manual_seed(settings.seed)
        torch.backends.cudnn.benchmark = settings.fused
        self.device = torch.device(settings.device)
        self.network = Network(settings).to(self.device)
        if settings.channels_last:
            self.network = self.network.to(memory_format=torch.channels_last)
        rows = pd.read_csv(settings.photos, keep_default_na=False)
        self.loaders = {split: self._loader(rows[rows["split"] == split], split) for split in ("train", "val", "test")}
        labels = rows.loc[rows["split"] == "train", "label"].to_numpy()
        balanced = compute_class_weight("balanced", classes=np.array([0, 1]), y=labels)
        self.class_weights = torch.tensor(balanced, dtype=torch.float32)
        self.loss = nn.CrossEntropyLoss(self.class_weights.to(self.device))
        trained = [*self.network.layer4.parameters(), *self.network.head.parameters()]
        self.optimizer = torch.optim.Adam(
            trained, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=settings.fused or None
        )
        self.schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(self.optimizer, factor=0.5, patience=3, min_lr=1e-6)
        self.first_loss: float | None = None

    def run(self) -> dict[str, float]:
        """Returns loss and auroc of the best model on the test photos."""
        settings, lowest, best = self.settings, float("inf"), None
        self.lap("start")
        for stage in ["head"] * settings.head_epochs + ["layer4"] * settings.layer4_epochs:
            self.network.train_from(stage, frozen_batchnorm=settings.frozen_batchnorm)
            self.train_epoch()
            self.lap(f"{stage} train")
            loss = self.score("val")["loss"]
            self.schedule.step(loss)
            if loss < lowest:
                lowest, best = loss, deepcopy(self.network.state_dict())
            self.lap(f"{stage} val")
        if best is not None:
            self.network.load_state_dict(best)
        scores = self.score("test")
        self.lap("test")
        return scores

    def train_epoch(self) -> float:
        """Trains on each training photo once and returns the mean loss of the batches."""
        total = 0.0
        for images, labels in self.loaders["train"]:
            loss = self.loss(self._logits(images), labels.to(self.device, non_blocking=True))
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            value = float(loss.detach())
            self.first_loss = value if self.first_loss is None else self.first_loss
            total += value
        return total / len(self.loaders["train"])

    @torch.no_grad()
    def score(self, split: str) -> dict[str, float]:
        """Returns the class-weighted loss and the AUROC of a split."""
        self.network.eval()
        parts = [(self._logits(images).cpu(), labels) for images, labels in self.loaders[split]]
        logits, labels = (torch.cat(column) for column in zip(*parts, strict=True))
        loss = nn.functional.cross_entropy(logits, labels, weight=self.class_weights)
        return {"loss": float(loss), "auroc": float(roc_auc_score(labels, logits[:, 1] - logits[:, 0]))}

    def _logits(self, images: Tensor) -> Tensor:
        form = torch.channels_last if self.settings.channels_last else torch.preserve_format
        images = images.to(self.device, non_blocking=True).contiguous(memory_format=form)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.settings.bf16):
            logits: Tensor = self.network(images)
        return logits.float()

    def _loader(self, rows: pd.DataFrame, split: str) -> DataLoader[tuple[Tensor, int]]:
        workers = self.settings.num_workers
        return DataLoader(
            Photos(rows, _transform(self.settings.image_size, augmented=split == "train")),
            batch_size=self.settings.batch_size,
            shuffle=split == "train",
            num_workers=workers,
            pin_memory=self.device.type == "cuda",
            persistent_workers=self.settings.fused and workers > 0,
        )


def _transform(size: int, *, augmented: bool) -> transforms.Compose:
    varied = [
        transforms.RandomHorizontalFlip(),
        transforms.RandomRotation(15),
        transforms.ColorJitter(brightness=0.2, contrast=0.2),
        transforms.RandomAffine(15, translate=(0.1, 0.1), scale=(0.8, 1.2)),
    ]
    steps = [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    return transforms.Compose([transforms.Resize((size, size)), *(varied if augmented else []), *steps])
