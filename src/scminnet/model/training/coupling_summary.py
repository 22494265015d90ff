"""Summarises a coupling for the saved model, and says in one line how far it can be trusted."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scminnet._core.logging import logger
from scminnet.coupling.unmatched import Partners
from scminnet.model.diagnosis.coupling_trust import PairSummary, SideSummary
from scminnet.model.training.coupled_cells import CoupledCells
from scminnet.model.training.training_data import TrainingData


def summarise_couplings(
    coupled: Mapping[tuple[str, str], CoupledCells], cell_names: np.ndarray, data: TrainingData
) -> dict[str, PairSummary]:
    """Summarise each coupling, and log how far it can be trusted.

    Parameters
    ----------
    coupled
        By pair of modalities, the coupled cells.
    cell_names
        Names of the training's cells: the reference's, and the query's after these.
    data
        The training's cells.
    """
    types = np.array([*data.types, ""], dtype=str)[data.labels]
    return {
        f"{a}, {b}": summarise_coupling(found, (a, b), data.features, cell_names, types, data.batches)
        for (a, b), found in coupled.items()
    }


def summarise_coupling(
    found: CoupledCells,
    modalities: tuple[str, str],
    features: Mapping[str, np.ndarray],
    cell_names: np.ndarray,
    types: np.ndarray,
    batches: np.ndarray,
) -> PairSummary:
    """Summarise the coupling of two modalities, and log it.

    Parameters
    ----------
    found
        The coupled cells.
    modalities
        Their modalities.
    features
        By modality, names of the features.
    cell_names
        Names of the training's cells: the reference's, and the query's after these.
    types
        Cell type of each cell of the reference, empty where unknown.
    batches
        Batch of each cell of the reference.
    """
    trust, links = found.trust, found.trust.links
    names = np.asarray(features[modalities[trust.link_side]], dtype=str)[trust.link_features]
    summary = PairSummary(
        verdict=links.verdict,
        agreement=links.mean,
        shuffled=links.shuffled,
        p_value=links.p_value,
        links=dict(zip(names.tolist(), links.by_link.astype(float).tolist(), strict=True)),
        sides={
            m: _side(cells, partners, cell_names, types, batches)
            for m, cells, partners in zip(modalities, found.cells, trust.partners, strict=True)
        },
    )
    _log(summary, modalities)
    return summary


def _side(
    cells: np.ndarray, partners: Partners, names: np.ndarray, types: np.ndarray, batches: np.ndarray
) -> SideSummary:
    unmatched = partners.unmatched
    of_reference = cells < len(types)
    known = cells[of_reference], unmatched[of_reference]
    return SideSummary(
        cells=names[cells],
        price=partners.price,
        p_value=partners.p_value,
        unmatched=unmatched,
        with_partner=float(1 - unmatched.mean()),
        with_partner_by_type=_shares(types, *known),
        with_partner_by_batch=_shares(batches, *known),
    )


def _shares(values: np.ndarray, cells: np.ndarray, unmatched: np.ndarray) -> dict[str, float]:
    """Return the share of cells with a partner by value. Unknown values are left out."""
    of_cells = values[cells]
    return {str(v): float(1 - unmatched[of_cells == v].mean()) for v in np.unique(of_cells) if v}


def _log(summary: PairSummary, modalities: tuple[str, str]) -> None:
    first, second = modalities
    lowest, highest = summary["shuffled"].min(), summary["shuffled"].max()
    figures = (
        f"left-out feature links agree with r = {summary['agreement']:.2f}, shuffled links with {lowest:.2f} to "
        f"{highest:.2f}"
    )
    if summary["verdict"] == "holds":
        logger.info("the coupling of %s and %s holds: %s", first, second, figures)
    elif summary["verdict"] == "uncertain":
        logger.warning(
            "the coupling of %s and %s is uncertain: %s. Link more features or add cells, and check the result with "
            "known markers.", first, second, figures,
        )  # fmt: skip
    else:
        logger.warning(
            "the coupling of %s and %s can not be trusted: %s. Check that both are of the same tissue and species, and "
            "that the links (`scminnet.pp.feature_links`) join the right features. Few cells or links can be the "
            "cause, too.",
            first,
            second,
            figures,
        )
    for m, side in summary["sides"].items():
        if side["unmatched"].any() and summary["verdict"] != "fails":
            n = int(side["unmatched"].sum())
            logger.info(
                "%s of %s coupled cells of %s have no partner (`model.unmatched_cells()`)",
                f"{n:,}",
                f"{len(side['cells']):,}",
                m,
            )
