"""Command: how much faster than a plain PyTorch loop, on this machine and these photographs."""

from collections.abc import Mapping

from omegaconf import DictConfig

from anemia_lightning.command_line.cli import run_command


def main() -> None:
    """Entry point of `anemia-benchmark` and `python -m anemia_lightning.benchmark`."""
    run_command("benchmark", benchmark, can_resume=True, fixed=_fixed)


def benchmark(cfg: DictConfig) -> "object":
    """Measures as the settings say and returns the `BenchmarkResult`."""
    from anemia_lightning.benchmarks.benchmarking import compare_arms

    return compare_arms(cfg)


def _fixed(cfg: DictConfig) -> Mapping[str, object]:
    from anemia_lightning.benchmarks.rules import fixed_settings

    return fixed_settings(cfg)


if __name__ == "__main__":
    main()
