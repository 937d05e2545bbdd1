"""What the buttons of *Share* and *Receive* do, for scripts too: each is one call, without Qt."""

import os
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from slicer.i18n import tr as _

from MedWatermarkModule.child import CommandError
from MedWatermarkModule.deidentification import Deidentification, previewOf
from MedWatermarkModule.received import Received, loadReceived
from MedWatermarkModule.task import Service, Task, workFolder
from MedWatermarkModule.volumes import checkInput, writeNode

# By the basic profile alone.
BASIC = Deidentification()


class NoFileError(FileNotFoundError):
    """What an exchange needs is not there."""


@dataclass(frozen=True)
class Connection:
    """
    Who one is, and where the ledger and the packages are.

    ledger - File that says where the ledger is.
    account - Key file of one's account.
    identity - Age identity, in a file.
    store - URL or folder where sealed packages lie.
    folder - Where exchanges are kept, each in a folder of its own, without secrets.
    accountPassword, identityPassword - They go to the child's standard input alone.
    """

    ledger: str
    account: str
    identity: str = ""
    store: str = ""
    folder: str = ""
    accountPassword: str = field(default="", repr=False)
    identityPassword: str = field(default="", repr=False)

    def options(self, *names: str) -> list[str]:
        """Options of a command, such as ``--key-file``, and ``--password-stdin`` for secrets."""
        given = {
            "ledger": ["--ledger", os.path.abspath(self.ledger)],
            "account": ["--key-file", os.path.abspath(self.account)],
            "identity": ["--identity-file", os.path.abspath(self.identity)],
            "store": ["--store", self.store],
        }
        options = [word for name in names for word in given[name]]
        return [*options, "--password-stdin"] if {"account", "identity"} & {*names} else options

    def secret(self, *names: str) -> str:
        """The lines of standard input: the key file's password, then the identity's."""
        lines = {"account": self.accountPassword, "identity": self.identityPassword}
        return "".join(f"{lines[name]}\n" for name in lines if name in names)


class ExchangeLogic:
    """Shares scans with those who do not trust one, and receives from them."""

    def practise(self, keyFiles: list) -> Service:
        """
        Serve a ledger to practise with on this computer, until it is stopped.

        :param keyFiles: of those who take part; their accounts get coins that are worth nothing.
        :return: service whose result is the file that says where the ledger is.
        """
        with workFolder() as folder:
            place = Path(folder.name) / "ledger.toml"
            arguments = ["ledger", "practice", place, *map(os.path.abspath, keyFiles)]
            arguments += ["--until-stdin-closes"]
            return Service(folder, arguments, lambda facts: str(place))

    def preview(self, volume, deidentification: Deidentification = BASIC) -> Task:
        """
        De-identify a scan as it would be shared, and tell what became of its attributes.

        :param deidentification: what may leave with it.
        :return: task whose result is ``Preview``. Nothing leaves this computer.
        """
        checkInput(volume)
        with workFolder() as folder:
            options = deidentification.arguments(volume, folder)
            isDICOM = "--source" in options
            scan = Path(folder.name) / "scan.nrrd"
            clean = Path(folder.name) / ("clean" if isDICOM else "clean.nrrd")
            writeNode(volume, scan)
            arguments = ["deidentify", scan, clean, *options]
            return Task(folder, arguments, lambda facts: previewOf(facts, isDICOM))

    def share(
        self,
        volume,
        connection: Connection,
        recipientKey: str,
        recipient: str = "",
        price: str = "",
        bond: str = "0",
        deidentification: Deidentification = BASIC,
    ) -> Task:
        """
        Seal a marked scan, register it, and offer it to one recipient, or grant it.

        What leaves: to the store the package, sealed; to the ledger commitments, addresses and
        price. A scan whose DICOM files are known to Slicer leaves as a DICOM series derived from
        them, with the voxels of the node; else as voxels and geometry.

        :param recipientKey: age public key of the recipient.
        :param recipient: address of its account; only for a sale.
        :param price: in ether; without it the scan is given away.
        :param bond: in ether, what is lost to a recipient who is cheated.
        :param deidentification: what may leave with it.
        :return: task whose result is what ``medwatermark share --json`` tells.
        """
        checkInput(volume)
        exchange = newFolder(connection.folder, "share")
        with workFolder() as folder:
            scan = Path(folder.name) / "scan.nrrd"
            writeNode(volume, scan)
            names = ("ledger", "account", "identity", "store")
            arguments = ["share", scan, exchange, *connection.options(*names)]
            arguments += ["--recipient-key", recipientKey]
            if price:
                arguments += ["--recipient", recipient, "--price", price, "--bond", bond or "0"]
            else:
                arguments += ["--grant"]
            arguments += deidentification.arguments(volume, folder)
            return Task(folder, arguments, _asItIs, connection.secret(*names))

    def exchanges(self, connection: Connection) -> Task:
        """
        Look where one's exchanges stand.

        :return: task whose result is a list of what ``medwatermark watch --json`` tells of each.
        """
        with workFolder() as folder:
            place = os.path.abspath(connection.folder)
            arguments = ["exchanges", place, *connection.options("ledger")]
            return Task(folder, arguments, lambda facts: facts["exchanges"])

    def takeStep(self, command: str, exchange: str, connection: Connection) -> Task:
        """
        Take the next step of an exchange.

        :param command: ``reveal``, ``settle``, ``cancel`` or ``refund``, as its ``next`` says.
        :param exchange: its folder.
        :return: task whose result is where it stands then.
        """
        names = ("ledger", "account", *(("identity",) if command == "reveal" else ()))
        with workFolder() as folder:
            arguments = [command, exchange, *connection.options(*names)]
            return Task(folder, arguments, _asItIs, connection.secret(*names))

    def offers(self, connection: Connection) -> Task:
        """
        Look for what is offered and granted to one, and what speaks against it.

        :return: task whose result has ``offers`` and ``grants``, as ``medwatermark offers --json``.
        """
        names = ("ledger", "account", "identity", "store")
        with workFolder() as folder:
            # The account's address is in its file: its password is not needed, but has a line.
            secret = f"-\n{connection.secret('identity')}"
            arguments = ["offers", *connection.options(*names)]
            return Task(folder, arguments, _asItIs, secret)

    def accept(self, sale: str, price: str, connection: Connection) -> Task:
        """
        Download an offer, check all that can be checked, and pay the price into escrow.

        :param sale: its id.
        :param price: in ether, what one means to pay.
        :return: task whose result is where it stands then.
        """
        names = ("ledger", "account", "identity", "store")
        with workFolder() as folder:
            place = _folderOfSale(sale, connection)
            arguments = ["accept", sale, place, "--price", price, *connection.options(*names)]
            return Task(folder, arguments, _asItIs, connection.secret(*names))

    def receive(self, connection: Connection, sale: str = "", record: str = "") -> Task:
        """
        Open what was bought or granted, and load it into the scene.

        Of a sale every chunk is checked; if one is wrong, the payment is taken back instead.

        :param sale: id of a sale that was accepted; or
        :param record: id of the record that was granted.
        :return: task whose result is ``Received``.
        """
        subject = _folderOfSale(sale, connection) if sale else record
        output = newFolder(connection.folder, "received")
        names = ("ledger", *(("account",) if sale else ()), "identity", "store")
        with workFolder() as folder:
            arguments = ["receive", subject, output, *connection.options(*names)]
            arguments += ["--save-mark-key", f"{output}.key"]
            return Task(folder, arguments, _load, connection.secret(*names))

    def refund(self, sale: str, connection: Connection) -> Task:
        """Take back what was paid for a sale whose key did not come in time."""
        return self.takeStep("refund", str(_folderOfSale(sale, connection)), connection)


def keyFilesBeside(keyFile: str) -> list[str]:
    """Key files in the folder of one, itself first: who may take part in practice."""
    folder = Path(keyFile).resolve().parent
    found = [path for path in sorted(folder.glob("*.json")) if _isKeyFile(path)]
    return [str(path) for path in found]


def _isKeyFile(path: Path) -> bool:
    with path.open("rb") as file:
        return b'"crypto"' in file.read(4096).lower()


def _asItIs(facts: dict) -> dict:
    return facts


def newFolder(parent: str, purpose: str) -> Path:
    """A name that is free, and says nothing of the patient."""
    if not os.path.isdir(parent):
        raise NoFileError(_("There is no folder {folder} for exchanges.").format(folder=parent))
    time = datetime.now(UTC)
    return Path(os.path.abspath(parent)) / f"{purpose}-{time:%Y%m%d-%H%M%S-%f}"


def _folderOfSale(sale: str, connection: Connection) -> Path:
    return Path(os.path.abspath(connection.folder)) / f"bought-{re.sub('[^0-9a-f]', '', sale)[:16]}"


def _load(facts: dict) -> Received:
    if facts["outcome"] != "received":
        raise CommandError(
            "RefundedError",
            _("What was sold is not what was registered: payment and bond were taken back."),
        )
    return loadReceived(facts)
