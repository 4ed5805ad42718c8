"""Command: probabilities and decisions for photographs."""

from typing import TYPE_CHECKING

from omegaconf import DictConfig

from anemia_lightning.command_line.cli import run_command

if TYPE_CHECKING:
    import pandas as pd


def main() -> None:
    """Entry point of `anemia-predict` and `python -m anemia_lightning.predict`."""
    run_command("predict", predict)


def predict(cfg: DictConfig) -> "pd.DataFrame":
    """Predicts as the settings say and returns the prediction table."""
    from anemia_lightning.evaluating.prediction import predict_source

    return predict_source(cfg)


if __name__ == "__main__":
    main()
