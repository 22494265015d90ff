"""Diagnosis: whether a query lies within the range of the model's reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from mudata import MuData

from scminnet._core.argument_types import check_types
from scminnet._core.matrices import read_rows
from scminnet._core.mdata import layer_matrix
from scminnet.metrics.foscttm import foscttm
from scminnet.model.data.moments import feature_moments
from scminnet.model.data.sparse_rows import as_row_matrix
from scminnet.model.diagnosis.coupling_trust import PairSummary, coupling_findings, unmatched_table
from scminnet.model.diagnosis.reference_range import (
    MIN_HELD_OUT,
    QUANTILE,
    ReferenceRange,
    distance_to,
    input_weight,
    most_probable,
    varying_share,
)
from scminnet.model.diagnosis.statistics import (
    Typed,
    expected_level_correlation,
    level_correlation,
    level_ratio,
    modality_mixing,
)
from scminnet.model.diagnosis.verdict import Diagnosis, Finding, judge, summarise
from scminnet.model.inference.embed import EmbeddingMixin, Statistics
from scminnet.model.inference.forward_pass import MIN_CELLS_FOR_STATISTICS, embed_projected, project_rows
from scminnet.model.network.module import SiameseModule, modality_pairs

#: Largest number of embedded cells per modality. Shares are then accurate to one percent.
MAX_CELLS = 4000

Moments = tuple[np.ndarray, np.ndarray]


class EmbeddedSample(NamedTuple):
    """Some cells of a modality, embedded."""

    projected: np.ndarray
    """Output of the input layer."""
    embedding: np.ndarray
    """By the reference's batch norm."""
    probabilities: np.ndarray

    @property
    def signal(self) -> float:
        """Variance of the input layer's output, summed over its dimensions."""
        return float(self.projected.var(axis=0, ddof=1).sum()) if len(self.projected) > 1 else 0.0

    @property
    def typed(self) -> Typed:
        """The cells with their predicted types."""
        return Typed(self.embedding, most_probable(self.probabilities))


def _embed_sample(module: SiameseModule, matrix: Any, modality: str, moments: Moments | None) -> EmbeddedSample:
    projected = project_rows(module, matrix, modality, moments=moments)
    # batch norm with the reference's statistics, because the query's would hide a difference from the reference
    return EmbeddedSample(projected, *embed_projected(module, projected, modality))


class DiagnoseMixin(EmbeddingMixin):
    """``diagnose`` of :class:`~scminnet.MinNet`."""

    #: Range of the reference, set when training ends. ``None`` before, in checkpoints and in models of older versions.
    reference_range_: ReferenceRange | None = None

    #: By pair of modalities (``"rna, adt"``), what the last training found of its coupling: see
    #: :class:`~scminnet.model.diagnosis.coupling_trust.PairSummary`. ``None`` or empty without a coupling.
    coupling_: dict[str, PairSummary] | None = None

    def unmatched_cells(self) -> pd.DataFrame:
        """Tell which of the training's coupled cells lack a partner in the other modality.

        Cells lack a partner if the other modality has no cells like them, for example because it lacks their cell type.
        Their embedding relies on the wrong cells.

        Returns
        -------
        One row for each coupled cell, indexed by its name. Cells of a ``query`` in the training are included, paired
        cells are not. The columns:

        ``modality``, ``other``
            The cell's modality, and that of its partners.
        ``price``
            How much more the partners differ from the cell than the typical cell's do. Costs are between 0 and 2.
        ``p_value``
            Probability of so weak a counterpart if the other modality had such cells. It compares the linked features
            that distinguish a cluster of about 60 cells. NaN with fewer than 60 links, and for clusters that differ
            little from others.
        ``unmatched``
            Whether the price is above 0.15 or the p value below 0.05.

        Raises
        ------
        RuntimeError
            The model is not trained.
        ValueError
            The training coupled no cells.

        Examples
        --------
        >>> cells = model.unmatched_cells().query("modality == 'rna' and unmatched")
        >>> mdata["rna"].obs["no_partner"] = mdata["rna"].obs_names.isin(cells.index)
        """
        self._check_if_trained(warn=False, message="the model is not trained. Call `train` first.")
        if not self.coupling_:
            raise ValueError(
                "the training coupled no cells, so none lacks a partner. A coupling needs unpaired cells and feature "
                "links (`scminnet.pp.feature_links`)."
            )
        return unmatched_table(self.coupling_)

    @check_types
    def diagnose(self, mdata: MuData | None = None, *, statistics: Statistics = "query", seed: int = 0) -> Diagnosis:
        """Check whether a query lies within the range of the reference, so that its embedding can be trusted.

        A network embeds any cell and predicts a type for it. This method compares the query with what the model keeps
        of its reference: a sample of the training cells, and statistics of the held-out cells (``train_size``). It
        needs neither the reference's data nor the query's labels or pairs, and does not train.

        Parameters
        ----------
        mdata
            The query, as in :meth:`get_latent_representation`. It is not changed. ``None``: the model's own data.
        statistics
            Statistics that standardise the query: choose them as for the embedding.
        seed
            Seed of the samples. At most 4,000 cells of a modality are embedded.

        Returns
        -------
        :class:`~scminnet.model.Diagnosis`, with an overall ``verdict`` and a ``table``. Each check compares a value
        with its expectation.

        ``features``
            Share of the input layer's weight on features that vary in the query. Expected: the same among the held-out
            cells.
        ``scale``
            Mean value of these features, as a multiple of the reference's. Expected: 1. Left out if the mean of a
            feature is negative in the reference, as those of real values are.
        ``levels``
            Correlation of the features' means with the reference's. Expected: the lower of two correlations, that of as
            many cells drawn from the reference, and that of a batch of the reference with the other batches.
        ``statistics``
            ``near`` with the other choice of ``statistics``. Expected: at most ``near``. A larger value means that the
            other choice suits the query better. Left out if ``levels`` is outside or there are too few cells.
        ``signal``
            Variance of the input layer's output, summed over its dimensions. Expected: that of the held-out cells.
        ``near``
            Share of cells within the distance limit. A cell's distance is the mean over its 10 nearest training cells
            of the modality (of 4,000 at most). The limit is the distance that 95 % of the held-out cells do not exceed.
            Expected: 0.95.
        ``confidence``
            Share of cells whose predicted type is at least as probable as in 95 % of the held-out cells. Expected:
            0.95.
        ``mixing``
            For two modalities: share of the other modality among the 10 nearest neighbours, as a multiple of chance,
            within predicted types. Expected: that of as many held-out cells.
        ``pairs``
            For two modalities with at least 20 cells in common: their FOSCTTM (lower is better). Expected: that of the
            held-out cells.

        Three more checks judge the coupling, if ``mdata`` is the model's own data and it was trained with one.

        ``links``
            Mean correlation of linked features across cells that were coupled without these links. Expected: more than
            with shuffled links, of which the largest value is shown. ``"inside"``: shuffled links agree as well with a
            probability below 0.01. ``"borderline"``: below 0.1.
        ``neighbor_mixing``
            :func:`scminnet.metrics.neighbor_mixing` of both modalities. Expected: at least 0.25. Modalities that lie
            apart can look well in all other checks.
        ``partners``
            Share of a modality's coupled cells with a partner (see :meth:`unmatched_cells`). Expected: 1.

        How well each check works is measured in ``benchmarks/results/diagnose.md``.

        Raises
        ------
        TypeError
            An argument is of the wrong type.
        RuntimeError
            The model is not trained.
        ValueError
            As in :meth:`get_latent_representation`. Or the model was trained by a version that keeps nothing of the
            reference.

        Examples
        --------
        >>> diagnosis = model.diagnose(query)
        >>> diagnosis.verdict
        'inside'
        >>> diagnosis.table.query("verdict != 'inside'")
        """
        cells = self._checked(mdata, None, statistics)
        modalities, positions = cells.modalities, cells.positions
        if self.reference_range_ is None:
            raise ValueError(
                "the model keeps nothing of its reference to compare a query with: its training was not finished "
                "(a checkpoint holds weights only), or it was trained by an older version. "
                "Use the model after `train`, or train again."
            )
        # cells are drawn rather than rows, so that paired cells are drawn in both modalities
        order = np.random.default_rng(seed).permutation(len(positions))
        drawn = {m: order[positions[order, i] >= 0][:MAX_CELLS] for i, m in enumerate(modalities)}
        findings: list[Finding] = []
        samples: dict[str, EmbeddedSample] = {}
        for i, m in enumerate(modalities):
            matrix = as_row_matrix(layer_matrix(cells.aligned, m, self._layers[m]))
            rows = positions[drawn[m], i]
            samples[m], found = _modality_findings(
                self.module, self.reference_range_, matrix, m, rows, statistics=statistics, seed=seed
            )
            findings += found
        for a, b in modality_pairs(modalities):
            findings += _pair_findings(self.reference_range_, a, b, samples, drawn, seed=seed)
        if (mdata is None or mdata is self.adata) and self.coupling_:
            # in the embedding that users get
            embeddings = {m: self._embed_projected(sample.projected, m, statistics)[0] for m, sample in samples.items()}
            findings += coupling_findings(self.coupling_, embeddings, seed=seed)
        return summarise(findings, {m: cells.data.mod[m].n_obs for m in modalities}, statistics)


def _modality_findings(
    module: SiameseModule,
    kept: ReferenceRange,
    matrix: Any,
    modality: str,
    rows: np.ndarray,
    *,
    statistics: str,
    seed: int,
) -> tuple[EmbeddedSample, list[Finding]]:
    """Compare a modality's cells with the reference: features of all cells, embedding of those in ``rows``."""
    held_out = kept["held_out"].get(modality)
    moments = feature_moments(matrix)
    sample = read_rows(matrix, rows)
    by_own, by_reference = (_embed_sample(module, sample, modality, given) for given in (moments, None))
    embedded, other = (by_own, by_reference) if statistics == "query" else (by_reference, by_own)

    def near(seen: EmbeddedSample) -> float | None:
        if held_out is None:
            return None
        distances = distance_to(kept["landmarks"][modality], seen.embedding, seed)
        return float((distances <= held_out["max_distance"]).mean())

    found = []
    is_near = near(embedded)
    if matrix.shape[0] >= MIN_CELLS_FOR_STATISTICS:
        features, scale, levels = _feature_findings(module, kept, modality, moments, matrix.shape[0])
        # a sum over features of negative and positive means is no level
        found += [features, levels] if scale is None else [features, scale, levels]
        # distances mean nothing if the features or the composition are different
        if judge(levels.check, levels.value, levels.expected) != "outside":
            found.append(Finding("statistics", modality, near(other), is_near))
        found.append(Finding("signal", modality, embedded.signal, held_out["signal"] if held_out else None))
    found.append(Finding("near", modality, is_near, QUANTILE))
    if module.n_labels:
        certainty = embedded.probabilities.max(axis=1)
        certain = float((certainty >= held_out["min_confidence"]).mean()) if held_out else None
        found.append(Finding("confidence", modality, certain, QUANTILE))
    return embedded, found


def _feature_findings(
    module: SiameseModule, kept: ReferenceRange, modality: str, moments: Moments, n_cells: int
) -> tuple[Finding, Finding | None, Finding]:
    """Compare the features' means and deviations with the reference's, which the input layer holds.

    There is no ``scale`` of real values, which can be negative.
    """
    mean, std = moments
    layer = module.encoder(modality).input
    reference_mean, reference_std = layer.mean.cpu().numpy(), layer.std.cpu().numpy()
    held_out = kept["held_out"].get(modality)
    share = varying_share(input_weight(module, modality), std)
    used = (std > 0) & (reference_std > 0)
    mean, reference_mean, reference_std = mean[used], reference_mean[used], reference_std[used]
    by_chance = expected_level_correlation(reference_mean, reference_std, n_cells)
    return (
        Finding("features", modality, share, held_out["features"] if held_out else None),
        None if (reference_mean < 0).any() else Finding("scale", modality, level_ratio(mean, reference_mean), 1.0),
        Finding("levels", modality, level_correlation(mean, reference_mean), min(by_chance, kept["levels"][modality])),
    )


def _pair_findings(
    kept: ReferenceRange,
    a: str,
    b: str,
    samples: Mapping[str, EmbeddedSample],
    drawn: Mapping[str, np.ndarray],
    *,
    seed: int,
) -> list[Finding]:
    """Compare two modalities: mixing over all cells, and FOSCTTM over the paired ones."""
    name = f"{a}, {b}"
    references = [kept["held_out"][m] for m in (a, b) if m in kept["held_out"]]
    mixing = None
    if len(references) == 2:
        # one half of the held-out cells per modality, because otherwise a cell would be its own neighbour
        apart = [
            Typed(r["embedding"][r["half"] == half], r["types"][r["half"] == half]) for half, r in enumerate(references)
        ]
        mixing = modality_mixing(samples[a].typed, samples[b].typed, *apart, seed=seed)
    found = [Finding("mixing", name, mixing and mixing.query, mixing and mixing.reference)]
    both, at_a, at_b = np.intersect1d(drawn[a], drawn[b], assume_unique=True, return_indices=True)
    if len(both) >= MIN_HELD_OUT:
        value = foscttm(samples[a].embedding[at_a], samples[b].embedding[at_b]).mean
        found.append(Finding("pairs", name, value, kept["foscttm"].get(a, {}).get(b)))
    return found
