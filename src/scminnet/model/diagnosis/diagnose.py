"""Whether a query lies inside the range of the model's reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from mudata import MuData

from scminnet._core.matrices import take
from scminnet._core.mdata import layer_matrix
from scminnet.metrics.foscttm import foscttm
from scminnet.model.data.moments import feature_moments
from scminnet.model.data.sparse_rows import as_row_matrix
from scminnet.model.diagnosis.checks import (
    Typed,
    expected_level_correlation,
    level_correlation,
    level_ratio,
    modality_mixing,
)
from scminnet.model.diagnosis.reference_range import (
    MIN_HELD_OUT,
    QUANTILE,
    ReferenceRange,
    distance_to,
    input_weight,
    most_probable,
    varying_share,
)
from scminnet.model.diagnosis.verdict import Diagnosis, Finding, judge, summarise
from scminnet.model.inference.embed import EmbeddingMixin, Statistics
from scminnet.model.inference.encode import MIN_CELLS_FOR_STATISTICS, embed_projected, project_rows
from scminnet.model.network.module import SiameseModule, modality_pairs

#: Cells of a modality that are embedded: shares of so many are known to a percent.
MAX_CELLS = 4000

Moments = tuple[np.ndarray, np.ndarray]


class Sight(NamedTuple):
    """Some cells of a modality as the network sees them."""

    signal: float
    embedding: np.ndarray
    probabilities: np.ndarray

    @property
    def typed(self) -> Typed:
        """The cells with their most probable types."""
        return Typed(self.embedding, most_probable(self.probabilities))


def _see(module: SiameseModule, matrix: Any, modality: str, moments: Moments | None) -> Sight:
    projected = project_rows(module, matrix, modality, moments=moments)
    signal = float(projected.var(axis=0, ddof=1).sum()) if len(projected) > 1 else 0.0
    # batch norm as it was trained: adapted to the query it would hide what is asked for here
    return Sight(signal, *embed_projected(module, projected, modality))


class DiagnoseMixin(EmbeddingMixin):
    """``diagnose`` of :class:`~scminnet.MinNet`."""

    #: What training keeps of the reference when it is over; ``None`` before, in checkpoints, and in models of older versions.
    reference_range_: ReferenceRange | None = None

    def diagnose(self, mdata: MuData | None = None, *, statistics: Statistics = "query", seed: int = 0) -> Diagnosis:
        """Tell whether a query lies inside the range of the reference, so that its embedding can be trusted.

        A network places any cell somewhere and names a type for it. This holds the query against what the model keeps of its
        reference: a sample of the cells it was trained on, and what the cells look like that were held out (``train_size``). It needs
        neither the reference's data nor labels or pairs of the query, and trains nothing.

        Parameters
        ----------
        mdata
            The query, as in :meth:`get_latent_representation`; it is not changed. ``None``: the model's own data.
        statistics
            As you will embed: the mean and variance to standardise by.
        seed
            Seed of the samples: at most 4,000 cells of a modality are embedded.

        Returns
        -------
        :class:`~scminnet.model.Diagnosis`, with an overall ``verdict`` and a ``table``. The checks:

        ``features``
            Share of the input layer's weight that is on features which vary in the query. Expected: among the held-out cells.
        ``scale``
            Mean value of these features, as a multiple of the reference's. Expected: 1.
        ``levels``
            Correlation of the features' means with the reference's. Expected: of as many cells drawn from the reference, or of a batch of the
            reference with the others, whichever is lower.
        ``statistics``
            ``near``, if standardised the other way. Expected: no more than standardised as asked for; more says that the other way suits the
            query better. Left out where ``levels`` is outside, for then nothing follows, and where cells are too few.
        ``signal``
            Variance of what the input layer gives, over its outputs; expected: over held-out cells.
        ``near``
            Share of cells whose mean distance to the 10 nearest training cells of the modality (of 4,000 at most) does not exceed that of 95 %
            of the held-out cells. Expected: 0.95.
        ``confidence``
            Share of cells whose most probable type is as probable as in 95 % of the held-out cells. Expected: 0.95.
        ``mixing``
            Two modalities: share of the other among the 10 nearest neighbours, within types as predicted, as a multiple of chance. Expected:
            of as many held-out cells.
        ``pairs``
            Two modalities with 20 cells or more in common: their FOSCTTM (less is better). Expected: of the held-out cells.

        What each is worth is measured in ``benchmarks/results/diagnose.md``.

        Raises
        ------
        RuntimeError
            The model is not trained.
        ValueError
            As in :meth:`get_latent_representation`; or the model was trained by a version that kept nothing of the reference.

        Examples
        --------
        >>> scminnet.MinNet.prepare_query_mudata(query, model)
        >>> diagnosis = model.diagnose(query)
        >>> diagnosis.verdict
        'inside'
        >>> diagnosis.table.query("verdict != 'inside'")
        """
        data, modalities, positions = self._checked(mdata, None, statistics)
        if self.reference_range_ is None:
            raise ValueError(
                "the model keeps nothing of its reference that a query could be held against: its training was not over (a "
                "checkpoint holds weights only), or was of an older version. Give the model that `train` left, or train again."
            )
        # cells are drawn, not rows, so that those measured twice are drawn in both modalities
        order = np.random.default_rng(seed).permutation(len(positions))
        drawn = {m: order[positions[order, i] >= 0][:MAX_CELLS] for i, m in enumerate(modalities)}
        findings: list[Finding] = []
        sights: dict[str, Sight] = {}
        for i, m in enumerate(modalities):
            matrix = as_row_matrix(layer_matrix(data, m, self._layers[m]))
            rows = positions[drawn[m], i]
            sights[m], found = _modality_findings(
                self.module, self.reference_range_, matrix, m, rows, statistics=statistics, seed=seed
            )
            findings += found
        for a, b in modality_pairs(modalities):
            findings += _pair_findings(self.reference_range_, a, b, sights, drawn, seed=seed)
        return summarise(findings, {m: data.mod[m].n_obs for m in modalities}, statistics)


def _modality_findings(
    module: SiameseModule,
    kept: ReferenceRange,
    matrix: Any,
    modality: str,
    rows: np.ndarray,
    *,
    statistics: str,
    seed: int,
) -> tuple[Sight, list[Finding]]:
    """Hold a modality's cells against the reference: their features by all cells, the network by those in ``rows``."""
    held_out = kept["held_out"].get(modality)
    moments = feature_moments(matrix)
    sample = take(matrix, rows)
    by_own, by_reference = (_see(module, sample, modality, given) for given in (moments, None))
    sight, other = (by_own, by_reference) if statistics == "query" else (by_reference, by_own)

    def near(seen: Sight) -> float | None:
        if held_out is None:
            return None
        distances = distance_to(kept["landmarks"][modality], seen.embedding, seed)
        return float((distances <= held_out["max_distance"]).mean())

    found = []
    is_near = near(sight)
    if matrix.shape[0] >= MIN_CELLS_FOR_STATISTICS:
        features, scale, levels = _feature_findings(module, kept, modality, moments, matrix.shape[0])
        found += [features, scale, levels]
        # of other cells, or features mixed up, nothing follows from where they come to lie
        if judge(levels.check, levels.value, levels.expected) != "outside":
            found.append(Finding("statistics", modality, near(other), is_near))
        found.append(Finding("signal", modality, sight.signal, held_out["signal"] if held_out else None))
    found.append(Finding("near", modality, is_near, QUANTILE))
    if module.n_labels:
        certainty = sight.probabilities.max(axis=1)
        certain = float((certainty >= held_out["min_confidence"]).mean()) if held_out else None
        found.append(Finding("confidence", modality, certain, QUANTILE))
    return sight, found


def _feature_findings(
    module: SiameseModule, kept: ReferenceRange, modality: str, moments: Moments, n_cells: int
) -> tuple[Finding, Finding, Finding]:
    """Hold the features' means and deviations against the reference's, which the input layer knows."""
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
        Finding("scale", modality, level_ratio(mean, reference_mean), 1.0),
        Finding("levels", modality, level_correlation(mean, reference_mean), min(by_chance, kept["levels"][modality])),
    )


def _pair_findings(
    kept: ReferenceRange, a: str, b: str, sights: Mapping[str, Sight], drawn: Mapping[str, np.ndarray], *, seed: int
) -> list[Finding]:
    """Hold two modalities against each other: all cells, and those measured in both."""
    name = f"{a}, {b}"
    references = [kept["held_out"][m] for m in (a, b) if m in kept["held_out"]]
    mixing = None
    if len(references) == 2:
        # one half of the held-out cells for each modality: a cell would be its own neighbour
        apart = [
            Typed(r["embedding"][r["half"] == half], r["types"][r["half"] == half]) for half, r in enumerate(references)
        ]
        mixing = modality_mixing(sights[a].typed, sights[b].typed, *apart, seed=seed)
    found = [Finding("mixing", name, mixing and mixing.query, mixing and mixing.reference)]
    both, at_a, at_b = np.intersect1d(drawn[a], drawn[b], assume_unique=True, return_indices=True)
    if len(both) >= MIN_HELD_OUT:
        value = foscttm(sights[a].embedding[at_a], sights[b].embedding[at_b]).mean
        found.append(Finding("pairs", name, value, kept["foscttm"].get(a, {}).get(b)))
    return found
