"""The verdict of a diagnosis, and the table that the user gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from scminnet.model.diagnosis.checks import CHECKS, EITHER_WAY, LESS_IS_BETTER, UNKNOWN

VERDICTS = ("inside", "borderline", "outside")

COLUMNS = ["check", "modality", "value", "expected", "verdict", "advice"]


def judge(check: str, value: float | None, expected: float | None) -> str:
    """Return the verdict on a value. ``"unknown"`` if there is no value or nothing to compare it with."""
    as_much_as_expected = check not in LESS_IS_BETTER | EITHER_WAY
    # a query can not be expected to show what the reference's held-out cells do not
    if value is None or expected is None or (as_much_as_expected and expected <= 0):
        return "unknown"
    if check in LESS_IS_BETTER:
        ratio = expected / value if value > 0 else 1.0
    elif check in EITHER_WAY:
        ratio = min(value, expected) / max(value, expected) if min(value, expected) > 0 else 0.0
    else:
        ratio = value / expected
    inside, borderline = CHECKS[check].limits
    return VERDICTS[0] if ratio >= inside else VERDICTS[1] if ratio >= borderline else VERDICTS[2]


class Finding(NamedTuple):
    """Result of a check for a modality or a pair of modalities, before it is judged."""

    check: str
    modality: str
    value: float | None
    expected: float | None
    verdict: str | None = None
    """``None``: by value and expectation, see :func:`judge`."""


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """Result of :meth:`scminnet.MinNet.diagnose`. It prints as a table with advice.

    Attributes
    ----------
    verdict
        ``"outside"``: at least one of ``signal``, ``near``, ``confidence``, ``mixing`` and ``pairs`` is far from the
        reference, or ``links`` that were left out of the coupling do not agree, or the coupled modalities lie apart
        (``neighbor_mixing``). ``levels`` also counts if the query is standardised by its own statistics.
        ``"inside"``: everything that can be judged is as in the reference. ``"unknown"``: too
        few cells for any of the first five checks. ``"borderline"``: all other cases.
    table
        One row per check and modality. Columns: ``check``, ``modality`` (``"rna, atac"``: both together), ``value``,
        ``expected`` (value for the reference's own cells), ``verdict`` and ``advice`` (one line). NaN if a value is
        missing.
    n_cells
        Cells of the query by modality.
    """

    verdict: str
    table: pd.DataFrame
    n_cells: dict[str, int]

    def is_cause(self) -> pd.Series:
        """Tell which rows of ``table`` explain a problem. The others show one."""
        return self.table["check"].map({name: check.is_cause for name, check in CHECKS.items()}).astype(bool)

    def __repr__(self) -> str:
        table = self.table.drop(columns="advice")
        lines = [self._headline(), "", table.to_string(index=False, float_format="{:.2f}".format, na_rep="-")]
        advice = self._not_inside()
        if len(advice):
            lines += ["", *(f"{row.check} ({row.modality}): {row.advice}" for row in advice.itertuples())]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        table = self.table.to_html(index=False, float_format="{:.2f}".format, na_rep="-", border=0)
        return f"<p>{self._headline()}</p>\n{table}"

    def _headline(self) -> str:
        links = self.table.loc[self.table["check"] == "links", "verdict"]
        if VERDICTS[2] in set(links):
            return "The coupling can not be trusted."
        cells = ", ".join(f"{n:,} cells of {m}" for m, n in self.n_cells.items())
        where = {
            "inside": "lies inside the reference's range",
            "borderline": "lies on the border of the reference's range",
            "outside": "lies outside the reference's range",
            "unknown": "can not be judged",
        }[self.verdict]
        return f"The query ({cells}) {where}."

    def _not_inside(self) -> pd.DataFrame:
        return self.table[self.table["verdict"] != VERDICTS[0]]


def summarise(findings: list[Finding], n_cells: Mapping[str, int], statistics: str) -> Diagnosis:
    """Judge the findings and put them into a table.

    Parameters
    ----------
    findings
        The findings, in any order.
    n_cells
        Cells of the query by modality.
    statistics
        How the query was standardised, ``"query"`` or ``"reference"``.
    """
    other = "reference" if statistics == "query" else "query"
    order = list(CHECKS)
    rows = []
    for finding in sorted(findings, key=lambda f: order.index(f.check)):
        verdict = finding.verdict or judge(finding.check, finding.value, finding.expected)
        check = CHECKS[finding.check]
        text = UNKNOWN if verdict == "unknown" else check.fine if verdict == VERDICTS[0] else check.advice
        rows.append((*finding[:4], verdict, text.format(other=other)))
    table = pd.DataFrame(rows, columns=COLUMNS).astype({"value": float, "expected": float})
    return Diagnosis(_overall(table, statistics), table, dict(n_cells))


def _overall(table: pd.DataFrame, statistics: str) -> str:
    causes = [name for name, check in CHECKS.items() if check.is_cause]
    of_cause = table["check"].isin(causes)
    symptoms = set(table.loc[~of_cause, "verdict"])
    # a query standardised by its own statistics must have the reference's composition
    other_composition = statistics == "query" and "outside" in set(table.loc[table["check"] == "levels", "verdict"])
    if "outside" in symptoms or other_composition:
        return "outside"
    if symptoms <= {"unknown"}:
        return "unknown"
    return "borderline" if set(table["verdict"]) - {"inside", "unknown"} else "inside"
