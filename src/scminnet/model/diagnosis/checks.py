"""The checks of a diagnosis: limits and advice. Add a check here, and compute its value in ``diagnose.py``."""

from __future__ import annotations

from typing import NamedTuple


class Check(NamedTuple):
    """Limits and texts of one check."""

    is_cause: bool
    """Explains a problem rather than shows one. Alone it makes a query borderline at most."""
    limits: tuple[float, float]
    """Smallest value / expected that is inside, and that is borderline (see ``docs/decisions.md``)."""
    fine: str
    """One line for a query that is inside."""
    advice: str
    """One line for a query that is not."""


CHECKS: dict[str, Check] = {
    "features": Check(
        True,
        (0.9, 0.5),
        "the features that the model relies on are present",
        "features that the model relies on are missing or constant: name and measure them as in the reference; "
        "a query of few cells may lack rare features",
    ),
    "scale": Check(
        True,
        (1 / 1.5, 1 / 3),
        "values are as large as in the reference",
        "values are larger or smaller than in the reference: normalise the query like the reference; "
        "do not use statistics='reference' before",
    ),
    "levels": Check(
        True,
        (0.9, 0.5),
        "feature means agree with the reference",
        "feature means differ from the reference: another tissue or species, few of its cell types, wrong feature "
        "names, or raw counts",
    ),
    "statistics": Check(
        True,
        (0.9, 0.0),
        "cells lie no nearer to the reference with the other statistics",
        "cells lie nearer to the reference with the other statistics: embed with statistics={other!r} if the query has "
        "few cell types or unusual proportions",
    ),
    "signal": Check(
        False,
        (0.6, 0.2),
        "features vary together as in the reference",
        "features do not vary together as in the reference: too few features, shallow sequencing, few cell types, or "
        "another tissue",
    ),
    "near": Check(
        False,
        (0.9, 0.7),
        "cells lie as near to the reference as held-out reference cells",
        "cells lie far from the reference: cell types that it lacks, or another tissue; do not trust labels of these "
        "cells, and find the cause in the other checks",
    ),
    "confidence": Check(
        False,
        (0.9, 0.7),
        "cell types are as certain as in the reference",
        "cell types are less certain than in the reference: see predict(soft=True), leave uncertain cells unlabelled",
    ),
    "mixing": Check(
        False,
        (0.85, 0.5),
        "the modalities mix as well as in the reference",
        "the modalities mix less than in the reference: match cells and transfer labels with care, or not at all",
    ),
    "pairs": Check(
        False,
        (1 / 1.5, 1 / 3),
        "paired cells match as well as in the reference",
        "paired cells match less well than in the reference: the modalities are not aligned for these cells",
    ),
    "links": Check(
        False,
        (1.0, 1.0),
        "feature links that were left out of the coupling agree",
        "feature links that were left out of the coupling do not agree clearly better than shuffled links: check "
        "tissue, species and links of both modalities, link more features, or add cells",
    ),
    "neighbor_mixing": Check(
        False,
        (1.0, 0.5),
        "the modalities lie together",
        "the modalities lie apart: see whether they hold the same cell types and whether the links are right; labels "
        "and partners come from distant cells",
    ),
    "partners": Check(
        True,
        (0.95, 0.0),
        "nearly all coupled cells have a partner",
        "many coupled cells have no partner: the other modality may lack their cell types; leave out the cells that "
        "model.unmatched_cells() names, or use their labels with care",
    ),
}  # fmt: skip

#: Text of a check that can not be judged.
UNKNOWN = (
    "not judged: too few cells in the query or held out of the reference (`train_size`); for mixing, too few cells of "
    "any cell type in both modalities; for levels, the reference's own batches disagree"
)

#: Checks for which less is better, and those for which both more and less are worse.
LESS_IS_BETTER = {"statistics", "pairs"}
EITHER_WAY = {"scale"}
