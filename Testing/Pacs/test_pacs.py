"""Scans go to a real PACS and come back, by DICOMweb and by DIMSE."""

from __future__ import annotations

import json
import queue
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest
from acquired import DATE, write_scan
from orthanc import free_ports, passed_on
from pydicom.uid import JPEG2000Lossless, generate_uid
from pynetdicom import AE, evt
from servers import Shelf, web_server

from MedWatermarkLib.dicomweb import TOKEN_VARIABLE, DicomWeb
from MedWatermarkLib.dimse import Delivery, Node, listening, send
from MedWatermarkLib.imageio import read_volume
from MedWatermarkLib.pacs import (
    NotInPacsError,
    PacsAccessError,
    PacsAddressError,
    PacsAnswerError,
    PacsRefusedError,
    PacsUnreachableError,
)

CT = "1.2.840.10008.5.1.4.1.1.2"


def same_voxels(one: Path, other: Path) -> bool:
    return np.array_equal(read_volume(one).voxels, read_volume(other).voxels)


def wait_for(arrived: queue.SimpleQueue[Delivery]) -> Delivery:
    return arrived.get(timeout=60)


def test_a_marked_scan_comes_back_from_the_archive_and_is_restored_to_the_bit(
    archive, scan, done, tmp_path
):
    stored = done("pacs", "store", scan.folder, archive.web)
    assert stored["images"] == 2
    fetched = done("pacs", "fetch", archive.web, scan.marked_uid, tmp_path / "fetched")
    assert fetched["images"] == 2
    assert same_voxels(tmp_path / "fetched", scan.folder)
    assert not same_voxels(tmp_path / "fetched", scan.original)
    verified = done("verify", tmp_path / "fetched", "--record", scan.record)
    assert verified["passed"]
    restored = tmp_path / "restored"
    assert done("restore", tmp_path / "fetched", restored, "--record", scan.record)["exact"]
    assert same_voxels(restored, scan.original)


def test_a_marked_scan_is_sent_and_comes_back_by_c_store(archive, scan, done, tmp_path):
    assert done("pacs", "send", scan.folder, archive.address)["images"] == 2
    arrived: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
    with listening(tmp_path / "inbox", archive.inbox, arrived.put):
        archive.send_to_us(scan.marked_uid)
        # Orthanc keeps the association for some seconds, in case more is to be sent.
        one = wait_for(arrived)
    assert one.whole
    assert (one.uid, one.images, one.sender) == (scan.marked_uid, 2, "ARCHIVE")
    assert one.folder == tmp_path / "inbox" / "received" / scan.marked_uid
    restored = tmp_path / "restored"
    assert done("restore", one.folder, restored, "--record", scan.record)["exact"]
    assert same_voxels(restored, scan.original)
    assert [file.name for file in (tmp_path / "inbox").iterdir()] == ["received"]


def test_a_run_marks_what_an_archive_has_and_fetches_each_series_once(
    archive, done, failed, key_file, tmp_path
):
    day = "20251201"
    uids = {write_scan(tmp_path / name, date=day) for name in ("one", "two")}
    for name in ("one", "two"):
        done("pacs", "store", tmp_path / name, archive.web)
    signed = ("--key-file", key_file, "--diagnosis", "Screening CT.", "--workers", "0")
    of_day = ("--study-date", day, "--modality", "CT", *signed)
    run = done("batch", "embed", archive.web, tmp_path / "run", *of_day)
    assert run["outcomes"] == {"marked": 2}
    assert {one.name for one in (tmp_path / "run.fetched").iterdir()} == uids
    fetched = {p: p.stat().st_mtime_ns for p in (tmp_path / "run.fetched").rglob("*")}
    again = done("batch", "embed", archive.web, tmp_path / "run", *of_day)
    assert again["worked_on"] == 0
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "run.fetched").rglob("*")} == fetched
    none = ("--study-date", "19000101", *signed)
    error = failed("batch", "embed", archive.web, tmp_path / "none", *none)
    assert error["kind"] == "NotInPacsError"
    assert not (tmp_path / "none").exists()


def test_what_a_run_marked_comes_back_from_the_archive_and_is_verified_and_restored(
    archive, done, failed, key_file, tmp_path
):
    day = "20251202"
    uids = [write_scan(tmp_path / "scans" / name, date=day) for name in ("one", "two")]
    signed = ("--key-file", key_file, "--diagnosis", "Screening CT.", "--workers", "0")
    run, back = tmp_path / "run", tmp_path / "back"
    done("batch", "embed", tmp_path / "scans", run, *signed)
    done("pacs", "store", tmp_path / "scans", archive.web)
    done("pacs", "store", run / "marked", archive.web)
    marked = {one.name: one for one in (run / "marked").iterdir()}
    shutil.rmtree(run / "marked")
    of_run = ("--marked-by", run, "--workers", "0")
    verified = done("batch", "verify", archive.web, tmp_path / "verified", *of_run)
    assert verified["outcomes"] == {"passed": 2}
    restored = done("batch", "restore", archive.web, back, *of_run)
    assert restored["outcomes"] == {"restored": 2}
    originals = {read_volume(tmp_path / "scans", uid).voxels.tobytes() for uid in uids}
    assert {read_volume(one).voxels.tobytes() for one in (back / "restored").iterdir()} == originals
    assert {one.name for one in (back / "restored").iterdir()} == set(marked)
    dated = (*of_run, "--study-date", day)
    assert failed("batch", "verify", archive.web, tmp_path / "no", *dated)["kind"] == "BadParameter"


def test_listing_tells_what_a_series_is_and_not_who(archive, scan, done):
    result = done("pacs", "query", archive.web, "--patient-id", "PID-4711", "--modality", "CT")
    (one,) = [one for one in result["series"] if one["uid"] == scan.uid]
    assert (one["modality"], one["date"], one["number"], one["images"]) == ("CT", DATE, 3, 2)
    assert "PID-4711" not in json.dumps(result)
    assert done("pacs", "query", archive.web, "--modality", "MR")["series"] == []


def test_more_series_are_listed_than_the_server_tells_at_once(archive, scan, tmp_path, monkeypatch):
    monkeypatch.setattr("MedWatermarkLib.dicomweb._PAGE", 1)
    write_scan(tmp_path / "another", 1, 16)
    DicomWeb(archive.web).store(sorted((tmp_path / "another").iterdir()))
    uids = [one.uid for one in DicomWeb(archive.web).query()]
    assert len(uids) == len(set(uids)) >= 2
    assert len(DicomWeb(archive.web).query(limit=1)) == 1


def test_a_compressed_series_is_fetched_as_it_was_stored(archive, tmp_path):
    uid = write_scan(tmp_path / "compressed", 1, 32)
    (file,) = (tmp_path / "compressed").iterdir()
    instance = pydicom.dcmread(file)
    instance.compress(JPEG2000Lossless, generate_instance_uid=False)
    instance.save_as(file)
    DicomWeb(archive.web).store([file])
    DicomWeb(archive.web).fetch(uid, tmp_path / "fetched")
    (fetched,) = (tmp_path / "fetched").iterdir()
    assert pydicom.dcmread(fetched).file_meta.TransferSyntaxUID == JPEG2000Lossless
    assert pydicom.dcmread(fetched).PixelData == instance.PixelData


def test_a_fetch_that_is_stopped_leaves_nothing(archive, scan, tmp_path):
    def stop(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        DicomWeb(archive.web).fetch(scan.uid, tmp_path / "fetched", stop)
    assert not list(tmp_path.iterdir())


def test_a_series_of_which_an_image_is_missing_is_not_written(archive, scan, tmp_path):
    def cut(path: str, content: bytes) -> bytes:
        if not path.endswith(f"/series/{scan.uid}"):
            return content
        boundary = content.split(b"\r\n", 1)[0]
        first = content.split(boundary)[1]
        return boundary + first + boundary + b"--\r\n"

    with passed_on(archive.web, cut) as url, pytest.raises(PacsAnswerError, match="1 that it"):
        DicomWeb(url).fetch(scan.uid, tmp_path / "fetched")
    assert not list(tmp_path.iterdir())


def test_a_connection_that_breaks_off_leaves_nothing(archive, scan, tmp_path):
    with (
        passed_on(archive.web, lambda path, content: content, breaks=True) as url,
        pytest.raises(PacsUnreachableError, match="broke off"),
    ):
        DicomWeb(url).fetch(scan.uid, tmp_path / "fetched")
    assert not list(tmp_path.iterdir())


def test_a_series_that_is_not_there_is_said_so(archive, tmp_path, failed):
    error = failed("pacs", "fetch", archive.web, generate_uid(), tmp_path / "fetched")
    assert error["kind"] == "NotInPacsError"
    assert not list(tmp_path.iterdir())


def test_a_path_is_no_series(archive, tmp_path):
    with pytest.raises(PacsAddressError):
        DicomWeb(archive.web).fetch("../../series", tmp_path / "fetched")


def test_an_archive_that_is_down_is_said_so(tmp_path, failed):
    write_scan(tmp_path / "scan", 1, 16)
    (port,) = free_ports(1)
    for arguments in (
        ("query", f"http://127.0.0.1:{port}/dicom-web"),
        ("fetch", f"http://127.0.0.1:{port}/dicom-web", "1.2.3", tmp_path / "fetched"),
        ("store", tmp_path / "scan", f"http://127.0.0.1:{port}/dicom-web"),
        ("send", tmp_path / "scan", f"ARCHIVE@127.0.0.1:{port}"),
    ):
        error = failed("pacs", *arguments)
        assert error["kind"] == "PacsUnreachableError"
        assert "cannot be reached" in error["message"]
    assert [file.name for file in tmp_path.iterdir()] == ["scan"]


def test_an_image_that_does_not_say_which_it_is_is_not_sent(archive, tmp_path, failed):
    write_scan(tmp_path / "scan", 1, 16)
    instance = pydicom.dcmread(tmp_path / "scan" / "0.dcm")
    del instance.SOPInstanceUID
    instance.save_as(tmp_path / "scan" / "0.dcm")
    for arguments in (("store", tmp_path, archive.web), ("send", tmp_path, archive.address)):
        error = failed("pacs", *arguments)
        assert error["kind"] == "NothingToSendError"
        assert "0.dcm" in error["message"]


def test_an_archive_that_falls_silent_is_not_waited_for():
    with web_server(Shelf(silent=True)) as url, pytest.raises(PacsUnreachableError, match="answer"):
        DicomWeb(url, timeout=0.2).query()


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, PacsAccessError), (404, NotInPacsError), (500, PacsAnswerError)],
)
def test_a_server_that_does_not_do_it_is_said_why(status, kind):
    with web_server(Shelf(first=[status])) as url, pytest.raises(kind, match=str(status)):
        DicomWeb(url).query()


def test_a_page_of_the_web_is_no_archive():
    shelf = Shelf(files={"/shelf/series": b"<html>Welcome</html>"})
    with web_server(shelf) as url, pytest.raises(PacsAnswerError, match="not DICOMweb"):
        DicomWeb(url).query()


def test_a_token_is_shown_to_the_server_and_to_nobody_else(monkeypatch, failed):
    shelf = Shelf(first=[401])
    with web_server(shelf) as url:
        error = failed("pacs", "query", url, **{TOKEN_VARIABLE: "s3cr3t"})
    assert shelf.authorization == ["Bearer s3cr3t"]
    assert "s3cr3t" not in json.dumps(error)


def test_a_password_in_a_url_is_refused_and_not_repeated(failed):
    error = failed("pacs", "query", "https://ada:hunter2@pacs.example/dicom-web")
    assert error["kind"] == "PacsAddressError"
    assert "hunter2" not in json.dumps(error)


def test_an_archive_that_knows_another_title_is_said_so(archive, scan):
    node = Node("STRANGER", "127.0.0.1", archive.dicom)
    with pytest.raises(PacsRefusedError, match="AE title"):
        send(sorted(scan.folder.iterdir()), node)


@pytest.mark.parametrize("address", ["pacs.example", "A@pacs.example", "A@b:0", "A@b:99999"])
def test_what_is_no_address_is_said_so(address):
    with pytest.raises(PacsAddressError):
        Node.parse(address)


@pytest.fixture
def inbox(tmp_path):
    """A listener of ours: its node, its folder, and what arrives."""
    (port,) = free_ports(1)
    arrived: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
    with listening(tmp_path / "inbox", port, arrived.put, senders=["MEDWATERMARK"]):
        yield Node("MEDWATERMARK", "127.0.0.1", port), tmp_path / "inbox", arrived


def test_what_is_sent_twice_is_kept_once(inbox, tmp_path):
    node, folder, arrived = inbox
    uid = write_scan(tmp_path / "scan", 2, 16)
    files = sorted((tmp_path / "scan").iterdir())
    for part in (files[:1], files, files):
        send(part, node)
        assert wait_for(arrived).whole
    received = folder / "received"
    assert sorted(file.name for file in received.iterdir()) == [uid, f"{uid}-2"]
    assert len(list(received.rglob("*.dcm"))) == 2
    assert same_voxels(received, tmp_path / "scan")


def test_a_series_whose_sender_broke_off_is_kept_apart(inbox, tmp_path):
    node, folder, arrived = inbox
    uid = write_scan(tmp_path / "scan", 2, 16)
    ae = AE("MEDWATERMARK")
    ae.add_requested_context(CT, "1.2.840.10008.1.2.1")
    association = ae.associate(node.host, node.port, ae_title=node.title)
    association.send_c_store(pydicom.dcmread(tmp_path / "scan" / "0.dcm"))
    association.abort()
    one = wait_for(arrived)
    assert not one.whole
    assert one.folder == folder / "broken-off" / uid
    assert not (folder / "received").exists()


def test_images_that_the_other_side_cannot_take_are_refused_before_any_is_sent(tmp_path):
    write_scan(tmp_path / "scan", 2, 32)
    files = sorted((tmp_path / "scan").iterdir())
    instance = pydicom.dcmread(files[1])
    instance.compress(JPEG2000Lossless, generate_instance_uid=False)
    instance.save_as(files[1])
    taken = []
    ae = AE("OLD")
    ae.add_supported_context(CT, "1.2.840.10008.1.2.1")
    (port,) = free_ports(1)
    handlers = [(evt.EVT_C_STORE, lambda event: taken.append(event) or 0)]
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    with pytest.raises(PacsRefusedError, match="JPEG 2000"):
        send(files, Node("OLD", "127.0.0.1", port))
    server.shutdown()
    assert not taken


def test_a_stranger_may_not_send(inbox, tmp_path):
    node, folder, _ = inbox
    write_scan(tmp_path / "scan", 1, 16)
    with pytest.raises(PacsRefusedError, match="must know STRANGER"):
        send([tmp_path / "scan" / "0.dcm"], node, title="STRANGER")
    assert not (folder / "received").exists()


def test_the_command_listens_until_enough_has_come(tmp_path, done):
    (port,) = free_ports(1)
    uid = write_scan(tmp_path / "scan", 1, 16)
    results = []
    arguments = ("pacs", "listen", tmp_path / "inbox", "--port", port, "--series", 1)
    thread = threading.Thread(target=lambda: results.append(done(*arguments)))
    thread.start()
    node = Node("MEDWATERMARK", "127.0.0.1", port)
    until = time.monotonic() + 60
    while thread.is_alive() and time.monotonic() < until:
        try:
            send([tmp_path / "scan" / "0.dcm"], node)
            break
        except PacsUnreachableError:
            time.sleep(0.1)
    thread.join(60)
    assert [(one["series"], one["whole"]) for one in results] == [(uid, True)]


def test_a_port_that_is_taken_is_said_so(inbox, tmp_path):
    node, _, _ = inbox
    with (
        pytest.raises(PacsAddressError, match="another port"),
        listening(tmp_path / "other", node.port, print),
    ):
        pass
