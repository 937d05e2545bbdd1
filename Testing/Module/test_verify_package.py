"""Packages that are verified in the panel, without the ledger."""

from pathlib import Path

import pytest
from clinic import DIAGNOSIS, PASSWORD

KEY = b"0123456789abcdef-mark-key"


@pytest.fixture
def package(phantom, module, key_file, tmp_path):
    """A package in one file, whose mark has a key; and its record beside it."""
    import slicer
    from MedWatermarkModule import volumes

    from MedWatermarkLib.account import load_account
    from MedWatermarkLib.imageio import read_volume, write_volume
    from MedWatermarkLib.package import write_package
    from MedWatermarkLib.scan import mark_scan

    volumes.writeNode(phantom.ct(), tmp_path / "scan.nrrd")
    slicer.mrmlScene.Clear()
    scan = read_volume(tmp_path / "scan.nrrd")
    marked = mark_scan(scan, DIAGNOSIS, load_account(key_file, PASSWORD), key=KEY)
    write_volume(marked.volume, tmp_path / "marked.nrrd")
    (tmp_path / "head.restoration").write_bytes(marked.restoration)
    write_package(tmp_path / "marked.nrrd", marked.claim, tmp_path / "package", mark_key=KEY)
    return tmp_path / "package"


@pytest.fixture
def verify(panel, click, finish):
    """``verify(package)``: choose it, click, wait; the outcomes of the five checks."""

    def choose_and_click(path):
        panel.ui.packagePathLineEdit.setCurrentPath(str(path))
        click(panel.ui.verifyButton)
        finish()
        return [getattr(panel.ui, f"checkIcon{number}").toolTip for number in range(1, 6)]

    return choose_and_click


def test_a_package_in_one_file_is_unpacked_and_its_secret_mark_read(
    panel, package, verify, click, finish
):
    choices = panel.parameters
    assert verify(package)[:2] == ["passed", "passed"]
    assert panel.ui.claimDiagnosisTextEdit.plainText == DIAGNOSIS
    opened = Path(choices.leavesFile).parent
    assert opened.parent == package.parent
    assert opened.name.startswith("opened-")
    assert Path(choices.markKeyFile).read_bytes() == KEY
    assert choices.packageFile == ""
    choices.recordFile = str(package.with_name("head.restoration"))
    click(panel.ui.restoreButton)
    finish()
    assert "the one that the claim is about" in panel.ui.restoreLabel.text


def test_what_was_changed_in_a_folder_since_is_said_and_shown(panel, package, verify):
    import SimpleITK as sitk

    verify(package)
    opened = Path(panel.parameters.leavesFile).parent
    scan = opened / "image.nrrd"
    content = bytearray(scan.read_bytes())
    content[-2 * 256 * 128 - 256 : -2 * 256 * 128] = bytes(256)
    scan.write_bytes(content)
    assert sitk.ReadImage(str(scan)).GetSize() == (256, 256, 5)
    outcomes = verify(opened / "manifest.json")
    assert outcomes[3] == "failed"
    assert "changed since" in panel.ui.remarkLabel.text
    assert panel.ui.showAlterationsButton.enabled


def test_a_package_in_one_file_goes_to_the_folder_of_exchanges(panel, package, verify, tmp_path):
    (tmp_path / "exchanges").mkdir()
    panel.parameters.exchangesFolder = str(tmp_path / "exchanges")
    verify(package)
    assert Path(panel.parameters.leavesFile).parents[1] == tmp_path / "exchanges"


def test_what_is_no_package_is_told_and_nothing_loaded(
    panel, click, finish, answer, slot_errors, tmp_path
):
    import slicer

    before = slicer.mrmlScene.GetNumberOfNodes()
    panel.ui.packagePathLineEdit.setCurrentPath(str(tmp_path / "none"))
    assert panel.ui.verifyButton.toolTip == f"There is no file {tmp_path / 'none'}."
    (tmp_path / "none").write_text("nothing")
    panel.updateSections()
    assert panel.ui.verifyButton.toolTip.startswith("Load the scan of the package")
    shown = []
    click(panel.ui.verifyButton)
    answer(lambda box: (shown.append(box.text), box.accept()))
    finish()
    assert shown[0].startswith("The package cannot be opened.")
    assert "no package of MedWatermark" in shown[0]
    slot_errors.clear()
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    assert panel.parameters.packageFile == str(tmp_path / "none")
    assert not list(tmp_path.glob("opened-*"))


def test_a_place_in_a_batch_needs_the_ledger(panel, phantom, tmp_path):
    (tmp_path / "place").touch()
    panel.parameters.receivedVolume = phantom.ct()
    panel.parameters.batchPathFile = str(tmp_path / "place")
    assert panel.ui.verifyButton.toolTip.startswith("Choose the ledger")


def test_a_package_whose_panel_was_left_is_loaded_and_not_verified(
    module, panel, package, click, finish
):
    import slicer

    panel.ui.packagePathLineEdit.setCurrentPath(str(package))
    click(panel.ui.verifyButton)
    module.widgetRepresentation().exit()
    finish()
    assert slicer.util.getNode("Received scan")
    module.widgetRepresentation().enter()
    assert panel.ui.verdictWidget.isHidden()
