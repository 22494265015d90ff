"""The report that every command writes beside its output."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from scminnet._core.compat import without_warning
from scminnet._core.obs_text import SAID_OF_TEXTS
from scminnet.cli._common import ERRORS, say
from scminnet.cli.outputs import Output

if TYPE_CHECKING:
    from mudata import MuData

    from scminnet.model import MinNet


def write_report(given: argparse.Namespace, out: Output, data: MuData | MinNet, **known: Any) -> bool:
    """Write the report, unless ``--no-report`` is given, or the output is a pipe. Return whether it was written.

    The output is in its place already: it is not lost if the report can not be written.

    Parameters
    ----------
    given
        The arguments.
    out
        The output.
    data, known
        As in :func:`scminnet.report`. A model embeds its own data first.
    """
    if out.report is None:
        return False
    from mudata import MuData

    from scminnet.reporting import report

    say("writing the report ...")
    try:
        if not isinstance(data, MuData):
            data.embed()
        # the command has said what looks odd about the labels
        with out.partial_report() as partial, without_warning(*SAID_OF_TEXTS):
            report(data, partial, command=given.command_line, seed=given.seed, title=given.parser.prog, **known)
    except ERRORS as error:
        say(f"warning: {out.report} can not be written: {' '.join(str(error).split())} The output is complete.")
        return False
    say(f"report: {out.report.absolute()}")
    return True
