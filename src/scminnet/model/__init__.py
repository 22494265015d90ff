"""The model: :class:`MinNet`, its network, pairs, losses and training plan."""

from scminnet.model.card import model_card
from scminnet.model.diagnosis import Diagnosis
from scminnet.model.minnet import MinNet
from scminnet.model.module import SiameseModule
from scminnet.model.pairs import PairDataModule, PairSampler
from scminnet.model.recipe import PRESETS, Recipe
from scminnet.model.training_plan import SiameseTrainingPlan

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
