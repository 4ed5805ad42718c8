"""One process of a distributed run leads, whoever has started them."""

import pytest

from anemia_lightning.command_line.processes import is_first_process, was_started_to_help


@pytest.mark.parametrize(
    ("ranks", "leads", "helps"),
    [
        ({}, True, False),
        ({"LOCAL_RANK": "0", "NODE_RANK": "0"}, True, False),
        ({"LOCAL_RANK": "1", "NODE_RANK": "0"}, False, True),
        ({"LOCAL_RANK": "0", "NODE_RANK": "1"}, False, False),
        # In an interactive session of SLURM.
        ({"SLURM_PROCID": "0"}, True, False),
        ({"LOCAL_RANK": "1", "SLURM_PROCID": "0"}, False, True),
        # As a job of it.
        ({"SLURM_PROCID": "1"}, False, False),
        # By torchrun.
        ({"RANK": "0", "LOCAL_RANK": "0", "SLURM_PROCID": "3"}, True, False),
        ({"RANK": "1", "LOCAL_RANK": "1"}, False, False),
        ({"RANK": "2", "LOCAL_RANK": "0"}, False, False),
    ],
    ids=str,
)
def test_one_process_leads(ranks: dict[str, str], *, leads: bool, helps: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ranks.items():
        monkeypatch.setenv(name, value)
    assert (is_first_process(), was_started_to_help()) == (leads, helps)
