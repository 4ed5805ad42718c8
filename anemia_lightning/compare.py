"""Command: tables over runs, seeds, folds and sweeps, with paired differences."""

from typing import Any

from omegaconf import DictConfig

from anemia_lightning.command_line.cli import run_command


def main() -> None:
    """Entry point of `anemia-compare` and `python -m anemia_lightning.compare`."""
    run_command("compare", compare)


def compare(cfg: DictConfig) -> dict[str, Any]:
    """Compares the runs that the settings name and returns what compare.json holds."""
    from anemia_lightning.comparing.comparison import compare_runs

    return compare_runs(cfg)


if __name__ == "__main__":
    main()
