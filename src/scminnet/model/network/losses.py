"""Margin and contrastive losses as pure functions of tensors.

Symbols follow the paper. :math:`D` is the Euclidean distance of two cells in the embedding, and :math:`d_{ij}` their
distance on the margin graph. :math:`c_{ij}` is the surcharge for cells of different types. The margin is
:math:`m_{ij} = m_0 (d_{ij} + c_{ij})`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

#: Added to a squared distance before its root, which has no gradient at zero. The published code does the same.
EPSILON = 1e-3


def squared_distances(a: Tensor, b: Tensor, *, outer: bool) -> Tensor:
    """Squared Euclidean distances of embedded cells.

    Parameters
    ----------
    a, b
        Embeddings, cells x dimensions.
    outer
        ``True``: every row of ``a`` with every row of ``b`` by one matrix product, shape ``(len(a), len(b))``.
        ``False``: row by row, shape ``(len(a),)``.
    """
    if not outer:
        return (a - b).square().sum(1)
    product = torch.addmm(b.square().sum(1).unsqueeze(0), a, b.T, alpha=-2.0)
    return (product + a.square().sum(1, keepdim=True)).clamp_min(0.0)


def margins(distances: Tensor, left: Tensor, right: Tensor, *, m0: float, c: float) -> Tensor:
    """Margins :math:`m_0 (d_{ij} + c_{ij})` of pairs of cells.

    Parameters
    ----------
    distances
        Distances of the cells on the margin graph; shape ``(p,)`` or ``(l, r)``.
    left, right
        Label codes of the two cells, broadcastable to the shape of ``distances``. An unlabelled cell has -1.
    m0
        Scale of the margin.
    c
        Surcharge for cells of different types. A pair with an unlabelled cell gets none, because it may be of one type.
    """
    differ = (left != right) & (left >= 0) & (right >= 0)
    return m0 * (distances + c * differ)


def contrastive_loss(
    squared: Tensor,
    same: Tensor,
    margin: Tensor,
    *,
    form: str,
    positive_share: float,
    attraction: Tensor | None = None,
) -> Tensor:
    r"""Contrastive loss with one margin for each pair.

    Parameters
    ----------
    squared
        Squared distances in the embedding.
    same
        Whether a pair is positive: one cell, measured twice.
    margin
        Margins of the pairs. Those of positive pairs are not used.
    form
        ``"code"``: the published code, :math:`(D^2 + 0.001) / 2` for positive pairs and
        :math:`\max(0, m - \sqrt{D^2 + 0.001})^2` for negative ones.
        ``"text"``: the paper's formula, :math:`D^2` and :math:`\max(0, m - D^2)`.
    positive_share
        Weight of the mean over positive pairs. The mean over negative pairs has the rest. If pairs were drawn with this
        share of positives, the loss is the mean over all drawn pairs. If all pairs of a batch count, positives are
        rare, and the weight makes the loss comparable. If a batch has pairs of one kind only, their mean counts in
        full.
    attraction
        Weights of the pairs in the mean over positive pairs, at least 0. ``None``: 1 for positive pairs, 0 for others.
        Coupled cells attract each other too. Without them, nothing would bring modalities without pairs together.
    """
    if form == "code":
        attract = 0.5 * (squared + EPSILON)
        repel = F.relu(margin - (squared + EPSILON).sqrt()).square()
    else:
        attract = squared
        repel = F.relu(margin - squared)
    n_same = same.sum()
    n_differ = same.numel() - n_same
    if attraction is None:
        total, positive = n_same, torch.where(same, attract, 0.0).sum() / n_same.clamp_min(1)
    else:
        total = attraction.sum()
        positive = (attraction * attract).sum() / torch.where(total > 0, total, 1.0)
    negative = torch.where(same, 0.0, repel).sum() / n_differ.clamp_min(1)
    share = torch.where(n_differ == 0, 1.0, torch.where(total == 0, 0.0, positive_share))
    return share * positive + (1 - share) * negative


def info_nce(a: Tensor, b: Tensor, *, temperature: float) -> Tensor:
    """Symmetric InfoNCE loss, low if each cell is most similar to itself in the other modality.

    Parameters
    ----------
    a, b
        Embeddings of the same cells in two modalities, cells x dimensions. Their directions are compared (cosine).
    temperature
        Divides the cosines. With a smaller one, the most similar other cells count more.
    """
    cosines = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / temperature
    target = torch.arange(len(a), device=a.device)
    return 0.5 * (F.cross_entropy(cosines, target) + F.cross_entropy(cosines.T, target))


def soft_info_nce(a: Tensor, b: Tensor, targets: Tensor, *, left: Tensor, right: Tensor) -> Tensor:
    """Symmetric InfoNCE loss with soft targets: the partners of each cell, weighted by the coupling.

    With the identity as targets and one temperature, this is :func:`info_nce`.

    Parameters
    ----------
    a, b
        Embeddings of two modalities' cells, cells x dimensions. Their directions are compared (cosine).
    targets
        Weight of each two cells as partners, ``(len(a), len(b))``, at least 0, in any unit. Cells without a partner are
        only negatives.
    left, right
        Temperature of each cell of ``a`` and of ``b``.

    Returns
    -------
    Mean over both directions. Each direction is the mean over the cells with a partner, or 0 if there are none.
    """
    cosines = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T
    terms = []
    for logits, target, temperature in ((cosines, targets, left), (cosines.T, targets.T, right)):
        mass = target.sum(1, keepdim=True)
        known = mass > 0
        share = target / torch.where(known, mass, 1.0)
        log_probability = (logits / temperature.unsqueeze(1)).log_softmax(1)
        terms.append(-(share * log_probability).sum() / known.sum().clamp_min(1))
    return 0.5 * (terms[0] + terms[1])


def shares_of_partners(targets: Tensor) -> Tensor:
    """Return weights of pairs of cells, of which each cell with a target divides one half among its partners.

    Parameters
    ----------
    targets
        As in :func:`soft_info_nce`. Where cells are their own only partners, each pair has the weight 1.
    """
    rows, columns = targets.sum(1, keepdim=True), targets.sum(0, keepdim=True)
    return 0.5 * (targets / torch.where(rows > 0, rows, 1.0) + targets / torch.where(columns > 0, columns, 1.0))


def supervised_contrast(a: Tensor, b: Tensor, left: Tensor, right: Tensor, *, temperature: float) -> Tensor:
    """Supervised contrastive loss between modalities :cite:p:`Khosla20`, low if cells of one type are similar.

    Parameters
    ----------
    a, b
        Embeddings of cells in two modalities, cells x dimensions. Their directions are compared (cosine).
    left, right
        Label codes of the cells. Every cell has a label.
    temperature
        Divides the cosines.

    Returns
    -------
    Mean over both directions. Each direction is the mean over the cells whose type occurs in the other modality, or 0
    if there are none.
    """
    cosines = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / temperature
    same = (left.unsqueeze(1) == right.unsqueeze(0)).to(cosines.dtype)
    terms = []
    for logits, target in ((cosines, same), (cosines.T, same.T)):
        n_same = target.sum(1)
        within = -(target * logits.log_softmax(1)).sum(1) / n_same.clamp_min(1)
        terms.append(within.sum() / (n_same > 0).sum().clamp_min(1))
    return 0.5 * (terms[0] + terms[1])


def pair_accuracy(distances: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Share of cells whose nearest neighbour in the other modality, within the batch, is the cell itself.

    Parameters
    ----------
    distances
        Distances or squared distances, cells of one modality x cells of the other.
    first, second
        Identities of the rows and of the columns.

    Returns
    -------
    The share over the rows, and over the columns. Cells that the batch holds in one modality only do not count. The
    share is NaN if no cell counts.
    """
    shares = []
    for matrix, own, other in ((distances, first, second), (distances.T, second, first)):
        nearest = other[matrix.argmin(dim=1)]
        paired = torch.isin(own, other)
        shares.append(((nearest == own) & paired).sum() / paired.sum())
    return shares[0], shares[1]
