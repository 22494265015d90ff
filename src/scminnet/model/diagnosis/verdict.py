"""What a diagnosis looks like: the checks' limits and advice, and the table that the user gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

VERDICTS = ("inside", "borderline", "outside")

COLUMNS = ["check", "modality", "value", "expected", "verdict", "advice"]


class Check(NamedTuple):
    """How one check is judged and what it says."""

    is_cause: bool
    """Says why rather than whether: by itself it makes a query borderline at most."""
    limits: tuple[float, float]
    """Value / expected up to which it is inside, and up to which borderline (see ``docs/decisions.md``)."""
    fine: str
    """One line where the query is inside."""
    advice: str
    """One line where it is not."""


CHECKS: dict[str, Check] = {
    "features": Check(
        True,
        (0.9, 0.5),
        "the features that the model relies on are there",
        "features that the model relies on are missing or never vary: name and measure them as in the reference; few cells lack rare ones, too",
    ),
    "scale": Check(
        True,
        (1 / 1.5, 1 / 3),
        "values are as large as the reference's",
        "values are larger or smaller than the reference's: normalise alike; never use statistics='reference' before",
    ),
    "levels": Check(
        True,
        (0.9, 0.5),
        "the same features are high as in the reference",
        "the features that are high are not the reference's: another tissue or species, few of its types, mixed-up names, or raw counts",
    ),
    "statistics": Check(
        True,
        (0.9, 0.0),
        "cells lie no nearer to the reference's when standardised the other way",
        "cells lie nearer when standardised the other way: embed with statistics={other!r} if their types are few or their shares unusual",
    ),
    "signal": Check(
        False,
        (0.6, 0.2),
        "features vary together as in the reference",
        "features do not vary together as in the reference: too few of them, shallow sequencing, few types, or another tissue",
    ),
    "near": Check(
        False,
        (0.9, 0.7),
        "cells lie as near to the reference's as its own",
        "cells lie far from the reference's: types that it lacks, or another tissue; trust no label there, look at the other checks for the cause",
    ),
    "confidence": Check(
        False,
        (0.9, 0.7),
        "types are as clear as in the reference",
        "types are less clear than in the reference: read predict(soft=True), and leave doubtful cells without a type",
    ),
    "mixing": Check(
        False,
        (0.85, 0.5),
        "the modalities lie among each other as in the reference",
        "the modalities lie apart: cells of one are no good neighbours of the other's; match and transfer with care, or not at all",
    ),
    "pairs": Check(
        False,
        (1 / 1.5, 1 / 3),
        "cells measured twice find themselves as well as in the reference",
        "cells measured twice do not find themselves as well as in the reference: the modalities are not aligned for these cells",
    ),
}  # fmt: skip

#: Where the model can not tell.
UNKNOWN = "not judged: too few cells held out of the reference (`train_size`), or in the query; for mixing, of one type in both modalities; for levels, the reference's own batches do not agree"

#: Checks of which less is better, and which shall be neither more nor less.
_LESS_IS_BETTER = {"statistics", "pairs"}
_EITHER_WAY = {"scale"}


def judge(check: str, value: float | None, expected: float | None) -> str:
    """Return the verdict on a value; ``"unknown"`` where there is no value or nothing to hold it against."""
    as_much_as_expected = check not in _LESS_IS_BETTER | _EITHER_WAY
    # what the reference's own cells do not show can not be asked of others
    if value is None or expected is None or (as_much_as_expected and expected <= 0):
        return "unknown"
    if check in _LESS_IS_BETTER:
        ratio = expected / value if value > 0 else 1.0
    elif check in _EITHER_WAY:
        ratio = min(value, expected) / max(value, expected) if min(value, expected) > 0 else 0.0
    else:
        ratio = value / expected
    inside, borderline = CHECKS[check].limits
    return VERDICTS[0] if ratio >= inside else VERDICTS[1] if ratio >= borderline else VERDICTS[2]


class Finding(NamedTuple):
    """A check of a modality, or of several, before it is judged."""

    check: str
    modality: str
    value: float | None
    expected: float | None


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """What :meth:`scminnet.MinNet.diagnose` found; prints itself as a table with advice.

    Attributes
    ----------
    verdict
        ``"outside"``: of what tells whether the embedding can be used (``signal``, ``near``, ``confidence``, ``mixing``, ``pairs``; and ``levels``, where the query is
        standardised by its own statistics), something is far from the reference. ``"inside"``: all that can be judged is as in the reference.
        ``"borderline"``: anything between. ``"unknown"``: too few cells for any of the first five.
    table
        One row a check and modality: ``check``, ``modality`` (``"rna, atac"``: both together), ``value``, ``expected`` (what the reference's own cells would
        have), ``verdict`` and ``advice``, one line. NaN where there is nothing to tell.
    n_cells
        Cells of the query by modality.
    """

    verdict: str
    table: pd.DataFrame
    n_cells: dict[str, int]

    def __repr__(self) -> str:
        table = self.table.drop(columns="advice")
        lines = [self._headline(), "", table.to_string(index=False, float_format="{:.2f}".format, na_rep="-")]
        advice = self._to_mind()
        if len(advice):
            lines += ["", *(f"{row.check} ({row.modality}): {row.advice}" for row in advice.itertuples())]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        table = self.table.to_html(index=False, float_format="{:.2f}".format, na_rep="-", border=0)
        return f"<p>{self._headline()}</p>\n{table}"

    def _headline(self) -> str:
        cells = ", ".join(f"{n:,} cells of {m}" for m, n in self.n_cells.items())
        where = {
            "inside": "lies inside the reference's range",
            "borderline": "lies on the border of the reference's range",
            "outside": "lies outside the reference's range",
            "unknown": "can not be judged",
        }[self.verdict]
        return f"The query ({cells}) {where}."

    def _to_mind(self) -> pd.DataFrame:
        return self.table[self.table["verdict"] != VERDICTS[0]]


def summarise(findings: list[Finding], n_cells: Mapping[str, int], statistics: str) -> Diagnosis:
    """Judge findings and put them into a table.

    Parameters
    ----------
    findings
        What was found, in any order.
    n_cells
        Cells of the query by modality.
    statistics
        How the query was standardised, ``"query"`` or ``"reference"``.
    """
    other = "reference" if statistics == "query" else "query"
    order = list(CHECKS)
    rows = []
    for finding in sorted(findings, key=lambda f: order.index(f.check)):
        verdict = judge(finding.check, finding.value, finding.expected)
        check = CHECKS[finding.check]
        text = UNKNOWN if verdict == "unknown" else check.fine if verdict == VERDICTS[0] else check.advice
        rows.append((*finding, verdict, text.format(other=other)))
    table = pd.DataFrame(rows, columns=COLUMNS).astype({"value": float, "expected": float})
    return Diagnosis(_overall(table, statistics), table, dict(n_cells))


def _overall(table: pd.DataFrame, statistics: str) -> str:
    causes = [name for name, check in CHECKS.items() if check.is_cause]
    of_cause = table["check"].isin(causes)
    symptoms = set(table.loc[~of_cause, "verdict"])
    # standardised by its own statistics a query must be composed like the reference; cell by cell it need not
    elsewhere = statistics == "query" and "outside" in set(table.loc[table["check"] == "levels", "verdict"])
    if "outside" in symptoms or elsewhere:
        return "outside"
    if symptoms <= {"unknown"}:
        return "unknown"
    return "borderline" if set(table["verdict"]) - {"inside", "unknown"} else "inside"
