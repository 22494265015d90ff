"""Links as files for genome browsers."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pandas as pd
from mudata import MuData

from scminnet._core.argument_types import check_types
from scminnet._core.arguments import check_choice
from scminnet._core.files import atomic_text_file
from scminnet._core.outputs import check_output, format_of
from scminnet.genomics.link_table import LINK_COLUMNS, PAIR_COLUMNS, SHARES, link_strength, link_table, ranking

#: UCSC's definition of interact and bigInteract (bed5+13), for ``bedToBigBed -as``.
INTERACT_AS = """\
table interact
"Interaction between two regions"
    (
    string chrom;        "Chromosome (or contig, scaffold, etc.). For interchromosomal, use 2 records"
    uint chromStart;     "Start position of lower region. For interchromosomal, set to chromStart of this region"
    uint chromEnd;       "End position of upper region. For interchromosomal, set to chromEnd of this region"
    string name;         "Name of item, for display. Usually 'sourceName/targetName/exp' or empty"
    uint score;          "Score (0-1000)"
    double value;        "Strength of interaction or other data value. Typically basis for score"
    string exp;          "Experiment name (metadata for filtering). Use . if not applicable"
    string color;        "Item color. Specified as r,g,b or hexadecimal #RRGGBB or html color name"
    string sourceChrom;  "Chromosome of source region (directional) or lower region"
    uint sourceStart;    "Start position in chromosome of source region"
    uint sourceEnd;      "End position in chromosome of source region"
    string sourceName;   "Identifier of source region"
    string sourceStrand; "Orientation of source region: + or -. Use . if not applicable"
    string targetChrom;  "Chromosome of target region (directional) or upper region"
    uint targetStart;    "Start position in chromosome of target region"
    uint targetEnd;      "End position in chromosome of target region"
    string targetName;   "Identifier of target region"
    string targetStrand; "Orientation of target region: + or -. Use . if not applicable"
    )
"""

#: Colours of links with positive and negative correlation, distinct with any colour vision.
POSITIVE_COLOR, NEGATIVE_COLOR = "#b2182b", "#2166ac"

_NEEDED = ("gene", "peak", "chrom", "start", "end", "tss", "strand", "r")

#: Columns of a table of links that a BEDPE file gets behind its own ten.
#: ``score`` has a place of its own there.
_EXTRAS = ("distance", "promoter", *LINK_COLUMNS[len(PAIR_COLUMNS) : -1])


@check_types
def export_links(
    links: pd.DataFrame | MuData, path: str | os.PathLike[str], *, format: str | None = None, score: str | None = None
) -> None:
    """Write links for a genome browser.

    All links of the table are written, so select those to show first. An interrupted write leaves what was at ``path``.
    Rows are sorted by chromosome and start, as by ``LC_COLLATE=C sort -k1,1 -k2,2n``.

    Parameters
    ----------
    links
        The MuData of bulks after ``cre_links``, or its table.
    path
        The file to write. Its folder must exist. A name that ends in ``.gz`` is compressed by gzip. The file that a
        symbolic link names is replaced. A named pipe or a device is written to.
    format
        ``None``: from the end of the file's name, which is then one of these. ``.gz`` may follow it.

        - ``"bed"``, BED6: the peak, named after the gene, with the gene's strand.
        - ``"bedpe"``: the peak and the base of the transcript start, named ``peak/gene``, the gene's strand last. Then
          the table's own columns (``distance``, ``r``, ...). The header begins with ``#``. For IGV and bedtools.
        - ``"interact"``, UCSC's bed5+13: from the peak (source) to the base of the transcript start (target). A track
          line makes it a custom track. Column ``exp`` is the group. Red links are positive, blue ones negative.
        - ``"biginteract"``: the same without the track line, and beside it ``{path}.as``, for
          ``bedToBigBed -tab -type=bed5+13 -as={path}.as {path} chrom.sizes links.bb``.
        - ``"longrange"``: for the WashU browser and IGV, two lines a link, one from each end: the region, then
          ``chrom:start-end,score``, a running number, and ``+`` at the lower end or ``-`` at the upper. Write it
          uncompressed. Then compress and index it with ``bgzip`` and ``tabix -p bed``.
    score
        Column that fills the formats' scores: ``"score"``, ``"abc"``, ``"r"``, ``"r_conditional"``, ``"z"``, or -log10
        of ``"p"`` or ``"fdr"``. ``None``: ``"score"``, or ``"r"`` of a table without it. ``bedpe``, ``longrange`` and
        the interact ``value`` hold it as it is. Scores of BED and interact go from 0 to 1000. They are 1000 times the
        size of score, abc or r, or 1000 times the size of another column divided by the largest in the table.

    Raises
    ------
    TypeError
        ``links`` is neither table nor MuData.
    KeyError
        ``links`` is a MuData without links.
    FileNotFoundError, IsADirectoryError
        The folder is not there, or ``path`` is one.
    OSError
        The folder is read-only or full, or ``path`` is a socket.
    ValueError
        The table lacks columns, rows or scores. A strand is neither + nor -. The format is unknown.

    Examples
    --------
    >>> import scminnet as mn
    >>> table = bulks.uns["cre_links"]  # doctest: +SKIP
    >>> mn.tl.export_links(table[table["fdr"] < 0.05], "links.interact")  # doctest: +SKIP
    """
    if format is None:
        format = format_of(path, FORMATS, "path", remedy=", or give `format`")
    check_choice(format, FORMATS, "format")
    # its definition is written beside a file
    check_output(path, "path", stream=format != "biginteract")
    score = ranking(links, score)
    table = link_table(links, [*_NEEDED, score])
    value = link_strength(table, score)
    if not table["strand"].isin(["+", "-"]).all():
        raise ValueError(
            "`links`: column 'strand' holds other values than '+' and '-'. Fill them, or leave these links out."
        )
    largest = 1.0 if score in SHARES else np.abs(value).max() or 1.0
    table = table.assign(
        value=value,
        score=np.rint(1000 * np.clip(np.abs(value) / largest, 0, 1)).astype(np.int64),
        # other programs split fields at blanks
        gene=_without_blanks(table["gene"]),
        peak=_without_blanks(table["peak"]),
    )
    rows = FORMATS[format](table)
    rows = rows.sort_values([rows.columns[0], rows.columns[1], rows.columns[2]], kind="stable")
    if format == "biginteract":
        with atomic_text_file(f"{os.fspath(path)}.as") as file:
            file.write(INTERACT_AS)
    with atomic_text_file(path) as file:
        if format == "interact":
            file.write(
                'track type=interact name="links" description="peak-gene links" '
                "interactDirectional=true visibility=full\n"
            )
        rows.to_csv(file, sep="\t", header=format == "bedpe", index=False, lineterminator="\n")


def _without_blanks(names: pd.Series) -> pd.Series:
    return names.astype(str).str.replace(r"\s+", "_", regex=True)


def _bed(links: pd.DataFrame) -> pd.DataFrame:
    return links[["chrom", "start", "end", "gene", "score", "strand"]]


def _bedpe(links: pd.DataFrame) -> pd.DataFrame:
    rows = pd.DataFrame(
        {
            "#chrom1": links["chrom"],
            "start1": links["start"],
            "end1": links["end"],
            "chrom2": links["chrom"],
            "start2": links["tss"],
            "end2": links["tss"] + 1,
            "name": links["peak"] + "/" + links["gene"],
            "score": links["value"],
            "strand1": ".",
            "strand2": links["strand"],
        }
    )
    return rows.join(links[[column for column in _EXTRAS if column in links]])


def _interact(links: pd.DataFrame) -> pd.DataFrame:
    group = links["group"].astype(str) if "group" in links else "."
    return pd.DataFrame(
        {
            "chrom": links["chrom"],
            "chromStart": np.minimum(links["start"], links["tss"]),
            "chromEnd": np.maximum(links["end"], links["tss"] + 1),
            "name": links["peak"] + "/" + links["gene"],
            "score": links["score"],
            "value": links["value"],
            "exp": _without_blanks(pd.Series(group, index=links.index)),
            "color": np.where(links["r"] >= 0, POSITIVE_COLOR, NEGATIVE_COLOR),
            "sourceChrom": links["chrom"],
            "sourceStart": links["start"],
            "sourceEnd": links["end"],
            "sourceName": links["peak"],
            "sourceStrand": ".",
            "targetChrom": links["chrom"],
            "targetStart": links["tss"],
            "targetEnd": links["tss"] + 1,
            "targetName": links["gene"],
            "targetStrand": links["strand"],
        }
    )


def _longrange(links: pd.DataFrame) -> pd.DataFrame:
    ends = [links[["chrom", "start", "end"]], links[["chrom"]].assign(start=links["tss"], end=links["tss"] + 1)]
    lower = (links["start"] <= links["tss"]).to_numpy()
    sides = []
    for here, there, is_lower in ((ends[0], ends[1], lower), (ends[1], ends[0], ~lower)):
        mate = there["chrom"].astype(str) + ":" + there["start"].astype(str) + "-" + there["end"].astype(str)
        mate += "," + links["value"].map("{:.6g}".format)
        sides.append(here.assign(mate=mate, id=0, strand=np.where(is_lower, "+", "-")))
    rows = pd.concat(sides, ignore_index=True)
    rows["id"] = np.arange(1, len(rows) + 1)
    return rows


FORMATS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "bed": _bed,
    "bedpe": _bedpe,
    "interact": _interact,
    "biginteract": _interact,
    "longrange": _longrange,
}
