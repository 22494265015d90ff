"""What an antibody binds, read from its name: the genes of its antigen, or that it is a control.

The table ``antibodies.tsv`` ships with the package; its first lines tell its source, licence and columns.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import NamedTuple

ORGANISMS = ("human", "mouse")

#: Why an antibody has no genes.
ISOTYPE, HASHTAG, CONTROL, UNKNOWN = "isotype control", "hashtag", "blank or control", "unknown antibody"

_GREEK = str.maketrans(
    {"α": "a", "β": "b", "γ": "g", "δ": "d", "ε": "e", "κ": "k", "λ": "l", "μ": "m", "µ": "m", "ζ": "z", "_": " "}
)
_SEPARATORS = re.compile(r"[\s._|/(),:;\[\]+-]+")

_VENDOR = re.compile(r"total[\s-]*seq[\s.-]*[abcd]?(?![a-z])|(?<![a-z0-9])ts[abcd](?![a-z0-9])|[™®]", re.IGNORECASE)
_BARCODE = re.compile(r"(?<![a-z0-9])[abcd]?[01]\d{3}(?![a-z0-9])", re.IGNORECASE)
_ASSAY = r"adt|prot|protein|ab|abs|abseq|antibody|cite|pabo|abo"
_ASSAY_FIRST = re.compile(rf"^(?:{_ASSAY})[\s.:-]+", re.IGNORECASE)
_ASSAY_LAST = re.compile(rf"[\s.:-]+(?:{_ASSAY})$", re.IGNORECASE)

_SPECIES = {"human": "human", "hu": "human", "hs": "human", "mouse": "mouse", "ms": "mouse", "mm": "mouse"}
_SPECIES |= {"rat": "rat", "rt": "rat", "rhesus": "rhesus"}
_ONE = "|".join(sorted(_SPECIES, key=len, reverse=True))
_HOST = re.compile(rf"^(?:{_ONE}|rabbit|goat|hamster|armenian hamster)[\s.-]+(?=anti[\s.-])", re.IGNORECASE)
_AGAINST = re.compile(rf"^(?:anti[\s.-]*)?((?:{_ONE})(?:[\s./,-]*(?:{_ONE}))*)[\s.,/-]+|^anti[\s.-]+", re.IGNORECASE)
_AGAINST_LAST = re.compile(r"[\s.-]+\(?(human|mouse|hu|hs|ms|mm)\)?$", re.IGNORECASE)
_GLUED = re.compile(r"^(?:(hu|h)|(ms|m))(?=CD\d)")

_HOSTS = r"(?:(?:mouse|rat|rag|hamster|armenian|syrian|goat|rabbit|human|hu|ms|rt|hm|ham)\s*|[mr](?=igg))"
_IS_ISOTYPE = re.compile(rf"isotype|^{_HOSTS}*igg\s?\d[a-c]?(?![a-z0-9]*fc)|^{_HOSTS}+igg(?!\s?fc)", re.IGNORECASE)
_IS_HASHTAG = re.compile(
    r"(?:^|\s)(?:hto|hash\s?tags?|hash|cmo|lmo|sample\s?tag)(?:\s?[a-z]?\d*[a-z]?)?(?:\s|$)|^(?:hto|hash\s?tag)",
    re.IGNORECASE,
)
_IS_CONTROL = re.compile(
    r"^(?:blank|unmapped|unknown|bad struct|no ?match|ambiguous|total reads|spike ?in)(?:\s|\d|$)"
    r"|^(?:streptavidin|biotin|fitc|pe|apc)$"
    r"|(?:^|\s)(?:control|ctrl|ctl)(?:\s|\d|$)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Antigen:
    """An antigen, and the weighted genes that encode it by organism."""

    name: str
    genes: Mapping[str, Mapping[str, float]]


class Antibody(NamedTuple):
    """What the name of an antibody tells.

    ``antigen`` is its name in the table, and "" where the table has none. ``genes`` are weighted gene symbols.
    ``reason`` says why there are none.
    ``spellings`` are the name without additions, which may be a gene symbol.
    """

    antigen: str
    genes: Mapping[str, float]
    reason: str
    spellings: tuple[str, ...]


@dataclass
class _Cleaned:
    text: str
    species: set[str] = field(default_factory=set)


@cache
def antigens() -> tuple[Antigen, ...]:
    """Return the antigens of the table."""
    return tuple(antigen for antigen, _ in _rows())


@cache
def _rows() -> tuple[tuple[Antigen, tuple[str, ...]], ...]:
    text = files("scminnet.coupling").joinpath("antibodies.tsv").read_text(encoding="utf-8")
    lines = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
    rows = []
    for name, aliases, human, mouse in lines[1:]:
        genes = {"human": _weights(human), "mouse": _weights(human if mouse == "=" else mouse)}
        rows.append((Antigen(name, genes), (name, *filter(None, aliases.split(";")))))
    return tuple(rows)


def _weights(text: str) -> dict[str, float]:
    pairs = [part.partition(":") for part in text.split(";") if part]
    return {gene: float(weight or 1) for gene, _, weight in pairs}


@cache
def _by_key() -> dict[str, list[Antigen]]:
    """Return the antigens by each of their names; the symbol of a single gene is a name as well."""
    found: dict[str, list[Antigen]] = {}
    for antigen, names in _rows():
        for key in dict.fromkeys(map(compact, names)):
            found.setdefault(key, []).append(antigen)
    for antigen, _ in _rows():
        for organism in ORGANISMS:
            symbols = [symbol for symbol, weight in antigen.genes[organism].items() if weight == 1]
            if len(antigen.genes[organism]) == len(symbols) == 1:
                found.setdefault(compact(symbols[0]), [antigen])
    return found


def compact(name: str) -> str:
    """Return a name without separators and letter case, digits still apart: ``CD3.1`` is not ``CD31``."""
    text = unicodedata.normalize("NFKC", name).translate(_GREEK).upper()
    text = re.sub(r"ALPHA", "A", re.sub(r"BETA", "B", re.sub(r"GAMMA", "G", re.sub(r"DELTA", "D", text))))
    text = re.sub(r"EPSILON", "E", text)
    text = re.sub(r"(?<=\d)[^A-Z0-9]+(?=\d)", "_", text)
    return re.sub(r"[^A-Z0-9_]+", "", text)


def identify(name: str, organism: str = "human") -> Antibody:
    """Tell which genes an antibody stands for.

    Parameters
    ----------
    name
        Name as in data: ``CD3``, ``cd11b.2``, ``HLA.DR``, ``CD45RA_TotalSeqB``, ``anti-human CD8a``, ``CD4_RPA-T4``,
        ``0046_anti-mouse_CD8a``.
    organism
        ``"human"`` or ``"mouse"``: whose genes.

    Examples
    --------
    >>> from scminnet.coupling.antibodies import identify
    >>> sorted(identify("CD3_TotalSeqB").genes)
    ['CD3D', 'CD3E', 'CD3G']
    >>> identify("IgG1_control_TotalSeqB").reason
    'isotype control'
    """
    control = _control(name)
    if control:
        return Antibody("", {}, control, ())
    cleaned = _clean(name)
    tokens = [token for token in _SEPARATORS.split(cleaned.text) if token]
    spellings = tuple(dict.fromkeys([cleaned.text.strip(), *tokens[:1]]))
    bound = cleaned.species & {"human", "mouse"}
    if bound and organism not in bound:
        return Antibody("", {}, f"antibody against {' and '.join(sorted(bound))}", ())
    known = [antigen for key in _candidates(cleaned.text, tokens) for antigen in _by_key().get(key, ())]
    # CD45.1 is an allele in mouse, and the second CD45 of a panel in human
    for antigen in known:
        if antigen.genes[organism]:
            return Antibody(antigen.name, antigen.genes[organism], "", spellings)
    if known:
        return Antibody(known[0].name, {}, f"without a {organism} gene", spellings)
    return Antibody("", {}, UNKNOWN, spellings)


def _control(name: str) -> str:
    """Return what kind of control an antibody is, "" if it is none."""
    text = _BARCODE.sub(" ", _VENDOR.sub(" ", unicodedata.normalize("NFKC", name).translate(_GREEK)))
    text = _ASSAY_FIRST.sub("", re.sub(r"[\s.:-]+", " ", text).strip())
    text = (
        re.sub(rf"^anti (?:(?:{_ONE}) )?", "", text, flags=re.IGNORECASE) if re.search("hash|hto", text, re.I) else text
    )
    for pattern, control in ((_IS_ISOTYPE, ISOTYPE), (_IS_HASHTAG, HASHTAG), (_IS_CONTROL, CONTROL)):
        if pattern.search(text):
            return control
    return CONTROL if not text.strip() else ""


def _clean(name: str) -> _Cleaned:
    """Take vendor, barcode, assay and species off a name."""
    text = unicodedata.normalize("NFKC", name).translate(_GREEK)
    text = _BARCODE.sub(" ", _VENDOR.sub(" ", text)).strip(" .-:|,")
    text = _ASSAY_LAST.sub("", _ASSAY_FIRST.sub("", text))
    species = set()
    text = _HOST.sub("", text)
    for pattern in (_AGAINST, _AGAINST_LAST):
        found = pattern.search(text)
        if found:
            parts = re.findall(_ONE, (found[1] or "").lower())
            species |= {_SPECIES[part] for part in parts}
            text = text[: found.start()] + text[found.end() :]
    glued = _GLUED.match(text)
    if glued:
        species.add("human" if glued[1] else "mouse")
        text = text[glued.end() :]
    return _Cleaned(text.strip(" .-:|,"), species)


def _candidates(text: str, tokens: list[str]) -> Iterator[str]:
    """Yield keys to look up, the more specific first."""
    yield compact(text)
    # what follows may be a clone (CD4_RPA-T4), another name in brackets, or the number of a repeated name (CD3.1)
    for end in range(len(tokens), 0, -1):
        yield compact(" ".join(tokens[:end]))
    for start in range(1, len(tokens)):
        if re.match(r"CD\d", tokens[start], re.IGNORECASE):
            for end in range(len(tokens), start, -1):
                yield compact(" ".join(tokens[start:end]))
