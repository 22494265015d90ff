from __future__ import annotations

import torch

from scminnet.model.training.training_plan import EpochMeans


def test_means_are_weighted_by_cells_and_skip_what_is_no_number() -> None:
    means = EpochMeans()
    means.add({"loss": torch.tensor(1.0), "accuracy": torch.tensor(0.5)}, 10)
    means.add({"loss": torch.tensor(4.0), "accuracy": torch.tensor(float("nan"))}, 20)
    values = means.values()
    assert values["loss"].item() == 3.0
    assert values["accuracy"].item() == 0.5
    nobody = EpochMeans()
    nobody.add({"accuracy": torch.tensor(float("nan"))}, 5)
    assert torch.isnan(nobody.values()["accuracy"])
