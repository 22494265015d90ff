from __future__ import annotations

import numpy as np
import pytest
import torch

from scminnet.model import Recipe, SiameseModule
from scminnet.model.inference.forward_pass import embed_projected, hidden_moments
from scminnet.model.network.module import modality_pairs


def module_of(**changes) -> SiameseModule:
    torch.manual_seed(0)
    return SiameseModule({"rna": 5, "adt.v2": 3}, 4, Recipe(n_hidden=8, n_canonical=3, **changes))


@pytest.mark.parametrize("input_layer", ["learned", "canonical"])
def test_shapes_and_shared_heads(input_layer: str) -> None:
    module = module_of(input_layer=input_layer)
    out = module.inference({"rna": torch.rand(6, 5), "adt.v2": torch.rand(2, 3)})
    assert out["embedding"]["rna"].shape == (6, 32)
    assert out["embedding"]["adt.v2"].shape == (2, 32)
    assert out["logits"]["adt.v2"].shape == (2, 4)
    names = [name for name, _ in module.named_parameters()]
    assert sum(name.startswith("embedding_head") for name in names) == 2
    assert sum(name.startswith("label_head") for name in names) == 2


def test_a_single_cell_in_training_uses_running_statistics() -> None:
    module = module_of()
    module.train()
    out = module.inference({"rna": torch.rand(1, 5), "adt.v2": torch.rand(3, 3)})
    assert torch.isfinite(out["embedding"]["rna"]).all()


@pytest.mark.parametrize("training", [True, False])
def test_a_modality_may_have_no_cells(training: bool) -> None:
    module = module_of()
    module.train(training)
    out = module.inference({"rna": torch.rand(2, 5), "adt.v2": torch.rand(0, 3)})
    assert [len(out["embedding"][m]) for m in ("rna", "adt.v2")] == [2, 0]
    assert all(torch.isfinite(b).all() for b in module.buffers())


def test_fixed_input_layer_has_nothing_to_learn() -> None:
    names = [name for name, _ in module_of(input_layer="canonical").named_parameters()]
    assert not any(".input." in name for name in names)
    assert any(".input." in name for name, _ in module_of(input_layer="learned").named_parameters())


def test_published_initialisation_draws_every_vector_from_a_normal() -> None:
    torch.manual_seed(1)
    module = SiameseModule({"a": 50, "b": 50}, 4, Recipe.named("paper"))
    scales = module.encoders[0].layers[0].norm.weight.detach().numpy()
    assert abs(scales.mean()) < 0.2
    assert 0.9 < scales.std() < 1.1
    matrix = module.encoders[0].input.weight.detach().numpy()
    assert np.abs(matrix).max() <= np.sqrt(6 / (50 + 768))


def test_normalised_positions_lie_on_the_unit_sphere() -> None:
    rows = torch.rand(4, 32)
    torch.testing.assert_close(module_of(normalise=True).position(rows).norm(dim=1), torch.ones(4))
    torch.testing.assert_close(module_of(normalise=False).position(rows), rows)


def test_modality_pairs_lists_each_once() -> None:
    assert modality_pairs(["a", "b", "c"]) == [("a", "b"), ("a", "c"), ("b", "c")]


def test_classification_loss_leaves_unlabelled_cells_out() -> None:
    module = module_of()
    logits, labels = torch.randn(6, 4), torch.tensor([0, 1, -1, 3, -1, 2])
    known = labels >= 0
    expected = torch.nn.functional.cross_entropy(logits[known], labels[known])
    found = module._classification_loss({"rna": logits, "adt.v2": logits}, {"rna": labels, "adt.v2": labels})
    torch.testing.assert_close(found, 2 * expected)  # a sum over modalities
    nobody = torch.full((6,), -1)
    assert module._classification_loss({"rna": logits}, {"rna": nobody}).item() == 0


def test_epochs_fill_the_steps_but_see_no_cell_too_often() -> None:
    recipe = Recipe(max_steps=1000)
    assert recipe.n_epochs(30, 7_000) == 34
    assert recipe.n_epochs(2, 500) == 60
    assert Recipe(max_steps=1000, max_epochs=90).n_epochs(2, 500) == 90


def test_many_pairs_are_seen_in_five_epochs_unless_steps_are_given() -> None:
    assert Recipe().n_epochs(20, 5_000) == Recipe().n_epochs(20, 0) == 20
    assert Recipe().n_epochs(274, 70_000) == 5
    assert Recipe(max_steps=400).n_epochs(274, 70_000) == 2
    assert Recipe(max_epochs=1).n_epochs(274, 70_000) == 1
    # coupled cells beside 25,600 pairs: 500 steps
    assert Recipe().n_epochs(250, 25_600) == 2


def test_dropout_follows_the_number_of_pairs_unless_given() -> None:
    assert Recipe().dropout(6400) == pytest.approx(0.1)
    assert Recipe().dropout(100) == 0.3
    assert Recipe(hidden_dropout=0.1).dropout(400) == 0.1
    assert Recipe.named("paper").dropout(400) == 0.0


def test_layers_beyond_the_first_are_added_to_what_they_were_given() -> None:
    encoder = module_of(n_layers=2).eval().encoder("rna")
    projected = torch.rand(6, 3)
    first = encoder.layers[0](projected)
    second = encoder.layers[1].norm(torch.nn.functional.gelu(encoder.layers[1].linear(first)))
    torch.testing.assert_close(encoder.hidden(projected), first + second)


def test_hidden_dropout_acts_in_training_only() -> None:
    module = module_of(n_layers=2, hidden_dropout=0.5)
    projected = torch.rand(6, 3)
    assert (module.encoder("rna").hidden(projected, dropout=module.hidden_dropout) == 0).any()
    module.eval()
    hidden = module.encoder("rna").hidden
    torch.testing.assert_close(hidden(projected, dropout=0.5), hidden(projected))


@pytest.mark.parametrize("batch_size", [7, 50])
def test_hidden_moments_are_what_batch_norm_sees_in_training(batch_size: int) -> None:
    module = module_of(n_layers=3)
    projected = np.random.default_rng(0).normal(2, 3, size=(20, 3)).astype(np.float32)
    found = hidden_moments(module, projected, "rna", batch_size=batch_size)
    by_moments, _ = embed_projected(module, projected, "rna", moments=found, batch_size=batch_size)
    module.train()  # all cells as one batch, without dropout
    with torch.no_grad():
        out = module.inference({"rna": torch.from_numpy(projected)}, projected=True)
    np.testing.assert_allclose(by_moments, module.position(out["embedding"]["rna"]).numpy(), atol=1e-5)
    for mean, variance in found:
        assert mean.dtype == variance.dtype == torch.float32


def test_hidden_moments_of_many_cells_are_those_of_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    module = module_of(n_layers=3)
    # in an order, as cells of a file often are
    projected = np.sort(np.random.default_rng(0).normal(2, 3, size=(15_001, 3)).astype(np.float32), axis=0)
    of_a_part = hidden_moments(module, projected, "rna")
    monkeypatch.setattr("scminnet.model.inference.forward_pass.MAX_CELLS_FOR_HIDDEN_STATISTICS", len(projected))
    for (mean, variance), (all_mean, all_variance) in zip(
        of_a_part, hidden_moments(module, projected, "rna"), strict=True
    ):
        assert not torch.equal(mean, all_mean)
        assert ((mean - all_mean).abs() <= 0.02 * all_variance.sqrt() + 1e-6).all()
        torch.testing.assert_close(variance, all_variance, rtol=0.05, atol=1e-6)
