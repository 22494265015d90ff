"""Measures of a joint embedding, of MinNet or of another method."""

from scminnet.metrics.ari import ari, ari_curve
from scminnet.metrics.foscttm import Foscttm, foscttm
from scminnet.metrics.label_transfer import LabelTransfer, label_transfer_accuracy
from scminnet.metrics.matching_score import MatchingScore, matching_score
from scminnet.metrics.mixing import neighbor_mixing
from scminnet.metrics.report import integration_report
from scminnet.metrics.silhouette import silhouette_batch, silhouette_label, silhouette_modality

__all__ = [
    "Foscttm",
    "LabelTransfer",
    "MatchingScore",
    "ari",
    "ari_curve",
    "foscttm",
    "integration_report",
    "label_transfer_accuracy",
    "matching_score",
    "neighbor_mixing",
    "silhouette_batch",
    "silhouette_label",
    "silhouette_modality",
]


def __dir__() -> list[str]:
    return list(__all__)
