"""Command: fit, score the best model on the validation and test splits, write the run folder."""

from omegaconf import DictConfig

from anemia_lightning.command_line.cli import run_command


def main() -> None:
    """Entry point of `anemia-train` and `python -m anemia_lightning.train`."""
    run_command("train", train, can_resume=True)


def train(cfg: DictConfig) -> "object":
    """Trains as the settings say and returns the `TrainResult`."""
    from anemia_lightning.fitting.training import train_run

    return train_run(cfg)


if __name__ == "__main__":
    main()
