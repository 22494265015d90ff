"""How the siamese network is trained: what is logged, optimiser and schedule."""

from __future__ import annotations

from typing import Any

import torch
from scvi.module.base import LossOutput
from scvi.train import TrainingPlan

from scminnet.model.module import SiameseModule
from scminnet.model.recipe import Recipe


class SiameseTrainingPlan(TrainingPlan):
    """Training plan of :class:`~scminnet.MinNet`.

    Logs, for training and validation and once an epoch: the total loss (``train_loss``, ``validation_loss``) and
    ``classification_loss``, ``contrastive_loss``, ``infonce_loss`` (where it has a weight), ``accuracy_<modality>`` (types
    called right) and ``pair_accuracy_<modality>`` (cells whose nearest cell of the other modality in the batch is themselves),
    each with ``_train`` or ``_validation`` behind.

    Parameters
    ----------
    module
        The network.
    recipe
        Losses and optimisation.
    reduce_lr_on_plateau, lr_factor, lr_patience, lr_threshold, lr_min
        As in :class:`scvi.train.TrainingPlan`; monitors ``validation_loss``. Needs ``lr_schedule="constant"``.
    """

    def __init__(self, module: SiameseModule, *, recipe: Recipe, **kwargs: Any) -> None:
        kwargs.setdefault("lr_scheduler_metric", "validation_loss")
        super().__init__(
            module,
            # decay apart from the gradient's moments, with Adam's own eps: scvi's default of 0.01 is made for VAEs
            optimizer="AdamW" if recipe.lr_schedule == "one_cycle" else "Adam",
            lr=recipe.lr,
            weight_decay=recipe.weight_decay,
            eps=1e-8,
            recipe=recipe,
            **kwargs,
        )
        self.recipe = recipe
        if self.reduce_lr_on_plateau and recipe.lr_schedule != "constant":
            raise ValueError(
                f"`reduce_lr_on_plateau` needs lr_schedule='constant', found {recipe.lr_schedule!r}. Choose one of the two."
            )

    def initialize_train_metrics(self) -> None:
        """No ELBO: the network has none."""
        self.train_metrics: dict[str, Any] = {}

    def initialize_val_metrics(self) -> None:
        """No ELBO: the network has none."""
        self.val_metrics: dict[str, Any] = {}

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> torch.Tensor:
        """Loss of a batch of training pairs."""
        return self._step(batch, "train", prog_bar=True)

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Loss of a batch of validation pairs."""
        self._step(batch, "validation", prog_bar=False)

    def _step(self, batch: dict[str, Any], mode: str, *, prog_bar: bool) -> torch.Tensor:
        _, _, output = self.forward(batch, loss_kwargs=self.loss_kwargs)
        self._log_mean(f"{mode}_loss", output.loss, output, prog_bar=prog_bar)
        for name, value in output.extra_metrics.items():
            # an accuracy of a batch in which nobody counts is not a number, and would spoil the epoch's mean
            if not torch.isnan(value):
                self._log_mean(f"{name}_{mode}", value, output)
        return output.loss

    def _log_mean(self, name: str, value: torch.Tensor, output: LossOutput, *, prog_bar: bool = False) -> None:
        # the batch's size is given, for Lightning would guess it from whatever tensor comes first
        self.log(
            name,
            value.detach(),
            on_step=False,
            on_epoch=True,
            prog_bar=prog_bar,
            batch_size=output.n_obs_minibatch,
            sync_dist=self.use_sync_dist,
        )

    def configure_optimizers(self) -> dict[str, Any]:
        """Adam as the recipe says, with its schedule."""
        config = super().configure_optimizers()
        if self.recipe.lr_schedule == "one_cycle":
            scheduler = torch.optim.lr_scheduler.OneCycleLR(
                config["optimizer"], max_lr=self.lr, total_steps=self.trainer.estimated_stepping_batches
            )
            config["lr_scheduler"] = {"scheduler": scheduler, "interval": "step"}
        return config
