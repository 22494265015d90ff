"""Download of public files: kept in a cache, checked, and never half there under their final name."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pooch
from requests.exceptions import RequestException

#: Environment variable that names the cache folder.
CACHE_VARIABLE = "SCMINNET_CACHE"

#: pooch's 1 kB would take minutes of Python for a file of gigabytes.
CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class Source:
    """Where a public file is, and what it is called here."""

    url: str
    #: Name in the cache. A file whose ``url`` ends in ``.gz`` is unpacked, so its name here lacks that ending.
    file_name: str
    #: ``"algorithm:digest"`` of the file as the server sends it. ``None`` where nobody has published one.
    known_hash: str | None = None


def cache_folder(path: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of the downloads: ``path``, else ``$SCMINNET_CACHE``, else the system's cache folder.

    Parameters
    ----------
    path
        The user's choice. It need not exist.

    Raises
    ------
    TypeError
        ``path`` is no path.
    NotADirectoryError
        There is a file of that name.
    """
    if path is not None and not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"`path` is a {type(path).__name__}. Give the path of a folder, or None for the cache.")
    given = path if path is not None else os.environ.get(CACHE_VARIABLE) or pooch.os_cache("scminnet")
    folder = Path(given).expanduser()
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"`path`: {str(folder)!r} is a file. Give a folder to keep the downloads in.")
    return folder


def fetch(source: Source, path: str | os.PathLike[str] | None = None, *, progress: bool = True) -> Path:
    """Return the path of a file, downloading it where it is not in the cache.

    A file is written under a temporary name and takes its own when it is whole and its checksum right.

    Parameters
    ----------
    source
        The file.
    path
        Folder to keep it in; see :func:`cache_folder`.
    progress
        Whether to show a progress bar on stderr.

    Returns
    -------
    Path of the file, unpacked.

    Raises
    ------
    ConnectionError
        The file could not be downloaded, or not all of it.
    ValueError
        Its checksum is not the known one.
    """
    folder = cache_folder(path)
    final = folder / source.file_name
    packed = source.url.endswith(".gz")
    if packed and final.is_file():
        return final
    sent = final.with_name(final.name + ".gz") if packed else final
    # identity: the bytes that the checksum is of, and a Content-Length that tells when some are missing
    headers = {"User-Agent": "scminnet", "Accept-Encoding": "identity"}
    downloader = pooch.HTTPDownloader(progressbar=progress, chunk_size=CHUNK_BYTES, headers=headers)
    try:
        pooch.retrieve(source.url, source.known_hash, fname=sent.name, path=folder, downloader=downloader)
    except RequestException as error:
        raise ConnectionError(
            f"{sent.name} could not be downloaded whole from {source.url}: {error}. "
            f"Check the network and call again, or download the file by other means and put it at {str(sent)!r}."
        ) from error
    except ValueError as error:
        raise ValueError(
            f"{sent.name} from {source.url} is not the known file. {error} "
            "Call again; if the checksum found stays the same, its publisher has replaced the file: open an issue."
        ) from error
    if packed:
        _unpack(sent, final)
    return final


def _unpack(sent: Path, final: Path) -> None:
    """Unpack a gzip file, and remove it once this is done."""
    # pooch unpacks under the final name, where an interruption would leave half a file that looks whole
    with tempfile.TemporaryDirectory(dir=sent.parent) as scratch:
        unpack = pooch.Decompress(method="gzip", name=f"{Path(scratch).name}/{final.name}")
        Path(unpack(str(sent), "download", None)).replace(final)
    sent.unlink()
