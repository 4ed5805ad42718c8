"""Command: grouped, stratified cross-validation, fold by fold."""

from collections.abc import Mapping

from omegaconf import DictConfig

from anemia_lightning.command_line.cli import run_command


def main() -> None:
    """Entry point of `anemia-crossval` and `python -m anemia_lightning.crossval`."""
    run_command("crossval", crossval, can_resume=True, fixed=_fixed)


def crossval(cfg: DictConfig) -> "object":
    """Cross-validates as the settings say and returns the `CrossvalResult`."""
    from anemia_lightning.crossvalidating.cross_validation import cross_validate

    return cross_validate(cfg)


def _fixed(cfg: DictConfig) -> Mapping[str, object]:
    from anemia_lightning.crossvalidating.cross_validation import fixed_settings

    return fixed_settings(cfg)


if __name__ == "__main__":
    main()
