"""Scans that Slicer's Sample Data module offers. They are made here: nothing is downloaded."""

import secrets
import tempfile
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from MedWatermarkModule import dependencies, phantom, views

CATEGORY = "MedWatermark"
ICONS = Path(__file__).resolve().parent.parent / "Resources" / "Icons"

# Where the second sample was altered: slice, rows, columns.
ALTERED = (3, slice(96, 152), slice(88, 144))


def register() -> None:
    """Offer the samples; to be called once Slicer has started."""
    import SampleData

    for name, picture, make in (
        ("Head CT", "HeadCT.png", headCT),
        ("Head CT marked, altered", "HeadCTAltered.png", alteredCT),
    ):
        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            category=CATEGORY,
            sampleName=name,
            thumbnailFileName=str(ICONS / picture),
            # Slicer wants an address even of what is not downloaded.
            uris=f"made-by:{CATEGORY}",
            fileNames=f"{name}.nrrd",
            nodeNames=name,
            customDownloader=make,
        )


def headCT(source=None):
    """
    A head of ellipses as CT, to sign and mark.

    :param source: the sample's entry, which Slicer gives.
    :return: list with the new volume node.
    """
    node = phantom.ct()
    views.show(node, fit=True)
    return [node]


def alteredCT(source=None):
    """
    The same head with a claim in it, signed by an account that is made up, and one slice altered.

    It needs the packages of the library, and takes some seconds.

    :param source: the sample's entry, which Slicer gives.
    :return: list with the new volume node.
    """

    with slicer.util.tryWithErrorDisplay(_("The sample could not be made.")):
        dependencies.ensure()
        scan = phantom.ct()
        try:
            node = _mark(scan)
        finally:
            slicer.mrmlScene.RemoveNode(scan)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(_("Head CT marked, altered")))
        slicer.util.arrayFromVolume(node)[ALTERED] = 60
        slicer.util.arrayFromVolumeModified(node)
        views.show(node, fit=True)
        return [node]


def _mark(scan):
    """A marked copy of a scan; key and restoration record are thrown away."""
    from MedWatermarkModule.logic import MedWatermarkLogic

    with tempfile.TemporaryDirectory(prefix="MedWatermark-") as folder:
        keyFile, record = Path(folder) / "key.json", Path(folder) / "record"
        password = secrets.token_hex(16)
        phantom.writeKeyFile(keyFile, password)
        diagnosis = _("Sample without a patient: no diagnosis.")
        task = MedWatermarkLogic().embed(scan, diagnosis, keyFile, password, record)
        return task.wait(lambda share: slicer.app.processEvents()).node
