"""Downloads public files into a cache, checks them, and gives them their final name only when complete."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pooch
from requests.exceptions import RequestException

from scminnet._core.outputs import target_of

#: Environment variable that names the cache folder.
CACHE_VARIABLE = "SCMINNET_CACHE"

#: pooch's default of 1 kB would take minutes of Python for gigabytes.
CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class Source:
    """Address of a public file, and its name in the cache."""

    url: str
    #: Name in the cache. A file whose ``url`` ends in ``.gz`` is unpacked, so this name lacks that ending.
    file_name: str
    #: ``"algorithm:digest"`` of the file as the server sends it. ``None`` if none has been published.
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
        ``path`` is not a path.
    NotADirectoryError
        ``path`` is a file.
    """
    if path is not None and not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"`path` is a {type(path).__name__}. Give the path of a folder, or None for the cache.")
    given = path if path is not None else os.environ.get(CACHE_VARIABLE) or pooch.os_cache("scminnet")
    folder = Path(given).expanduser()
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"`path`: {str(folder)!r} is a file. Give a folder to keep the downloads in.")
    return folder


def fetch(source: Source, path: str | os.PathLike[str] | None = None, *, progress: bool = True) -> Path:
    """Return the path of a file. Download it if it is not in the cache.

    The file gets its name once it is complete and its checksum is right. Before, it has a temporary name.

    Parameters
    ----------
    source
        The file.
    path
        Folder to keep it in, see :func:`cache_folder`.
    progress
        Whether to show a progress bar on stderr.

    Returns
    -------
    Path of the unpacked file.

    Raises
    ------
    ConnectionError
        The file, or part of it, could not be downloaded.
    ValueError
        The checksum is wrong.
    """
    folder = cache_folder(path)
    final = folder / source.file_name
    packed = source.url.endswith(".gz")
    if packed and final.is_file():
        return final
    sent = final.with_name(final.name + ".gz") if packed else final
    # identity: the bytes of the checksum, with a Content-Length that reveals missing ones
    headers = {"User-Agent": "scminnet", "Accept-Encoding": "identity"}
    downloader = pooch.HTTPDownloader(progressbar=progress, chunk_size=CHUNK_BYTES, headers=headers)
    try:
        pooch.retrieve(source.url, source.known_hash, fname=sent.name, path=folder, downloader=downloader)
    except RequestException as error:
        raise ConnectionError(
            f"{sent.name} could not be downloaded completely from {source.url}: {error}. "
            f"Check the network and call again, or download the file yourself and put it at {str(sent)!r}."
        ) from error
    except ValueError as error:
        raise ValueError(
            f"{sent.name} from {source.url} is not the known file. {error} "
            "Call again. If the checksum stays the same, the publisher has replaced the file: open an issue."
        ) from error
    if packed:
        _unpack(sent, final)
    return final


def _unpack(sent: Path, final: Path) -> None:
    """Unpack a gzip file, then remove it."""
    # pooch unpacks under the final name, so an interruption would leave a truncated file that looks complete
    with tempfile.TemporaryDirectory(dir=sent.parent) as scratch:
        unpack = pooch.Decompress(method="gzip", name=f"{Path(scratch).name}/{final.name}")
        try:
            unpacked = Path(unpack(str(sent), "download", None))
        except FileNotFoundError:
            # another process unpacked and removed it meanwhile
            if not final.is_file():
                raise
            return
        unpacked.replace(target_of(final))
    sent.unlink(missing_ok=True)
