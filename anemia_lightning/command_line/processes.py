"""The processes of a distributed run: which one leads, and who has started how many.

Nothing heavy is imported here: each command asks it before it works.
"""

import os
from typing import TYPE_CHECKING

from anemia_lightning.errors import ConfigError

if TYPE_CHECKING:
    from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment


def is_first_process() -> bool:
    """Returns whether this process leads; the others of a distributed run were started by it or beside it."""
    if "RANK" in os.environ:
        return os.environ["RANK"] == "0"
    # All of them: in an interactive session SLURM says 0 to whatever is started there.
    return all(os.environ.get(name, "0") == "0" for name in ("LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"))


def was_started_to_help() -> bool:
    """Returns whether a process of this run has started this one; torchrun and SLURM look after what they start."""
    return os.environ.get("LOCAL_RANK", "0") != "0" and "RANK" not in os.environ


def check_processes(devices: int, *, nodes: int) -> None:
    """Asserts that whoever has started several processes has started as many as `trainer` asks for.

    Args:
        devices: Of each machine.
        nodes: How many machines there are.

    Raises:
        ConfigError: If not.
    """
    starter, started = _who_started()
    if started not in (1, devices * nodes):
        raise ConfigError(
            [
                f"{starter} has started {started} processes, but trainer.devices={devices} and "
                f"trainer.num_nodes={nodes} ask for {devices * nodes}: let it start as many, or set these alike."
            ]
        )
    for environment in environments(is_alone=devices * nodes == 1):
        try:
            environment.validate_settings(num_devices=devices, num_nodes=nodes)
        except ValueError as error:
            raise ConfigError([f"Lightning refuses how SLURM has started this process: {error}"]) from error


def environments(*, is_alone: bool) -> "list[ClusterEnvironment]":
    """Returns who tells the processes of a Trainer apart, where Lightning is not to find that out itself.

    Who works alone asks nobody, whatever job it is part of. Among the tasks of a SLURM job Lightning would answer
    SIGUSR1 with a checkpoint of its own, from which nothing of ours goes on, and queue the job again, to begin anew.

    Args:
        is_alone: Whether the Trainer has one process.

    Raises:
        ConfigError: If the tasks were started in a way that Lightning does not know.
    """
    from lightning.fabric.plugins.environments.lightning import LightningEnvironment
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    if is_alone:
        return [LightningEnvironment()]
    if TorchElasticEnvironment.detect() or not SLURMEnvironment.detect():
        return []
    try:
        return [SLURMEnvironment(auto_requeue=False)]
    except RuntimeError as error:
        raise ConfigError([f"Lightning refuses how SLURM has started this process: {error}"]) from error


def _who_started() -> tuple[str, int]:
    """Returns who has started this process, and how many in all; of what Lightning has started nobody else knows."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return "torchrun", int(os.environ["WORLD_SIZE"])
    if "LOCAL_RANK" in os.environ:
        return "Lightning", 1
    return "srun", int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))
