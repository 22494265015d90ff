"""The siamese network and its loss. It does not access data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from scvi.module.base import BaseModuleClass, LossOutput, auto_move_data
from torch import Tensor, nn
from torch.nn import functional as F

from scminnet.model.data.sparse_rows import Rows
from scminnet.model.network import losses
from scminnet.model.network.layers import Encoder, Moments
from scminnet.model.network.processes import ALONE, Processes
from scminnet.model.recipe import Recipe


class SiameseModule(BaseModuleClass):
    """One encoder for each modality, and one embedding head and one type head for all modalities.

    Parameters
    ----------
    n_features
        Number of features of each modality, in the model's order of modalities.
    n_labels
        Number of cell types, without the unlabelled category. 0 if there are no labels.
    recipe
        Sizes, activation, dropout, initial values.
    """

    def __init__(self, n_features: Mapping[str, int], n_labels: int, recipe: Recipe) -> None:
        super().__init__()
        self.modalities = tuple(n_features)
        self.n_labels = n_labels
        self.normalise = recipe.normalise
        self.adapt_norm = recipe.adapt_norm
        #: Training sets it again, because it may depend on the number of paired cells.
        self.hidden_dropout = recipe.hidden_dropout or 0.0
        # a list, because a ModuleDict refuses some names of modalities
        self.encoders: Sequence[Encoder] = nn.ModuleList(  # type: ignore[assignment]  # torch does not type items
            Encoder(n, recipe, recipe.canonical(len(n_features))) for n in n_features.values()
        )
        self.embedding_head = nn.Linear(recipe.n_hidden, recipe.n_latent)
        #: Share of the canonical components beside the learned embedding; 0: the learned embedding alone.
        self.register_buffer("linear_share", torch.zeros(()))
        self._linear_share = 0.0
        #: ``None`` if the reference has no labels.
        self.label_head = nn.Linear(recipe.n_hidden, n_labels) if n_labels else None
        if recipe.initialisation == "published":
            self._initialise_as_published()

    def set_linear_share(self, share: float) -> None:
        """Put the canonical components beside the learned embedding, with this share of the cosine."""
        self.linear_share.fill_(share)
        # as a saved model knows it, in float32
        self._linear_share = float(self.linear_share)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        # models saved by 0.1 had no linear part
        share = state_dict.setdefault(f"{prefix}linear_share", torch.zeros(()))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
        # read once, because reading it from the device would make every batch wait
        self._linear_share = float(share)

    @property
    def n_embedding(self) -> int:
        """Dimensions of the embedding."""
        n_latent = self.embedding_head.out_features
        return n_latent + self.encoders[0].input.weight.shape[1] if self._linear_share else n_latent

    def _initialise_as_published(self) -> None:
        """Draw matrices by Xavier's uniform rule and vectors from N(0, 1), as the published code does."""
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
            else:
                nn.init.normal_(parameter)

    def encoder(self, modality: str) -> Encoder:
        """Return the encoder of a modality."""
        return self.encoders[self.modalities.index(modality)]

    def _get_inference_input(self, tensors: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        return {name: tensors[name] for name in ("x", "projected", "processes")}

    def _get_generative_input(self, tensors: Any, inference_outputs: Any, **kwargs: Any) -> dict[str, Any]:
        return {}

    @auto_move_data
    def project(self, modality: str, x: Rows, moments: Moments | None = None) -> Tensor:
        """Apply a modality's input layer. It standardises by ``moments`` (default: the reference's)."""
        return self.encoder(modality).input(x, moments)

    @auto_move_data
    def inference(
        self,
        x: Mapping[str, Rows],
        *,
        projected: bool = False,
        moments: Mapping[str, Sequence[Moments]] | None = None,
        processes: Processes = ALONE,
    ) -> dict[str, Any]:
        """Embed cells and predict their types.

        Parameters
        ----------
        x
            Rows of cells by modality.
        projected
            Whether the rows are outputs of the input layer. A fixed input layer is applied once, not in each epoch.
        moments
            Mean and variance for batch norm, by modality and hidden layer. ``None``: those of the batch in training,
            otherwise the running ones.
        processes
            Processes that share the batch in training. ``x`` is the part of this process.

        Returns
        -------
        ``embedding`` (cells x n_embedding) and ``logits`` (cells x n_labels), each a dictionary by modality.
        ``logits`` is empty without labels.
        """
        embedding, logits = {}, {}
        for modality, rows in x.items():
            # also without cells, because every process must take part in the exchange of every modality
            components: Tensor = rows if projected else self.project(modality, rows)  # type: ignore[assignment]
            hidden = self.encoder(modality).hidden(
                components,
                None if moments is None else moments[modality],
                dropout=self.hidden_dropout,
                processes=processes,
            )
            embedding[modality] = self._beside_linear(components, self.embedding_head(hidden))
            if self.label_head is not None:
                logits[modality] = self.label_head(hidden)
        return {"embedding": embedding, "logits": logits}

    def _beside_linear(self, components: Tensor, learned: Tensor) -> Tensor:
        """Put the canonical components beside the learned embedding: the cosine of two cells is a mean of both."""
        share = self._linear_share
        if not share:
            return learned
        parts = share**0.5 * F.normalize(components, dim=1), (1 - share) ** 0.5 * F.normalize(learned, dim=1)
        return torch.cat(parts, dim=1)

    def position(self, embedding: Tensor) -> Tensor:
        """Return the positions that users see. They are on the unit sphere if the model normalises embeddings.

        Beside canonical components of the share s, the learned part counts 1 - s of what it counts in training: it sees
        the noise of its own partners, which the components average out (``docs/decisions.md``).
        """
        if share := self._linear_share:
            learned = (1 - share) ** 2
            n_learned = self.embedding_head.out_features
            parts = embedding.split([embedding.shape[1] - n_learned, n_learned], dim=1)
            embedding = torch.cat(
                [((1 - learned) / share) ** 0.5 * parts[0], (learned / (1 - share)) ** 0.5 * parts[1]], dim=1
            )
        return F.normalize(embedding, dim=1) if self.normalise else embedding

    def generative(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return nothing, because the network is discriminative."""
        return {}

    def sample(self, *args: Any, **kwargs: Any) -> Any:
        """Raise an error, because a siamese network has no distribution to sample from."""
        raise TypeError("MinNet is not a generative model: there is nothing to sample.")

    def loss(
        self,
        tensors: dict[str, Any],
        inference_outputs: dict[str, Any],
        generative_outputs: dict[str, Any],
        recipe: Recipe,
    ) -> LossOutput:
        """Return the weighted sum of the classification and contrastive losses of a batch.

        Parameters
        ----------
        tensors
            A batch of :class:`~scminnet.model.training.pair_data.PairDataset`.
        inference_outputs
            Output of :meth:`inference` for the batch.
        generative_outputs
            Not used.
        recipe
            Weights and forms of the losses.
        """
        labels, cells = tensors["labels"], tensors["cells"]
        embedding, logits = (
            {m: tensors["processes"].whole(part, len(cells[m])) for m, part in inference_outputs[name].items()}
            for name in ("embedding", "logits")
        )
        # a modality without cells in the batch gets zero gradients, because DDP waits for all gradients
        nothing = [parts.pop(m).sum() for parts in (embedding, logits) for m in list(parts) if not len(cells[m])]

        metrics: dict[str, Tensor] = {}
        metrics["contrastive_loss"] = self._contrastive_loss(embedding, tensors, recipe)
        total = recipe.contrastive_weight * metrics["contrastive_loss"]
        if logits:
            metrics["classification_loss"] = self._classification_loss(logits, labels)
            total = total + recipe.classification_weight * metrics["classification_loss"]
        if recipe.infonce_weight > 0:
            metrics["infonce_loss"] = self._infonce_loss(embedding, tensors, recipe)
            total = total + recipe.infonce_weight * metrics["infonce_loss"]
        if recipe.supervised_weight > 0 and self.label_head is not None:
            metrics["supervised_loss"] = self._supervised_loss(
                embedding, labels, tensors["labelled"], recipe.temperature
            )
            total = total + recipe.supervised_weight * metrics["supervised_loss"]
        if nothing:
            total = total + torch.stack(nothing).sum()
        metrics |= self._accuracies(embedding, logits, labels, cells)
        return LossOutput(loss=total, n_obs_minibatch=tensors["n_cells"], extra_metrics=metrics)

    def _classification_loss(self, logits: Mapping[str, Tensor], labels: Mapping[str, Tensor]) -> Tensor:
        # summed over modalities, as in the paper's total loss; unlabelled cells (-1) do not count
        terms = []
        for modality, predicted in logits.items():
            known = labels[modality] >= 0
            sums = F.cross_entropy(predicted, labels[modality].clamp_min(0), reduction="none")
            terms.append((sums * known).sum() / known.sum().clamp_min(1))
        return torch.stack(terms).sum()

    def _contrastive_loss(self, embedding: Mapping[str, Tensor], tensors: dict[str, Any], recipe: Recipe) -> Tensor:
        labels, cells = tensors["labels"], tensors["cells"]
        squared, same, margin, attraction = [], [], [], []
        for pairs in tensors["pairs"]:
            left, right = (pairs.first, pairs.left), (pairs.second, pairs.right)
            a, b = (embedding[modality][rows] for modality, rows in (left, right))
            outer = pairs.distances.ndim == 2
            label_a, label_b = (labels[modality][rows] for modality, rows in (left, right))
            cell_a, cell_b = (cells[modality][rows] for modality, rows in (left, right))
            if outer:
                label_a, cell_a = label_a.unsqueeze(1), cell_a.unsqueeze(1)
            squared.append(losses.squared_distances(a, b, outer=outer).flatten())
            same.append((cell_a == cell_b).flatten())
            targets = tensors["targets"].get((pairs.first, pairs.second))
            together = same[-1] if targets is None else losses.shares_of_partners(targets).flatten()
            attraction.append(together.to(squared[-1].dtype))
            margin.append(losses.margins(pairs.distances, label_a, label_b, m0=recipe.m0, c=recipe.c).flatten())
        if not squared:
            return torch.zeros((), device=self.device)
        return losses.contrastive_loss(
            torch.cat(squared),
            torch.cat(same),
            torch.cat(margin),
            form=recipe.loss_form,
            positive_share=recipe.positive_share,
            attraction=torch.cat(attraction) if tensors["targets"] else None,
        )

    def _infonce_loss(
        self,
        embedding: Mapping[str, Tensor],
        tensors: dict[str, Any],
        recipe: Recipe,
    ) -> Tensor:
        terms = []
        for (first, second), (left, right) in tensors["matches"].items():
            if first not in embedding or second not in embedding:
                continue
            a, b, targets = embedding[first], embedding[second], tensors["targets"].get((first, second))
            if targets is not None:
                temperatures = [torch.full((len(x),), recipe.coupled_temperature, device=x.device) for x in (a, b)]
                for temperature, paired in zip(temperatures, (left, right), strict=True):
                    temperature[paired] = recipe.temperature
                terms.append(losses.soft_info_nce(a, b, targets, left=temperatures[0], right=temperatures[1]))
            elif len(left) > 1:
                terms.append(losses.info_nce(a[left], b[right], temperature=recipe.temperature))
        return torch.stack(terms).mean() if terms else torch.zeros((), device=self.device)

    def _supervised_loss(
        self,
        embedding: Mapping[str, Tensor],
        labels: Mapping[str, Tensor],
        labelled: Mapping[str, Tensor],
        temperature: float,
    ) -> Tensor:
        known = {m: (cells[labelled[m]], labels[m][labelled[m]]) for m, cells in embedding.items()}
        terms = [
            losses.supervised_contrast(
                known[first][0], known[second][0], known[first][1], known[second][1], temperature=temperature
            )
            for first, second in modality_pairs(tuple(embedding))
        ]
        return torch.stack(terms).mean() if terms else torch.zeros((), device=self.device)

    @torch.no_grad()
    def _accuracies(
        self,
        embedding: Mapping[str, Tensor],
        logits: Mapping[str, Tensor],
        labels: Mapping[str, Tensor],
        cells: Mapping[str, Tensor],
    ) -> dict[str, Tensor]:
        """Return each modality's share of correctly predicted types, and of cells that are their own neighbour.

        The neighbour is the nearest cell of the other modality within the batch. ``chance_accuracy`` is the share of
        the batch's most frequent type, ``chance_pair_accuracy`` that of cells that a random neighbour would find.
        """
        found: dict[str, Tensor] = {}
        by_chance: dict[str, list[Tensor]] = {"chance_accuracy": [], "chance_pair_accuracy": []}
        for modality, predicted in logits.items():
            known = labels[modality] >= 0
            right = (predicted.argmax(1) == labels[modality]) & known
            found[f"accuracy_{modality}"] = right.sum() / known.sum()
            most = torch.bincount(labels[modality].clamp_min(0), known.float(), minlength=1).max()
            by_chance["chance_accuracy"].append(most / known.sum())
        shares: dict[str, list[Tensor]] = {}
        for first, second in modality_pairs(tuple(embedding)):
            a, b = self.position(embedding[first]), self.position(embedding[second])
            squared = losses.squared_distances(a, b, outer=True)
            both = losses.pair_accuracy(squared, cells[first], cells[second])
            for modality, other, share in zip((first, second), (second, first), both, strict=True):
                shares.setdefault(modality, []).append(share)
                # NaN where no cell has a partner in the batch
                by_chance["chance_pair_accuracy"].append((share * 0 + 1) / len(cells[other]))
        found |= {f"pair_accuracy_{m}": torch.stack(s).nanmean() for m, s in shares.items()}
        found |= {name: torch.stack(s).nanmean() for name, s in by_chance.items() if s}
        return found


def modality_pairs(modalities: Sequence[str]) -> list[tuple[str, str]]:
    """List each pair of modalities once, in order."""
    return [(a, b) for i, a in enumerate(modalities) for b in modalities[i + 1 :]]
