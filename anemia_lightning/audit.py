"""Command: what is in the data and what is wrong with it, copies of photographs above all."""

from typing import Any

from omegaconf import DictConfig

from anemia_lightning.command_line.cli import run_command


def main() -> None:
    """Entry point of `anemia-audit` and `python -m anemia_lightning.audit`."""
    run_command("audit", audit)


def audit(cfg: DictConfig) -> dict[str, Any]:
    """Audits the data that the settings name and returns what audit.json holds."""
    from anemia_lightning.auditing.audit_data import audit_data

    return audit_data(cfg)


if __name__ == "__main__":
    main()
