"""Command: score a finished model on its own test split, or on other data."""

from typing import Any

from omegaconf import DictConfig

from anemia_lightning.command_line.cli import run_command


def main() -> None:
    """Entry point of `anemia-evaluate` and `python -m anemia_lightning.evaluate`."""
    run_command("evaluate", evaluate)


def evaluate(cfg: DictConfig) -> dict[str, Any]:
    """Scores as the settings say and returns the scores."""
    from anemia_lightning.evaluating.evaluation import evaluate_checkpoint, evaluate_run

    return evaluate_run(cfg) if cfg.run else evaluate_checkpoint(cfg)


if __name__ == "__main__":
    main()
