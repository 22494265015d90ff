"""The report: one page that says what went in, whether it can be trusted, and what came out."""

from scminnet.reporting.report import report

__all__ = ["report"]
