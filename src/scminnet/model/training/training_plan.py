"""Training plan of the siamese network: losses and logged values, optimiser and schedule."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scvi.train import TrainingPlan

from scminnet.model.network.module import SiameseModule
from scminnet.model.recipe import Recipe

#: Share of the steps during which the learning rate of ``lr_schedule="one_cycle"`` rises.
WARM_UP = 0.15


def check_weights(module: torch.nn.Module) -> None:
    """Raise if the last step of a training made weights that are not finite."""
    if not all(torch.isfinite(tensor).all() for tensor in module.state_dict().values()):
        raise ValueError(_diverged("its weights are not finite"))


def _diverged(found: str) -> str:
    """Return the text of the error of a training that diverged."""
    return (
        f"`plan_kwargs`: the training diverged, {found}. The model is as before. Lower `lr`, or leave the changes to "
        "the losses out, and train again."
    )


class EpochMeans:
    """Means over an epoch, weighted by the number of cells in each batch.

    They are logged once an epoch, because Lightning's log of ten values in every step takes longer than the step.
    """

    def __init__(self) -> None:
        self._sums: dict[str, torch.Tensor] = {}
        self._weights: dict[str, torch.Tensor] = {}

    def add(self, values: dict[str, torch.Tensor], n_cells: int) -> None:
        """Add a batch's values. NaN, such as an accuracy over no cells, has no weight."""
        for name, value in values.items():
            value = value.detach()
            self._sums[name] = self._sums.get(name, 0) + value.nan_to_num() * n_cells
            self._weights[name] = self._weights.get(name, 0) + ~value.isnan() * n_cells

    def values(self) -> dict[str, torch.Tensor]:
        """Return the means. A mean over no values is NaN."""
        return {name: total / self._weights[name] for name, total in self._sums.items()}


class SiameseTrainingPlan(TrainingPlan):
    """Training plan of :class:`~scminnet.MinNet`.

    It logs values once an epoch, for training and validation. The total loss is ``train_loss`` or ``validation_loss``.
    All other values have the suffix ``_train`` or ``_validation``:

    - ``classification_loss``, ``contrastive_loss``, ``infonce_loss`` and ``supervised_loss``, if they have a weight;
    - ``accuracy_<modality>``, the share of correctly predicted cell types;
    - ``pair_accuracy_<modality>``, the share of cells whose nearest neighbour in the other modality, within the batch,
      is the cell itself;
    - ``chance_accuracy`` and ``chance_pair_accuracy``, what both would be by chance: the share of the batch's most
      frequent type, and one by the number of cells in the batch.

    Parameters
    ----------
    module
        The network.
    recipe
        Losses and optimisation.
    seed
        Seed of dropout.
    reduce_lr_on_plateau, lr_factor, lr_patience, lr_threshold, lr_min
        As in :class:`scvi.train.TrainingPlan`. They monitor ``validation_loss`` and need ``lr_schedule="constant"``.
    """

    def __init__(self, module: SiameseModule, *, recipe: Recipe, seed: int = 0, **kwargs: Any) -> None:
        kwargs.setdefault("lr_scheduler_metric", "validation_loss")
        super().__init__(
            module,
            lr=recipe.lr,
            weight_decay=recipe.weight_decay,
            # Adam's default, because scvi-tools' default of 0.01 is made for VAEs
            eps=1e-8,
            recipe=recipe,
            **kwargs,
        )
        self.recipe = recipe
        self.seed = seed
        if self.reduce_lr_on_plateau and recipe.lr_schedule != "constant":
            raise ValueError(
                f"`reduce_lr_on_plateau` needs lr_schedule='constant', found {recipe.lr_schedule!r}. "
                "Choose one of the two."
            )

    def initialize_train_metrics(self) -> None:
        """Start the means of a training epoch. There is no ELBO."""
        self.train_metrics = EpochMeans()

    def initialize_val_metrics(self) -> None:
        """Start the means of a validation epoch. There is no ELBO."""
        self.val_metrics = EpochMeans()

    def on_train_epoch_start(self) -> None:
        """Seed dropout by seed, epoch and process only, so that a continued training gives the same result."""
        state = np.random.SeedSequence((self.seed, self.current_epoch, self.global_rank)).generate_state(1, np.uint64)
        torch.manual_seed(int(state[0]))

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> torch.Tensor:
        """Return the loss of a batch of training pairs."""
        return self._step(batch, "train", self.train_metrics)

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Record the loss of a batch of validation pairs."""
        self._step(batch, "validation", self.val_metrics)

    def on_train_epoch_end(self) -> None:
        """Log the means of the training epoch."""
        self._log_means(self.train_metrics)
        self.initialize_train_metrics()

    def on_validation_epoch_end(self) -> None:
        """Log the means of the validation epoch."""
        self._log_means(self.val_metrics)
        self.initialize_val_metrics()

    def _step(self, batch: dict[str, Any], mode: str, means: EpochMeans) -> torch.Tensor:
        _, _, output = self.forward(batch, loss_kwargs=self.loss_kwargs)
        if not torch.isfinite(output.loss):
            raise ValueError(_diverged(f"the {mode} loss is {output.loss.item()} in epoch {self.current_epoch + 1}"))
        values = {f"{name}_{mode}": value for name, value in output.extra_metrics.items()}
        means.add({f"{mode}_loss": output.loss, **values}, output.n_obs_minibatch)
        return output.loss

    def _log_means(self, means: EpochMeans) -> None:
        for name, value in means.values().items():
            self.log(
                name,
                value,
                on_epoch=True,
                prog_bar=name in ("train_loss", "validation_loss"),
                sync_dist=self.use_sync_dist,
            )

    def configure_optimizers(self) -> dict[str, Any]:
        """Return the optimiser and the schedule of the recipe."""
        if self.recipe.lr_schedule == "constant":
            return super().configure_optimizers()
        parameters = [p for p in self.module.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in parameters if p.ndim > 1], "weight_decay": self.weight_decay},
                # biases and the scales of batch norm do not overfit
                {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=self.lr,
        )
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=self.lr,
            total_steps=self.trainer.estimated_stepping_batches,
            pct_start=WARM_UP,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
