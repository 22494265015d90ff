from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scminnet.genomics.motifs import Motif, find_motifs, log_odds, read_motifs, score_threshold

UNIFORM = np.full(4, 0.25)
BASES = "ACGT"


def motif(seed: int, width: int) -> Motif:
    return Motif(f"m{seed}", f"tf{seed}", np.random.default_rng(seed).integers(0, 20, (4, width)).astype(float) + 1)


@given(
    seed=st.integers(0, 1000),
    width=st.integers(2, 5),
    pvalue=st.sampled_from([0.3, 0.05, 0.004]),
    gc=st.floats(0.2, 0.8),
)
@settings(max_examples=25, deadline=None)
def test_threshold_equals_counting_all_words(seed: int, width: int, pvalue: float, gc: float) -> None:
    background = np.array([1 - gc, gc, gc, 1 - gc]) / 2
    bits = log_odds(motif(seed, width).counts, background)
    share = motif(seed, width).counts + 0.8 * background[:, None]
    np.testing.assert_allclose(bits / 1000, np.log2(share / share.sum(axis=0) / background[:, None]), atol=6e-4)
    words = np.array(list(itertools.product(range(4), repeat=width)))
    scores = bits[words, np.arange(width)].sum(axis=1)
    weights = background[words].prod(axis=1)
    threshold = score_threshold(bits, background, pvalue)
    assert weights[scores >= threshold].sum() <= pvalue + 1e-12
    # the next lower score would be too probable
    below = scores[scores < threshold]
    if len(below):
        assert weights[scores >= below.max()].sum() > pvalue - 1e-12


@given(seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_hits_equal_loops_over_both_strands(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 40, 12)
    sequences = ["".join(rng.choice(list("ACGTN"), n, p=[0.24, 0.24, 0.24, 0.24, 0.04])) for n in lengths]
    motifs = [motif(seed, 4), motif(seed + 1, 7)]
    found = find_motifs(sequences, motifs, UNIFORM, pvalue=0.02)
    for j, m in enumerate(motifs):
        bits, width = log_odds(m.counts, UNIFORM), m.counts.shape[1]
        threshold = score_threshold(bits, UNIFORM, 0.02)
        for i, sequence in enumerate(sequences):
            other = sequence.translate(str.maketrans("ACGT", "TGCA"))[::-1]
            windows = [s[k : k + width] for s in (sequence, other) for k in range(len(s) - width + 1)]
            scores = [sum(bits[BASES.index(b), p] for p, b in enumerate(w)) for w in windows if "N" not in w]
            assert found[i, j] == (max(scores, default=-np.inf) >= threshold)


def test_chunks_change_nothing(monkeypatch) -> None:
    rng = np.random.default_rng(0)
    sequences = ["".join(rng.choice(list(BASES), n)) for n in rng.integers(0, 60, 50)]
    motifs = [motif(0, 5), motif(1, 6)]
    whole = find_motifs(sequences, motifs, UNIFORM, pvalue=0.01)
    monkeypatch.setattr("scminnet.genomics.motifs._CHUNK", 100)
    np.testing.assert_array_equal(find_motifs(sequences, motifs, UNIFORM, pvalue=0.01), whole)
    assert 0 < whole.mean() < 1


def test_muon_ships_jaspar() -> None:
    pytest.importorskip("Bio", reason="needs the extra genome")
    motifs = read_motifs()
    assert len(motifs) == 746
    found = {m.id: m for m in motifs}["MA0004.1"]
    assert found.name == "Arnt"
    np.testing.assert_array_equal(found.counts.argmax(axis=0), [1, 0, 1, 2, 3, 2])


JASPAR = ">MA0004.1 Arnt\nA [ 4 19 0 0 0 0 ]\nC [16 0 20 0 0 0 ]\nG [ 0 1 0 20 0 20 ]\nT [ 0 0 0 0 20 0 ]\n"
MEME = (
    "MEME version 4\n\nALPHABET= ACGT\n\nstrands: + -\n\nBackground letter frequencies\nA 0.25 C 0.25 G 0.25 T 0.25\n\n"
    "MOTIF MA0004.1 Arnt\nletter-probability matrix: alength= 4 w= 6 nsites= 20 E= 0\n"
    "0.2 0.8 0 0\n0.95 0 0.05 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n0 0 1 0\n"
)
PFM = "4 19 0 0 0 0\n16 0 20 0 0 0\n0 1 0 20 0 20\n0 0 0 0 20 0\n"


@pytest.mark.parametrize(("text", "name"), [(JASPAR, "MA0004.1"), (MEME, "MA0004.1"), (PFM, "own")])
def test_formats_of_users_files(tmp_path, text: str, name: str) -> None:
    pytest.importorskip("Bio", reason="needs the extra genome")
    (tmp_path / "own.txt").write_text(text)
    (found,) = read_motifs(tmp_path / "own.txt")
    assert found.id == name
    np.testing.assert_allclose(
        found.counts / found.counts.sum(axis=0),
        np.array([[4, 19, 0, 0, 0, 0], [16, 0, 20, 0, 0, 0], [0, 1, 0, 20, 0, 20], [0, 0, 0, 0, 20, 0]]) / 20,
        atol=0.011,
    )


@pytest.mark.parametrize("text", ["", "no motif at all\n", ">m\nA [ x ]\n", "MEME version 4\n"])
def test_other_files_are_refused(tmp_path, text: str) -> None:
    pytest.importorskip("Bio", reason="needs the extra genome")
    (tmp_path / "own.txt").write_text(text)
    with pytest.raises(ValueError, match="`motifs`: 'own.txt'"):
        read_motifs(tmp_path / "own.txt")
    with pytest.raises(FileNotFoundError, match="`motifs`: there is no file"):
        read_motifs(tmp_path / "none.txt")
