"""A call of each command that works, on the files that the fixture ``files`` makes."""

from __future__ import annotations

#: The report has tests of its own, in ``test_reports.py``.
NO_REPORT = "--no-report"
QUICK = ["--max-epochs", "1", "--no-progress", NO_REPORT]
#: By command, its arguments before ``-o``. Names are of files in the folder ``files``.
COMMANDS = {
    "integrate": ["integrate", "cells.h5mu", "--modalities", "rna", "atac", "--tss", "tss.bed", *QUICK],
    "fit": ["fit", "cells.h5mu", "--modalities", "rna", "atac", *QUICK],
    "embed": ["embed", "model", "cells.h5mu", NO_REPORT],
    "links": ["links", "embedded.h5mu", "--tss", "tss.bed", "--bulks", "20", NO_REPORT],
    "demo": ["demo", "--data", "cells.h5mu", "--modalities", "rna", "atac", "--labels-key", "cell_type", *QUICK],
}
ENDINGS = {"integrate": "", "fit": "", "embed": ".h5mu", "links": ".tsv", "demo": ""}
