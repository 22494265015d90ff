"""Says what built pages load from a network: ``python docs/check_html.py FOLDER``.

A reader without a network must miss nothing. Links that a reader follows may lead anywhere.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

#: What a browser loads by itself: scripts, styles, images, fonts, frames.
LOADED = re.compile(
    r"<(?:script|img|iframe|source|video|audio|embed)\b[^>]*?\bsrc=[\"']?((?:https?:)?//[^\"'\s>]+)"
    r"|<link\b(?=[^>]*\brel=[\"']?(?:stylesheet|preload|icon|modulepreload))"
    r"[^>]*?\bhref=[\"']?((?:https?:)?//[^\"'\s>]+)"
    r"|url\([\"']?((?:https?:)?//[^\"')]+)"
    r"|@import\s+[\"']((?:https?:)?//[^\"']+)",
    re.IGNORECASE,
)


def loaded_from_elsewhere(text: str) -> list[str]:
    """Return the addresses that a page or a style sheet loads."""
    return [next(filter(None, groups)) for groups in LOADED.findall(text)]


def main() -> None:
    """Check all pages and style sheets of a folder."""
    folder = Path(sys.argv[1])
    pages = [path for path in folder.rglob("*") if path.suffix in (".html", ".css")]
    if not pages:
        raise SystemExit(f"{folder} holds no page")
    found = {
        (str(page.relative_to(folder)), address)
        for page in pages
        for address in loaded_from_elsewhere(page.read_text(errors="replace"))
    }
    if found:
        raise SystemExit(
            "\n".join(f"{page} loads {address}" for page, address in sorted(found))
        )
    print(f"{len(pages)} pages and style sheets load nothing from a network")


if __name__ == "__main__":
    main()
