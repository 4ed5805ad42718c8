"""Command: list, verify and purge what is kept between commands."""

from typing import Any

from omegaconf import DictConfig

from anemia_lightning.command_line.cli import run_command


def main() -> None:
    """Entry point of `anemia-cache` and `python -m anemia_lightning.cache`."""
    run_command("cache", cache)


def cache(cfg: DictConfig) -> dict[str, Any]:
    """Does what `action` says and returns what cache.json holds."""
    from anemia_lightning.caching import manage_cache

    return manage_cache(cfg)


if __name__ == "__main__":
    main()
