"""Images by DIMSE (PS3.7), as most archives speak it: sent and received by C-STORE."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.uid import UID
from pynetdicom import (
    AE,
    ALL_TRANSFER_SYNTAXES,
    AllStoragePresentationContexts,
    build_context,
    evt,
)
from pynetdicom.association import Association
from pynetdicom.pdu import A_RELEASE_RQ
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.status import code_to_category

from MedWatermarkLib.dicom_series import discreet_pydicom
from MedWatermarkLib.output import OutputError
from MedWatermarkLib.pacs import (
    PacsAddressError,
    PacsError,
    PacsRefusedError,
    PacsUnreachableError,
    is_uid,
    read_to_send,
)
from MedWatermarkLib.progress import Progress
from MedWatermarkLib.scratch import scratch

TITLE = "MEDWATERMARK"
"""Title (AE title) that is ours, unless another is given."""
TIMEOUT = 60.0
RECEIVED, BROKEN_OFF = "received", "broken-off"

_TITLE = re.compile(r"[!-\[\]-~](?:[ -\[\]-~]{0,14}[!-\[\]-~])?")
_ADDRESS = re.compile(r"(?P<title>[^@]+)@(?P<host>[^@:/\s]+|\[[0-9a-fA-F:]+\]):(?P<port>\d{1,5})")
# Status codes of PS3.4, B.2.3.
_SUCCESS, _OUT_OF_RESOURCES, _CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xC000


@dataclass(frozen=True)
class Node:
    """Another program that speaks DIMSE.

    Attributes
    ----------
    title : str
        Its AE title.
    host : str
    port : int
    """

    title: str
    host: str
    port: int

    @classmethod
    def parse(cls, address: str) -> Node:
        """Understand an address like ``ARCHIVE@pacs.example:104``.

        Raises
        ------
        PacsAddressError
        """
        match = _ADDRESS.fullmatch(address)
        if match is None or not 0 < int(match["port"]) < 65536:
            raise PacsAddressError(
                f"{address} is no address; write it as TITLE@HOST:PORT, such as "
                "ARCHIVE@pacs.example:104."
            )
        return cls(check_title(match["title"]), match["host"].strip("[]"), int(match["port"]))

    def __str__(self) -> str:
        return f"{self.title}@{self.host}:{self.port}"


@dataclass(frozen=True)
class Delivery:
    """What came of a series in one association.

    Attributes
    ----------
    uid : str
        Series Instance UID.
    folder : pathlib.Path
        Where it lies now.
    images : int
    sender : str
        AE title that it called itself.
    whole : bool
        Whether the sender ended as it should, so that nothing is known to be missing.
    """

    uid: str
    folder: Path
    images: int
    sender: str
    whole: bool


def check_title(title: str) -> str:
    """Return an AE title, if it is one.

    Raises
    ------
    PacsAddressError
    """
    if not _TITLE.fullmatch(title):
        raise PacsAddressError(f"{title} is no AE title, which has 1 to 16 characters of ASCII.")
    return title


def send(
    files: Sequence[Path],
    node: Node,
    *,
    title: str = TITLE,
    timeout: float = TIMEOUT,
    progress: Progress | None = None,
) -> int:
    """Send images by C-STORE, each as it is stored.

    Parameters
    ----------
    files : sequence of pathlib.Path
        DICOM files.
    node : Node
    title : str
        AE title to go by.
    timeout : float
        Seconds after which the other side is taken for silent.
    progress : callable, optional
        Told the share that was sent.

    Returns
    -------
    int
        How many the other side has confirmed: all.

    Raises
    ------
    PacsRefusedError
        If it does not take them; what it took before stays there.
    PacsUnreachableError, NothingToSendError, ImageReadError
    """
    with discreet_pydicom():
        kinds = {_kind(file) for file in files}
        ae = AE(check_title(title))
        ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = timeout
        contexts = [build_context(sop_class, syntax) for sop_class, syntax in sorted(kinds)]
        association = ae.associate(node.host, node.port, contexts, node.title)
        if not association.is_established:
            raise _not_associated(association, node)
        try:
            accepted = association.accepted_contexts
            taken = {(one.abstract_syntax, one.transfer_syntax[0]) for one in accepted}
            for sop_class, syntax in sorted(kinds - taken):
                raise PacsRefusedError(
                    f"{node} does not take {UID(sop_class).name} as {UID(syntax).name}; nothing "
                    "was sent."
                )
            for number, file in enumerate(files, start=1):
                _send_one(association, file, f"{number - 1} of {len(files)} images", node)
                if progress is not None:
                    progress(number / len(files))
            association.release()
        finally:
            if association.is_established:
                association.abort()
    return len(files)


class Listener:
    """Takes what others send by C-STORE, into a folder; see `listening`.

    What one association brings of a series becomes a folder in ``received/`` named by the UID, when
    the association has ended; if it broke off, in ``broken-off/``, since the sender was told that
    these images have arrived. Files that are there already, to the bit, are not kept twice.
    """

    def __init__(self, folder: Path, staging: Path, tell: Callable[[Delivery], None]) -> None:
        self._folder, self._staging, self._tell = folder, staging, tell
        self._lock = threading.Lock()
        self._released: set[Association] = set()

    def _store(self, event: evt.Event) -> int:
        try:
            with discreet_pydicom():
                content = event.encoded_dataset()
                header = pydicom.dcmread(
                    BytesIO(content),
                    stop_before_pixels=True,
                    specific_tags=["SeriesInstanceUID", "SOPInstanceUID"],
                )
                series, instance = str(header.SeriesInstanceUID), str(header.SOPInstanceUID)
        except Exception:  # of a damaged one pydicom raises what it stumbles on
            return _CANNOT_UNDERSTAND
        if not (is_uid(series) and is_uid(instance)):
            return _CANNOT_UNDERSTAND
        folder = self._of(event.assoc) / series
        try:
            with self._lock:
                folder.mkdir(parents=True, exist_ok=True)
                with (folder / f"{instance}.dcm").open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
        except OSError:
            return _OUT_OF_RESOURCES
        return _SUCCESS

    def _received(self, event: evt.Event) -> None:
        if isinstance(event.pdu, A_RELEASE_RQ):
            self._released.add(event.assoc)

    def _end(self, event: evt.Event) -> None:
        # The one event that comes last whatever ends an association, on another thread than _store.
        parts = self._of(event.assoc)
        with self._lock:
            whole = event.assoc in self._released
            self._released.discard(event.assoc)
            if not parts.is_dir():
                return
            sender = str(event.assoc.requestor.ae_title).strip()
            for part in sorted(parts.iterdir()):
                images = len(list(part.iterdir()))
                place = self._place(part, self._folder / (RECEIVED if whole else BROKEN_OFF))
                self._tell(Delivery(part.name, place, images, sender, whole))
            parts.rmdir()

    def _of(self, association: Association) -> Path:
        return self._staging / f"{id(association):x}"

    def _place(self, part: Path, folder: Path) -> Path:
        """Move what has come of a series to where it belongs, and return that."""
        folder.mkdir(exist_ok=True)
        place, number = folder / part.name, 1
        while place.exists():
            for file in list(part.iterdir()):
                there = place / file.name
                if there.is_file() and there.read_bytes() == file.read_bytes():
                    file.unlink()
            if not any(part.iterdir()):
                part.rmdir()
                return place
            number += 1
            place = folder / f"{part.name}-{number}"
        os.replace(part, place)
        return place


@contextmanager
def listening(
    folder: Path,
    port: int,
    tell: Callable[[Delivery], None],
    *,
    host: str = "127.0.0.1",
    title: str = TITLE,
    senders: Sequence[str] = (),
    timeout: float = TIMEOUT,
) -> Iterator[None]:
    """Listen for images, on threads of its own, as long as the context lasts.

    Parameters
    ----------
    folder : pathlib.Path
        Where `Listener` puts them; made if it is not there.
    port : int
    tell : callable
        Told each `Delivery`, on one thread at a time.
    host : str
        Address of this computer to listen at; ``0.0.0.0`` for all of them.
    title : str
        AE title that senders must call.
    senders : sequence of str
        AE titles of those who may send; all, if there are none.
    timeout : float
        Seconds after which a sender is taken for gone.

    Raises
    ------
    PacsAddressError
        If nobody can listen there.
    OutputError
        If the folder cannot be written to.
    """
    ae = AE(check_title(title))
    ae.require_called_aet = True
    ae.require_calling_aet = [check_title(one) for one in senders]
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = timeout
    for context in AllStoragePresentationContexts:
        if context.abstract_syntax is not None:
            ae.add_supported_context(context.abstract_syntax, ALL_TRANSFER_SYNTAXES)
    ae.add_supported_context(Verification)
    with ExitStack() as stack:
        try:
            folder.mkdir(exist_ok=True)
            staging = stack.enter_context(scratch(folder / RECEIVED))
        except OSError as error:
            raise OutputError(f"{folder} cannot be written to: {error.strerror}.") from error
        listener = Listener(folder, staging, tell)
        handlers: list[evt.EventHandlerType] = [
            (evt.EVT_C_STORE, listener._store),
            (evt.EVT_PDU_RECV, listener._received),
            (evt.EVT_CONN_CLOSE, listener._end),
        ]
        try:
            ae.start_server((host, port), block=False, evt_handlers=handlers)
        except OSError as error:
            raise PacsAddressError(
                f"Nothing can listen at {host}:{port} ({error.strerror}); choose another port, or "
                "end the program that listens there."
            ) from None
        stack.callback(ae.shutdown)
        yield


def _kind(file: Path) -> tuple[str, str]:
    tags = ["SOPClassUID", "SOPInstanceUID"]
    header = read_to_send(file, stop_before_pixels=True, specific_tags=tags)
    return str(header.SOPClassUID), str(header.file_meta.TransferSyntaxUID)


def _send_one(association: Association, file: Path, before: str, node: Node) -> None:
    try:
        status = association.send_c_store(read_to_send(file))
    except RuntimeError:  # the association is gone
        status = pydicom.Dataset()
    code = status.get("Status")
    if code is None:
        raise PacsUnreachableError(
            f"{node} fell silent or broke off after {before}; to send all again does no harm."
        )
    if code_to_category(code) not in ("Success", "Warning"):
        raise PacsRefusedError(
            f"{node} does not take {file} (status {code:04X}); it had taken {before}. Ask its "
            "staff why; to send all again does no harm."
        )


def _not_associated(association: Association, node: Node) -> PacsError:
    if association.is_rejected:
        return PacsRefusedError(
            f"{node} refuses the connection: its AE title must be {node.title}, and it must know "
            f"{association.requestor.ae_title.strip()}; ask its staff to enter it."
        )
    if association.rejected_contexts:
        return PacsRefusedError(f"{node} does not take images of these kinds; nothing was sent.")
    return PacsUnreachableError(
        f"{node} cannot be reached; check that it runs, its address, and the network."
    )
