from __future__ import annotations

import errno
import gzip
import hashlib
from pathlib import Path

import pooch
import pytest
import requests

from scminnet.datasets import _download
from scminnet.datasets._download import cache_folder, fetch
from scminnet.datasets._sources import SOURCES

#: larger than a chunk, so that an interruption falls between two
CONTENT = bytes(range(256)) * 10_000


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


@pytest.fixture
def plain(publish):
    publish("brain_3k_multiome", CONTENT)
    return "brain_3k_multiome"


@pytest.fixture
def packed(publish):
    publish("bmmc_cite", gzip.compress(CONTENT), ending=".gz")
    return "bmmc_cite"


@pytest.mark.parametrize("kind", ["plain", "packed"])
def test_a_file_is_downloaded_once_and_unpacked(kind, request, server, tmp_path):
    source = SOURCES[request.getfixturevalue(kind)]
    for _ in range(2):
        file = fetch(source, tmp_path / "new" / "folder", progress=False)
        assert file == tmp_path / "new" / "folder" / source.file_name
        assert file.read_bytes() == CONTENT
        assert names(file.parent) == [source.file_name]
    assert len(server.requests) == 1
    # what arrives is what the checksum is of
    assert server.headers[0]["Accept-Encoding"] == "identity"


def test_the_progress_bar_is_on_stderr(plain, tmp_path, capsys):
    fetch(SOURCES[plain], tmp_path / "a", progress=False)
    assert "100%" not in capsys.readouterr().err
    fetch(SOURCES[plain], tmp_path / "b")
    said = capsys.readouterr()
    assert said.out == ""
    assert "100%" in said.err


@pytest.mark.parametrize("known_hash", ["right", None])
def test_a_truncated_download_leaves_nothing(known_hash, publish, server, tmp_path):
    publish("covid_pbmc", CONTENT, known_hash=known_hash)
    server.withheld["covid_pbmc"] = 1000
    with pytest.raises(ConnectionError) as caught:
        fetch(SOURCES["covid_pbmc"], tmp_path, progress=False)
    text = str(caught.value)
    assert "covid_pbmc.h5ad could not be downloaded completely" in text
    assert server.url("covid_pbmc") in text
    assert f"{len(CONTENT) - 1000} bytes read, 1000 more expected" in text
    assert f"put it at {str(tmp_path / 'covid_pbmc.h5ad')!r}" in text
    assert names(tmp_path) == []
    del server.withheld["covid_pbmc"]
    assert fetch(SOURCES["covid_pbmc"], tmp_path, progress=False).read_bytes() == CONTENT


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_wrong_checksum_leaves_nothing(ending, publish, server, tmp_path):
    expected = "md5:" + "0" * 32
    publish("bmmc_cite", CONTENT, known_hash=expected, ending=ending)
    with pytest.raises(ValueError, match="bmmc_cite.h5ad.* is not the known file") as caught:
        fetch(SOURCES["bmmc_cite"], tmp_path, progress=False)
    text = str(caught.value)
    for part in (server.url("bmmc_cite"), expected, hashlib.md5(CONTENT).hexdigest(), "Call again"):
        assert part in text
    assert names(tmp_path) == []


def test_a_missing_file_is_named(server, plain, tmp_path):
    server.files.clear()
    with pytest.raises(ConnectionError, match=f"404.*{server.url(plain)}"):
        fetch(SOURCES[plain], tmp_path, progress=False)
    assert names(tmp_path) == []


def test_without_a_network_the_text_says_where_to_put_the_file(packed, server, tmp_path):
    server.http.server_close()
    with pytest.raises(ConnectionError, match="could not be downloaded") as caught:
        fetch(SOURCES[packed], tmp_path, progress=False)
    assert server.url("bmmc_cite.gz") in str(caught.value)
    assert repr(str(tmp_path / "bmmc_cite.h5ad.gz")) in str(caught.value)
    (tmp_path / "bmmc_cite.h5ad.gz").write_bytes(server.files["bmmc_cite.gz"])
    assert fetch(SOURCES[packed], tmp_path, progress=False).read_bytes() == CONTENT
    assert names(tmp_path) == ["bmmc_cite.h5ad"]


def test_a_damaged_file_in_the_cache_is_downloaded_anew(plain, server, tmp_path):
    (tmp_path / "brain_3k_multiome.h5").write_bytes(CONTENT[:-1])
    assert fetch(SOURCES[plain], tmp_path, progress=False).read_bytes() == CONTENT
    assert len(server.requests) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_an_interrupted_download_leaves_nothing(error, plain, tmp_path, monkeypatch):
    whole = requests.Response.iter_content

    def interrupted(self, chunk_size):
        yield next(whole(self, chunk_size))
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(requests.Response, "iter_content", interrupted)
        with pytest.raises(type(error)):
            fetch(SOURCES[plain], tmp_path, progress=False)
        assert names(tmp_path) == []
    assert fetch(SOURCES[plain], tmp_path, progress=False).read_bytes() == CONTENT


def test_an_interrupted_unpacking_leaves_the_download_only(packed, server, tmp_path, monkeypatch):
    def interrupted(source, target):
        target.write(source.read(1000))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pooch.processors.shutil, "copyfileobj", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch(SOURCES[packed], tmp_path, progress=False)
    assert names(tmp_path) == ["bmmc_cite.h5ad.gz"]
    assert fetch(SOURCES[packed], tmp_path, progress=False).read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_two_processes_that_want_one_file_both_get_it(packed, server, tmp_path, monkeypatch):
    source = SOURCES[packed]
    real = pooch.Decompress.__call__

    def after_the_other(self, fname, action, pup):
        # the other process has unpacked, and removed what was sent
        (tmp_path / source.file_name).write_bytes(b"unpacked")
        Path(fname).unlink()
        return real(self, fname, action, pup)

    monkeypatch.setattr(pooch.Decompress, "__call__", after_the_other)
    assert fetch(source, tmp_path, progress=False).read_bytes() == b"unpacked"
    assert names(tmp_path) == [source.file_name]


def test_the_folder_is_the_argument_or_the_variable_or_the_systems(tmp_path, monkeypatch):
    monkeypatch.setenv("SCMINNET_CACHE", str(tmp_path / "variable"))
    assert cache_folder(tmp_path) == tmp_path
    assert cache_folder() == tmp_path / "variable"
    monkeypatch.setenv("SCMINNET_CACHE", "")
    monkeypatch.setattr(_download.pooch, "os_cache", lambda project: tmp_path / project)
    assert cache_folder() == tmp_path / "scminnet"
    assert cache_folder("~") == Path.home()


def test_what_is_no_folder_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="`path`.*is a file. Give a folder"):
        cache_folder(tmp_path / "file")
    with pytest.raises(TypeError, match="`path` is a int"):
        cache_folder(3)


def test_sources_are_complete():
    files = [source.file_name for source in SOURCES.values()]
    assert len(set(files)) == len(files)
    for name, source in SOURCES.items():
        assert source.url.startswith("https://")
        assert source.file_name.startswith(name)
        # the one file of which no checksum has been published
        assert (source.known_hash is None) == (name == "covid_pbmc")
        if source.known_hash:
            algorithm, digest = source.known_hash.split(":")
            assert len(digest) == 2 * hashlib.new(algorithm).digest_size
