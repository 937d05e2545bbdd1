"""What is put into any store comes back, over bad lines too, or an error does."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers import S3_SECRET as SECRET
from servers import Shelf, new_bucket, s3_environment, s3_server, web_server

from MedWatermarkLib import store as stores
from MedWatermarkLib.output import OutputError, OutputExistsError
from MedWatermarkLib.store import (
    DamagedDownloadError,
    NotInStoreError,
    OversizeError,
    Store,
    StoreAccessError,
    StoreError,
    StoreUnreachableError,
    name_of,
)
from MedWatermarkLib.store_errors import StoreURLError, without_secrets

CONTENT = os.urandom(3_000_000) + b"end"
NAME = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def _local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr(stores, "_WAITS", (0.01, 0.02, 0.03))


@pytest.fixture
def shelf() -> Shelf:
    return Shelf({f"/shelf/{NAME}": CONTENT})


@pytest.fixture
def web(shelf: Shelf) -> Iterator[str]:
    with web_server(shelf) as url:
        yield url


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture
def s3(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in s3_environment(s3_endpoint).items():
        monkeypatch.setenv(name, value)
    return new_bucket()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source").write_bytes(CONTENT)
    return tmp_path / "source"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "targets").mkdir()
    return tmp_path / "targets" / "target"


def _part(target: Path) -> Path:
    return target.with_name(f".{NAME}.part")


# Every kind of store.


@pytest.fixture(params=["folder", "file URL", "memory", "http", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    kind = request.param
    if kind == "http":
        shelf = request.getfixturevalue("shelf")
        shelf.files.clear()
        return str(request.getfixturevalue("web"))
    if kind == "s3":
        return str(request.getfixturevalue("s3")) + "/" + tmp_path.name
    if kind == "memory":
        return f"memory://{tmp_path.name}"
    folder = tmp_path / "störe 1"
    folder.mkdir()
    return f"file://{folder}" if "URL" in kind else str(folder)


def test_what_is_put_comes_back(url: str, source: Path, target: Path) -> None:
    store = Store(url)
    assert not store.exists(NAME)
    sent: list[float] = []
    assert store.put(source, progress=sent.append) == NAME == name_of(source)
    assert store.exists(NAME)
    got: list[float] = []
    store.get(NAME, target, progress=got.append)
    assert target.read_bytes() == CONTENT
    assert [file.name for file in target.parent.iterdir()] == ["target"]
    for shares in (sent, got):
        assert shares == sorted(shares)
        assert shares[-1] == 1


def test_what_is_not_there_is_said_to_be_missing(url: str, target: Path) -> None:
    with pytest.raises(NotInStoreError):
        Store(url).get(NAME, target)
    assert list(target.parent.iterdir()) == []


def test_a_download_goes_on_where_it_broke_off(url: str, source: Path, target: Path) -> None:
    store = Store(url)
    store.put(source)

    def stop(share: float) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.get(NAME, target, progress=stop)
    assert not target.exists()
    assert 0 < _part(target).stat().st_size < len(CONTENT)
    shares: list[float] = []
    store.get(NAME, target, progress=shares.append)
    assert target.read_bytes() == CONTENT
    assert min(shares) > 0.5
    assert not _part(target).exists()


@pytest.mark.parametrize("start", [b"damaged", CONTENT[:-1] + b"x", CONTENT + b"more", bytes(9**7)])
def test_a_damaged_start_does_not_spoil_a_download(
    url: str, source: Path, target: Path, start: bytes
) -> None:
    store = Store(url)
    store.put(source)
    _part(target).write_bytes(start)
    store.get(NAME, target)
    assert target.read_bytes() == CONTENT


def test_a_file_that_had_arrived_is_only_placed(url: str, target: Path) -> None:
    _part(target).write_bytes(CONTENT)
    Store(url).get(NAME, target)
    assert target.read_bytes() == CONTENT


def test_what_is_put_twice_is_sent_once(
    url: str, source: Path, shelf: Shelf, request: pytest.FixtureRequest
) -> None:
    Store(url).put(source)
    Store(url).put(source)
    assert sum(method == "PUT" for method, *_ in shelf.requests) == ("http" in url)


def test_progress_can_stop_an_upload(url: str, source: Path) -> None:
    def stop(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Store(url).put(source, progress=stop)
    # The store works afterwards.
    assert Store(url).put(source) == NAME


def test_what_is_there_already_is_not_overwritten(url: str, source: Path) -> None:
    Store(url).put(source)
    with pytest.raises(OutputExistsError):
        Store(url).get(NAME, source)
    assert source.read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["", "../" + NAME, NAME.upper(), NAME + "\n", "/etc/passwd"])
def test_a_name_that_is_no_hash_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError):
        Store(tmp_path).exists(name)
    with pytest.raises(StoreError):
        Store(tmp_path).get(name, tmp_path / "target")


# Folders.


def test_other_content_under_a_name_is_refused(tmp_path: Path, target: Path) -> None:
    (tmp_path / NAME).write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(DamagedDownloadError):
        Store(tmp_path).get(NAME, target)
    assert list(target.parent.iterdir()) == []


def test_an_upload_that_was_cut_off_is_mended(tmp_path: Path, source: Path, target: Path) -> None:
    (tmp_path / NAME).write_bytes(CONTENT[:100])
    Store(tmp_path).put(source)
    Store(tmp_path).get(NAME, target)


def test_a_file_above_the_limit_is_refused_before_it_fills_the_disk(
    tmp_path: Path, source: Path, target: Path
) -> None:
    Store(tmp_path).put(source)
    with pytest.raises(OversizeError):
        Store(tmp_path).get(NAME, target, limit=len(CONTENT) - 1)
    assert list(target.parent.iterdir()) == []
    Store(tmp_path).get(NAME, target, limit=len(CONTENT))


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path, source: Path) -> None:
    with pytest.raises(NotInStoreError):
        Store(tmp_path / "missing").put(source)
    assert not (tmp_path / "missing").exists()


def test_nothing_is_left_in_a_folder_after_an_upload_that_was_stopped(
    tmp_path: Path, source: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(ZeroDivisionError):
        Store(folder).put(source, progress=lambda share: 1 / 0)  # type: ignore[arg-type, return-value]
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="root and modes are of POSIX")
def test_a_part_that_another_laid_as_a_link_is_not_followed(
    tmp_path: Path, source: Path, target: Path
) -> None:
    Store(tmp_path).put(source)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    _part(target).symlink_to(victim)
    with pytest.raises(OutputError):
        Store(tmp_path).get(NAME, target)
    assert victim.read_text() == "precious"


def test_two_processes_do_not_write_into_one_download(
    tmp_path: Path, source: Path, target: Path
) -> None:
    Store(tmp_path).put(source)
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from MedWatermarkLib.download import Download\n"
        f"with Download({NAME!r}, Path(sys.argv[1])) as download:\n"
        "    download.write(b'x')\n"
        "    print('taken', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(target)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "taken\n"
        with pytest.raises(OutputError, match="Another process"):
            Store(tmp_path).get(NAME, target)
        other.communicate("")
    Store(tmp_path).get(NAME, target)
    assert target.read_bytes() == CONTENT


# The web.


def test_a_line_that_breaks_time_and_again_is_only_slow(
    web: str, shelf: Shelf, target: Path
) -> None:
    shelf.breaks_after = 400_000
    Store(web).get(NAME, target)
    assert target.read_bytes() == CONTENT
    ranges = [wanted for _, _, wanted in shelf.requests]
    assert ranges == [None, *(f"bytes={400_000 * i}-" for i in range(1, 8))]


def test_a_server_without_ranges_is_read_from_the_start_again(
    web: str, shelf: Shelf, target: Path
) -> None:
    shelf.ranges = False
    _part(target).write_bytes(CONTENT[:1_000_000])
    Store(web).get(NAME, target)
    assert target.read_bytes() == CONTENT
    assert len(shelf.requests) == 1


@pytest.mark.parametrize("setting", ["sized", "compressed"])
def test_a_server_that_tells_no_size_is_read_to_the_end(
    web: str, shelf: Shelf, target: Path, setting: str
) -> None:
    setattr(shelf, setting, not getattr(shelf, setting))
    Store(web).get(NAME, target)
    assert target.read_bytes() == CONTENT
    assert Store(web).exists(NAME)


def test_a_server_that_never_gets_further_is_given_up_and_what_arrived_is_kept(
    web: str, shelf: Shelf, target: Path
) -> None:
    shelf.first = [200, 503, 503, 503]
    shelf.breaks_after = 1_000_000
    with pytest.raises(StoreUnreachableError):
        Store(web).get(NAME, target)
    assert len(shelf.requests) == 4
    assert not target.exists()
    assert _part(target).stat().st_size == 1_000_000
    shelf.breaks_after = None
    Store(web).get(NAME, target)
    assert shelf.requests[-1][2] == "bytes=1000000-"
    assert target.read_bytes() == CONTENT


def test_a_server_that_sends_without_end_is_cut_off(web: str, shelf: Shelf, target: Path) -> None:
    shelf.endless = True
    with pytest.raises(OversizeError):
        Store(web).get(NAME, target, limit=5_000_000)
    assert list(target.parent.iterdir()) == []


def test_a_bomb_under_compression_is_cut_off(web: str, shelf: Shelf, target: Path) -> None:
    shelf.compressed = True
    shelf.files[f"/shelf/{NAME}"] = bytes(50_000_000)
    with pytest.raises(OversizeError):
        Store(web).get(NAME, target, limit=5_000_000)


def test_other_content_from_a_server_is_refused(web: str, shelf: Shelf, target: Path) -> None:
    shelf.files[f"/shelf/{NAME}"] = b"<html>Please log in</html>"
    with pytest.raises(DamagedDownloadError):
        Store(web).get(NAME, target)
    assert list(target.parent.iterdir()) == []


def test_a_silent_server_is_not_waited_for(web: str, shelf: Shelf) -> None:
    shelf.silent = True
    start = time.monotonic()
    with pytest.raises(StoreUnreachableError):
        Store(web, timeout=0.2).exists(NAME)
    assert time.monotonic() - start < 4


@pytest.mark.parametrize("status", [429, 500, 503])
def test_trouble_that_passes_is_waited_out(
    web: str, shelf: Shelf, source: Path, target: Path, status: int
) -> None:
    shelf.first = [status, status]
    assert Store(web).exists(NAME)
    shelf.first = [status]
    Store(web).get(NAME, target)
    shelf.files.clear()
    shelf.first = [404, status]
    Store(web).put(source)
    assert shelf.files == {f"/shelf/{NAME}": CONTENT}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, StoreAccessError),
        (403, StoreAccessError),
        (404, NotInStoreError),
        (410, NotInStoreError),
        (451, StoreError),
    ],
)
def test_a_refusal_is_not_tried_again(
    web: str, shelf: Shelf, target: Path, status: int, kind: type[StoreError]
) -> None:
    shelf.first = [status]
    with pytest.raises(kind):
        Store(web).get(NAME, target)
    assert len(shelf.requests) == 1


def test_a_server_that_takes_no_files_says_so(web: str, shelf: Shelf, source: Path) -> None:
    shelf.files.clear()
    shelf.first = [404, 405]
    with pytest.raises(StoreAccessError, match="to read"):
        Store(web).put(source)


def test_a_query_goes_behind_the_name_and_a_password_to_the_server(
    web: str, shelf: Shelf, target: Path
) -> None:
    url = web.replace("http://", f"http://user:{SECRET}@") + f"/?token={SECRET}#part"
    Store(url).get(NAME, target)
    assert shelf.requests[0][1] == f"/shelf/{NAME}?token={SECRET}"
    assert (shelf.authorization[0] or "").startswith("Basic ")


# What is secret.


def _error_of(work: Callable[[Store], object], store: Store) -> StoreError | None:
    try:
        work(store)
    except StoreError as error:
        return error
    return None


def test_no_error_holds_what_is_secret_in_a_url(
    web: str, shelf: Shelf, source: Path, target: Path
) -> None:
    url = web.replace("http://", f"http://user:{SECRET}@") + f"?token={SECRET}"
    nobody = f"http://user:{SECRET}@127.0.0.1:9/x?token={SECRET}"
    trouble = [
        *((status, url) for status in (401, 403, 404, 405, 451, 500)),
        (200, nobody),
    ]
    for status, place in trouble:
        for work in (
            lambda store: store.get(NAME, target),
            lambda store: store.put(source),
            lambda store: store.exists(NAME),
        ):
            shelf.first = [status] * 4
            if (error := _error_of(work, Store(place))) is None:
                continue
            assert SECRET not in "".join(traceback.format_exception(error)) + repr(error)
            assert "127.0.0.1" in str(error)
            assert error.__cause__ is None
            assert error.__context__ is None
    assert SECRET not in repr(Store(url))


@pytest.mark.parametrize(
    "url",
    [
        f"s3://key:{SECRET}@bucket/x",
        f"unheard-of://user:{SECRET}@host/x",
        f"simplecache::https://user:{SECRET}@host/x",
        f"github://user:{SECRET}@",
    ],
)
def test_a_url_that_no_store_can_have_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(StoreURLError) as error:
        Store(url)
    assert SECRET not in "".join(traceback.format_exception(error.value))
    assert error.value.__context__ is None


def test_urls_are_told_without_secrets() -> None:
    assert without_secrets("https://a:b@host/x?y#z") == "https://host/x"
    assert without_secrets("https://a:b/c@d@host/x") == "https://host/x"
    assert without_secrets("/a/folder") == "/a/folder"
    assert without_secrets("x::https://a:b@host") == "x::https://host"


# S3.


def test_a_large_file_goes_to_s3_in_parts(s3: str, tmp_path: Path, target: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(os.urandom(1 << 20) * 20 + b"x")
    name = Store(s3).put(large)
    Store(s3).get(name, target)
    assert target.read_bytes() == large.read_bytes()


def test_a_bucket_that_is_not_there_is_said_to_be_missing(s3: str, source: Path) -> None:
    with pytest.raises(NotInStoreError):
        Store("s3://no-such-bucket/x").put(source)
    assert not Store("s3://no-such-bucket/x").exists(NAME)


def test_an_s3_server_that_is_not_there_is_unreachable(
    s3: str, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(StoreUnreachableError) as error:
        Store(s3, timeout=1).exists(NAME)
    assert SECRET not in "".join(traceback.format_exception(error.value))
