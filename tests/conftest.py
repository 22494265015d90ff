from __future__ import annotations

import os
from pathlib import Path

import pytest


def data_dir() -> Path | None:
    """Folder of the real data sets, if this machine has them."""
    given = os.environ.get("SCMINNET_DATA")
    candidate = Path(given) if given else Path(__file__).parents[2] / "shared" / "data"
    return candidate if candidate.is_dir() else None


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = data_dir()
    if folder is None:
        pytest.skip("real data sets are not at $SCMINNET_DATA or ../shared/data")
    return folder
