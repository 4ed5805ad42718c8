"""Command: grouped, stratified cross-validation, fold by fold."""

from collections.abc import Mapping

from omegaconf import DictConfig

from anemia_lightning.command_line.cli import run_command


def main() -> None:
    """Entry point of `anemia-crossval` and `python -m anemia_lightning.crossval`."""
    run_command("crossval", crossval, prepare=_prepare, fixed=_fixed)


def crossval(cfg: DictConfig) -> "object":
    """Cross-validates as the settings say and returns the `CrossvalResult`."""
    from anemia_lightning.crossvalidating.cross_validation import cross_validate

    return cross_validate(cfg)


def _prepare(overrides: list[str]) -> list[str]:
    from anemia_lightning.command_line.resuming import continue_overrides

    return continue_overrides(overrides, verb="crossval")


def _fixed(cfg: DictConfig) -> Mapping[str, object]:
    from anemia_lightning.crossvalidating.cross_validation import fixed_settings

    return fixed_settings(cfg)


if __name__ == "__main__":
    main()
