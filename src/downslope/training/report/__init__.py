"""The report of a run, or of several laid over one another: one page that needs no network and no script."""

from downslope.training.report.page import write_report

__all__ = ["write_report"]
