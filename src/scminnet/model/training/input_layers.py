"""Fits the input layers of a training, and couples the unpaired cells by the principal components."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scminnet.coupling.couple import MANY_LINKS, RHO, Pairs
from scminnet.coupling.linked_features import LinkedFeatures
from scminnet.model.data.moments import feature_moments
from scminnet.model.data.peak_features import are_peaks
from scminnet.model.network.canonical import Components, Moments, PairedCovariances, fit_projections
from scminnet.model.network.module import SiameseModule
from scminnet.model.recipe import Recipe
from scminnet.model.training.checkpoint import module_state
from scminnet.model.training.coupled_cells import CoupledCells, check_links_vary, couple_parts
from scminnet.model.training.evidence import Evidence, ModalityPair
from scminnet.model.training.training_data import TrainingData


def varying_moments(matrices: Mapping[str, Any], evidence: Evidence) -> dict[str, Moments]:
    """Return the mean and deviation of each modality's features.

    Raises
    ------
    ValueError
        No feature of a modality varies, or hardly any feature link joins features that vary.
    """
    moments = {m: feature_moments(matrix) for m, matrix in matrices.items()}
    for m, (_, std) in moments.items():
        if not std.any():
            raise ValueError(
                f"modality {m!r} of `mdata` has no feature that varies: each has one value in all cells. Give other "
                "values, e.g. by `layers` of `setup_mudata`, or leave the modality out."
            )
    for (a, b), parts in evidence.coupled.items():
        check_links_vary(parts, evidence.links[a, b], (moments[a], moments[b]), (a, b))
    return moments


def fit_input_layers(
    module: SiameseModule,
    data: TrainingData,
    moments: Mapping[str, Moments],
    train: np.ndarray,
    recipe: Recipe,
    evidence: Evidence,
    earlier: dict[str, Any] | None,
    *,
    is_trained: bool,
    seed: int,
) -> dict[ModalityPair, CoupledCells]:
    """Fit the input layers and return the coupled cells.

    Input layers of an earlier training are kept. The components are then fitted only if cells are coupled by them.

    Parameters
    ----------
    module
        Its input layers are set. The weights of ``earlier`` are loaded, if given.
    data
        The reference's cells, and the query's.
    moments
        By modality, mean and standard deviation of each feature. Not needed if the model was trained before and no
        cells are coupled.
    train
        Training cells.
    recipe
        The hyperparameters.
    evidence
        Names the cells to couple.
    earlier
        State of the interrupted training that this one resumes; ``None``: it starts anew.
    is_trained
        Whether the model was trained before.
    seed
        Seed of the components, of the coupling and of the partners.

    Returns
    -------
    By pair of modalities, the coupled cells.
    """
    coupled: dict[ModalityPair, CoupledCells] = {}
    keep = is_trained or earlier is not None
    if keep and not evidence.coupled:
        if earlier is not None:
            # the state holds the input layers too, by which the cells are projected before training
            module.load_state_dict(module_state(earlier))
        return coupled

    def couple(components: Mapping[str, Components], paired: PairedCovariances) -> dict[ModalityPair, np.ndarray]:
        """Couple the cells by their components, and return the covariances that the canonical axes need."""
        for (a, b), parts in evidence.coupled.items():
            fitted = components[a], components[b]
            pairs = Pairs(*paired[a, b]) if (a, b) in paired else None
            coupled[a, b] = couple_parts(
                *parts, fitted, evidence.links[a, b], names=(a, b), pairs=pairs, rho=RHO, seed=seed
            )
        return {pair: found.coupling.covariance for pair, found in coupled.items()}

    projections = {}
    # a learned input layer weighs the features itself, and is the paper's
    peaks = {m: are_peaks(names) & (recipe.input_layer == "canonical") for m, names in data.features.items()}
    if recipe.input_layer == "canonical":
        projections = fit_projections(
            data.matrices,
            moments,
            peaks,
            data.positions[train],
            # coupled cells estimate more components than a small paired reference with its query
            n_components=recipe.components(with_query=bool(data.query) and not evidence.coupled),
            n_canonical=recipe.canonical(len(data.matrices)),
            seed=seed,
            query=data.query,
            couple=couple if evidence.coupled else None,
            linked=_many_linked(evidence),
        )
    if earlier is not None:
        module.load_state_dict(module_state(earlier))
    elif not keep:
        for modality, (mean, std) in moments.items():
            module.encoder(modality).input.set_moments(mean, std, peaks[modality])
        for modality, (weight, bias) in projections.items():
            module.encoder(modality).input.set_weights(weight, bias)
    return coupled


def _many_linked(evidence: Evidence) -> dict[ModalityPair, LinkedFeatures]:
    """Return the linked features of the modalities that have many."""
    linked = {pair: LinkedFeatures.of(links) for pair, links in evidence.links.items()}
    return {pair: found for pair, found in linked.items() if len(found.weights) >= MANY_LINKS}
