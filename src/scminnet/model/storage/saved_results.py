"""Checks what a saved model keeps of its training: history, range of the reference, coupling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from scminnet.model.diagnosis.reference_range import MIN_HELD_OUT, N_NEIGHBORS
from scminnet.model.storage.plain_forms import check_floats, dictionary, expect, names_of, tensor_of


def check_history(found: Any) -> None:
    """Raise unless a history has one value for each epoch."""
    for name, frame in dictionary({} if found is None else found, "history_").items():
        expect(
            isinstance(name, str) and isinstance(frame, list) and len(frame) == 3, f"the history of {name!r} is none"
        )
        of, epochs, values = frame
        expect(of is None or isinstance(of, str), f"the history of {name!r} counts nothing")
        expect(
            isinstance(epochs, list) and isinstance(values, list) and len(epochs) == len(values),
            f"the history of {name!r} has not one value for each epoch",
        )
        expect(
            all(type(n) is int for n in epochs) and all(type(v) is float for v in values),
            f"the history of {name!r} holds more than numbers",
        )


def check_reference_range(found: Any, modalities: Sequence[str], n_embedding: int, n_labels: int) -> None:
    """Raise unless the range of the reference is whole, and its embeddings have so many dimensions."""
    if found is None:
        return
    kept = {key: dictionary(dictionary(found, "reference_range_").get(key), f"reference_range_ {key}")
            for key in ("landmarks", "levels", "held_out", "foscttm")}  # fmt: skip
    expect(
        set(kept["landmarks"]) == set(kept["held_out"]), "`reference_range_` has not the same modalities in all parts"
    )
    for key, part in kept.items():
        expect(set(part) <= set(modalities), f"`reference_range_` {key} has other modalities than the model")
    check_floats(kept["levels"], "reference_range_ levels")
    for m, others in kept["foscttm"].items():
        check_floats(dictionary(others, f"reference_range_ foscttm of {m!r}"), f"reference_range_ foscttm of {m!r}")
    for m, landmarks in kept["landmarks"].items():
        held_out = dictionary(kept["held_out"][m], f"the held-out cells of {m!r}")
        _check_embedding(landmarks, f"the landmarks of {m!r}", n_embedding, N_NEIGHBORS)
        _check_embedding(held_out.get("embedding"), f"the held-out cells of {m!r}", n_embedding, MIN_HELD_OUT)
        for key, most in (("types", max(n_labels, 1)), ("half", 2)):
            codes = tensor_of(held_out.get(key), f"{key} of the held-out cells of {m!r}", 1)
            expect(
                codes.dtype == torch.int64
                and len(codes) == len(held_out["embedding"])
                and bool(((codes >= 0) & (codes < most)).all()),
                f"{key} of the held-out cells of {m!r} are not {len(held_out['embedding']):,} numbers below {most}",
            )
        limits = ("max_distance", "min_confidence", "signal", "features")
        check_floats({key: held_out.get(key) for key in limits}, f"the held-out cells of {m!r}")


def _check_embedding(found: Any, place: str, n_embedding: int, at_least: int) -> None:
    cells = tensor_of(found, place, 2)
    expect(
        cells.dtype == torch.float32 and cells.shape[1] == n_embedding and len(cells) >= at_least,
        f"{place} have shape {tuple(cells.shape)}, not at least {at_least} x {n_embedding}",
    )
    expect(bool(torch.isfinite(cells).all()), f"{place} hold NaN or infinite values")


def check_coupling(found: Any, modalities: Sequence[str]) -> dict[tuple[str, str], list[str]]:
    """Return the coupled cells by pair of modalities and modality."""
    pairs = {f"{a}, {b}": {a, b} for i, a in enumerate(modalities) for b in modalities[i + 1 :]}
    cells = {}
    for pair, summary in dictionary({} if found is None else found, "coupling_").items():
        place = f"the coupling of {pair}"
        expect(pair in pairs, f"{place!s:.200} is not one of two modalities")
        summary = dictionary(summary, place)
        expect(summary.get("verdict") in ("holds", "uncertain", "fails"), f"{place} has no verdict")
        check_floats({key: summary.get(key) for key in ("agreement", "p_value")}, place)
        check_floats(dictionary(summary.get("links"), place), f"{place}, links,")
        shuffled = tensor_of(summary.get("shuffled"), f"{place}, shuffled,", 1)
        expect(shuffled.is_floating_point() and len(shuffled) > 0, f"{place} has no shuffled links")
        sides = dictionary(summary.get("sides"), place)
        expect(set(sides) == pairs[pair], f"{place} has other sides")
        for m, side in sides.items():
            side = dictionary(side, place)
            cells[pair, m] = names_of(side.get("cells"), f"the cells of {m!r} in {place}", unique=False)
            for key in ("price", "p_value", "unmatched"):
                values = tensor_of(side.get(key), f"{key} of {m!r} in {place}", 1)
                expect(
                    len(values) == len(cells[pair, m]) and (values.dtype == torch.bool) == (key == "unmatched"),
                    f"{place} has not one {key} for each cell of {m!r}",
                )
            check_floats({"with_partner": side.get("with_partner")}, place)
            for key in ("with_partner_by_type", "with_partner_by_batch"):
                check_floats(dictionary(side.get(key), f"{key} in {place}"), f"{key} in {place}")
    return cells
