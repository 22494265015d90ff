from __future__ import annotations

from benchmarks.peers.environments import REQUIREMENTS
from benchmarks.peers.methods import METHODS, rna_halves
from benchmarks.shared.development_sets import DevelopmentSet


def test_every_method_has_a_script_or_a_reason() -> None:
    for name, method in METHODS.items():
        script = REQUIREMENTS.parent / method.script
        assert bool(method.missing) != script.is_file(), name


def test_halves_of_the_genes_are_disjoint_and_complete(data: DevelopmentSet) -> None:
    changed = rna_halves(data, 0)
    for mdata in (changed.train, changed.test):
        first, second = (set(mdata[m].var_names) for m in data.modalities)
        assert not first & second
        assert first | second == set(data.train["rna"].var_names)
    # the same halves in both
    assert changed.train["rna"].var_names.equals(changed.test["rna"].var_names)
