"""The model: :class:`MinNet`, its network, pairs, losses and training plan."""

from scminnet.model.diagnosis.verdict import Diagnosis
from scminnet.model.minnet import MinNet
from scminnet.model.network.module import SiameseModule
from scminnet.model.recipe import PRESETS, Recipe
from scminnet.model.storage.model_card import model_card
from scminnet.model.training.pair_data import PairDataModule
from scminnet.model.training.pair_sampler import PairSampler
from scminnet.model.training.training_plan import SiameseTrainingPlan

__all__ = [
    "PRESETS",
    "Diagnosis",
    "MinNet",
    "PairDataModule",
    "PairSampler",
    "Recipe",
    "SiameseModule",
    "SiameseTrainingPlan",
    "model_card",
]


def __dir__() -> list[str]:
    return list(__all__)
