"""What a run has to say to people: its HTML report."""

from anemia_lightning.report.html import NOTICE, write_report

__all__ = ["NOTICE", "write_report"]
