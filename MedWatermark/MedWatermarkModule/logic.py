"""What the buttons of the panel do, for scripts too: each is one call, and none needs Qt."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from MedWatermarkModule import dependencies, patient, views
from MedWatermarkModule.exchange_logic import ExchangeLogic, newFolder
from MedWatermarkModule.parameters import MedWatermarkParameterNode
from MedWatermarkModule.received import loadReceived
from MedWatermarkModule.task import Task, workFolder
from MedWatermarkModule.volumes import (
    VolumeNodeError,
    checkInput,
    checkOutput,
    fillNode,
    outputNode,
    placeNode,
    setClaim,
    writeNode,
    writeSource,
    writeWhole,
)


class RecordExistsError(FileExistsError):
    """A restoration record would have been overwritten."""


@dataclass(frozen=True)
class Marked:
    """
    A scan that was marked.

    node - Its volume node; the attributes have the claim and its signer.
    original - The node that it was made from.
    facts - As ``medwatermark embed --json`` tells: claim, rmse, greatest_change, psnr, ...
    picture - The QR code as it was read back, PNG.
    """

    node: object
    original: object
    facts: dict
    picture: bytes


@dataclass(frozen=True)
class Verification:
    """
    What came of verifying a scan.

    node - Its volume node.
    facts - As ``medwatermark verify --json`` tells: passed, headline, checks, claim, ...
    labels - (z, y, x) array: 0 unaltered, 1 altered, 2 not told; None if nothing tells.
    picture - The QR code as it was read, PNG; None if nothing of it was.
    remark - Why the volume cannot match the DICOM files that it came from, or "".
    """

    node: object
    facts: dict
    labels: np.ndarray | None
    picture: bytes | None
    remark: str


@dataclass(frozen=True)
class Restored:
    """
    A scan with the mark taken out.

    node - Its volume node.
    facts - As ``medwatermark restore --json`` tells: image_hash, claim, ...
    """

    node: object
    facts: dict


class MedWatermarkLogic(ScriptedLoadableModuleLogic):
    """
    Marks, verifies and restores volume nodes; needs no panel. ``exchange`` shares and receives.

    What takes long runs in a child process, so that each call gives a ``Task``: a script waits for
    what comes of it, as in ``logic.embed(...).wait().node``.
    """

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self.exchange = ExchangeLogic()

    def getParameterNode(self):
        return MedWatermarkParameterNode(super().getParameterNode())

    def installDependencies(self) -> None:
        """
        Install the Python packages that the library needs and Slicer does not bring, after asking.

        :raises MissingPackagesError: if the user declines.
        """
        dependencies.ensure(self.moduleName)

    def embed(
        self,
        inputVolume,
        diagnosis: str,
        keyFile,
        password: str,
        restorationPath,
        outputVolume=None,
        strength: float | None = None,
        leavesPath=None,
    ) -> Task:
        """
        Sign a diagnosis and put it into the voxels of a scan.

        :param inputVolume: scalar volume node; it is not changed.
        :param diagnosis: the text to sign; one that names the patient is refused.
        :param keyFile: encrypted key of who signs.
        :param password: of the key file; it goes to the child's standard input.
        :param restorationPath: new file, for the record that takes the mark out again.
        :param outputVolume: scalar volume node to overwrite, or None for a new one.
        :param strength: change (RMSE) in units of the scan, or None for what suits it.
        :param leavesPath: new file, for the tile leaves of the marked scan, or None.
        :return: task whose result is ``Marked``.
        :raises VolumeNodeError: if a node cannot be used.
        :raises RecordExistsError: if there is a file at ``restorationPath``.
        """
        checkInput(inputVolume)
        checkOutput(outputVolume, inputVolume)
        _checkPlace(restorationPath)
        with workFolder() as folder:
            scan, marked, record, diagnosisFile, picture = _places(
                folder, "scan.nrrd", "marked.nrrd", "record", "diagnosis.txt", "qr.png"
            )
            leaves, source = _places(folder, "leaves", "source.txt")
            writeNode(inputVolume, scan)
            diagnosisFile.write_text(diagnosis, encoding="utf-8")
            arguments = ["embed", scan, marked, "--key-file", _absolute(keyFile), "--record"]
            arguments += [record, "--diagnosis-file", diagnosisFile, "--qr", picture]
            arguments += ["--password-stdin"]
            if strength:
                arguments += ["--strength", strength]
            if leavesPath:
                arguments += ["--leaves", leaves]
            if writeSource(inputVolume, source):  # for a mark that they can hold, too
                arguments += ["--source", source]

            def finish(facts: dict) -> Marked:
                _checkPlace(restorationPath)
                name = _("{name} marked").format(name=inputVolume.GetName())
                with outputNode(outputVolume, name) as node:
                    fillNode(node, marked, inputVolume)
                    setClaim(node, facts["claim"])
                    if leavesPath:
                        writeWhole(leavesPath, leaves.read_bytes())
                    writeWhole(restorationPath, record.read_bytes())
                placeNode(node, inputVolume)
                return Marked(node, inputVolume, facts, picture.read_bytes())

            return Task(folder, arguments, finish, f"{password}\n")

    def exportDICOM(self, volume, folder) -> Task:
        """
        Write a scan as DICOM: a new series of its patient and study, with the node's very voxels.

        Slicer's DICOM database must have the files that the scan, or the one it was marked from,
        was read from. Nothing is de-identified.

        :param volume: scalar volume node.
        :param folder: new folder.
        :return: task whose result is what ``medwatermark to-dicom --json`` tells: output, files.
        :raises VolumeNodeError: if the node cannot be used.
        """
        checkInput(volume)
        with workFolder() as work:
            scan, source = _places(work, "scan.nrrd", "source.txt")
            if not writeSource(volume, source):
                raise VolumeNodeError(
                    patient.differenceFromInstances(volume)
                    or _("The DICOM files that {name} came from are not known to Slicer.").format(
                        name=volume.GetName()
                    )
                )
            writeNode(volume, scan)
            arguments = ["to-dicom", scan, _absolute(folder), "--source", source]
            return Task(work, arguments, lambda facts: facts)

    def openPackage(self, package, parent=None) -> Task:
        """
        Load the scan of a package, for it to be verified.

        :param package: folder that ``receive`` wrote, or the manifest in it; or a package in one
            file that is not sealed.
        :param parent: where a folder is made for what is in one file.
        :return: task whose result is ``Received``; its facts have the ``leaves`` and the file with
            the ``mark_key`` that ``verify`` takes.
        """
        with workFolder() as folder:
            arguments = ["unpack", _absolute(package)]
            if isPackageFile(package):
                place = newFolder(parent or os.path.dirname(_absolute(package)), "opened")
                arguments += [place, "--save-mark-key", f"{place}.key"]
            return Task(folder, arguments, loadReceived)

    def verify(
        self, volume, ledger=None, leaves=None, record=None, batchPath=None, markKey=None
    ) -> Task:
        """
        Make the five checks on a scan. The node's attributes then say what claim was read.

        :param volume: scalar volume node.
        :param ledger: file that says where the ledger is, or None.
        :param leaves: tile leaves that came with the scan, or None.
        :param record: its restoration record, or None.
        :param batchPath: its record's place in a batch, or None; needs the ledger.
        :param markKey: file with the key of its mark, or None if that is public.
        :return: task whose result is ``Verification``.
        :raises VolumeNodeError: if the node cannot be used.
        """
        checkInput(volume)
        with workFolder() as folder:
            scan, altered, picture = _places(folder, "scan.nrrd", "altered.nrrd", "qr.png")
            writeNode(volume, scan)
            arguments = ["verify", scan, "--map", altered, "--qr", picture]
            for option, file in (
                ("--ledger", ledger),
                ("--leaves", leaves),
                ("--record", record),
                ("--batch-path", batchPath),
                ("--mark-key-file", markKey),
            ):
                if file:
                    arguments += [option, _absolute(file)]

            def finish(facts: dict) -> Verification:
                setClaim(volume, facts["claim"])
                return Verification(
                    volume,
                    facts,
                    _labels(altered) if facts["map"] else None,
                    picture.read_bytes() if facts["qr"] else None,
                    patient.differenceFromInstances(volume),
                )

            return Task(folder, arguments, finish)

    def restore(self, volume, restorationPath, outputVolume=None, markKey=None) -> Task:
        """
        Take the mark out of a scan, so that every voxel is as it was.

        If the claim can be read from the scan, the result is checked against its image hash.

        :param volume: node of the marked scan; it is not changed.
        :param restorationPath: the record that was written when the scan was marked.
        :param outputVolume: scalar volume node to overwrite, or None for a new one.
        :param markKey: file with the key of its mark, or None if that is public.
        :return: task whose result is ``Restored``.
        :raises VolumeNodeError: if a node cannot be used.
        """
        checkInput(volume)
        checkOutput(outputVolume, volume)
        with workFolder() as folder:
            scan, restored = _places(folder, "scan.nrrd", "restored.nrrd")
            writeNode(volume, scan)
            arguments = ["restore", scan, restored, "--record", _absolute(restorationPath)]
            arguments += ["--mark-key-file", _absolute(markKey)] if markKey else []

            def finish(facts: dict) -> Restored:
                name = _("{name} restored").format(name=volume.GetName())
                with outputNode(outputVolume, name) as node:
                    fillNode(node, restored, volume)
                    setClaim(node, None)
                placeNode(node, volume)
                return Restored(node, facts)

            return Task(folder, arguments, finish)

    def showAlterations(self, verification: Verification):
        """
        Show where a verified scan was altered, in the slice views, and jump to the first place.

        :return: the segmentation node, which lies on the scan.
        :raises VolumeNodeError: if nothing tells where, or the scan is no longer in the scene.
        """
        node, labels = verification.node, verification.labels
        if labels is None:
            raise VolumeNodeError(_("Nothing tells where the scan was altered."))
        if not slicer.mrmlScene.IsNodePresent(node):
            raise VolumeNodeError(_("The scan is no longer in the scene; load and verify it anew."))
        return views.showAlterations(node, labels)


def isPackageFile(package) -> bool:
    """Whether a package lies in one file, and not unpacked in a folder beside its manifest."""
    return os.path.isfile(package) and os.path.basename(package) != "manifest.json"


def _places(folder, *names: str) -> list[Path]:
    return [Path(folder.name) / name for name in names]


def _absolute(path) -> str:
    """The child runs in a folder of its own."""
    return os.path.abspath(path)


def _labels(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def _checkPlace(restorationPath) -> None:
    """Refuse to overwrite a record, or to do the work for a place that is not there."""
    if os.path.exists(restorationPath):
        raise RecordExistsError(
            _("{file} exists already; a restoration record is never overwritten.").format(
                file=restorationPath
            )
        )
    folder = os.path.dirname(_absolute(restorationPath))
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            _("There is no folder {folder} for the restoration record.").format(folder=folder)
        )
