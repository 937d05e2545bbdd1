"""Volumes that came from DICOM, and become DICOM again: by the panel, and by Slicer itself."""

import locale

import numpy as np
import pydicom
import pytest
from clinic import DIAGNOSIS

NAME = "Roentgen^Anna"


@pytest.fixture
def series(phantom, tmp_path):
    """The folder of a CT whose files Slicer's DICOM database has."""
    from DICOMLib.DICOMUtils import TemporaryDICOMDatabase, importDicom

    folder = tmp_path / "series"
    phantom.writeDICOM(phantom.ct(), folder, NAME)
    with TemporaryDICOMDatabase():
        importDicom(str(folder))
        yield folder


@pytest.fixture
def scan(phantom, series):
    return phantom.readDICOM(series)


def export_as_slicer(node, folder):
    """What Slicer's ``Modules/CLI/CreateDICOMSeries`` does with a node: the same ITK writer."""
    import SimpleITK as sitk
    import sitkUtils
    from pydicom.uid import generate_uid

    folder.mkdir()
    image = sitk.Cast(sitkUtils.PullVolumeFromSlicer(node), sitk.sitkInt16)
    direction = np.reshape(image.GetDirection(), (3, 3))
    tags = {
        "0008|0008": "ORIGINAL\\PRIMARY\\AXIAL",
        "0008|0016": "1.2.840.10008.5.1.4.1.1.2",
        "0008|0060": "CT",
        "0010|0010": NAME,
        "0020|000d": generate_uid(),
        "0020|000e": generate_uid(),
        "0020|0052": generate_uid(),
        "0020|0037": "\\".join(f"{each:g}" for each in direction[:, :2].T.ravel()),
        "0018|0050": f"{image.GetSpacing()[2]:g}",
        "0028|1050": f"{node.GetDisplayNode().GetLevel():g}",
        "0028|1051": f"{node.GetDisplayNode().GetWindow():g}",
        "0028|1054": "HU",
    }
    ctype = locale.setlocale(locale.LC_CTYPE)
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.KeepOriginalImageUIDOn()
    for index in range(image.GetDepth()):
        position = image.TransformIndexToPhysicalPoint((0, 0, index))
        size = [*image.GetSize()[:2], 0]
        collapse = sitk.ExtractImageFilter.DIRECTIONCOLLAPSETOGUESS
        extracted = sitk.Extract(image, size, [0, 0, index], collapse)
        for key, value in tags.items():
            extracted.SetMetaData(key, value)
        extracted.SetMetaData("0020|0013", str(index + 1))
        extracted.SetMetaData("0020|0032", "\\".join(f"{each:g}" for each in position))
        writer.SetFileName(str(folder / f"IMG{index + 1:04d}.dcm"))
        writer.Execute(extracted)
    # The writer leaves that of C behind, in which this process would understand ASCII alone.
    locale.setlocale(locale.LC_CTYPE, ctype)


@pytest.mark.parametrize("kind", ["ct", "mr"])
def test_slicers_own_export_keeps_every_voxel_and_the_mark(
    phantom, logic, mark, record, kind, tmp_path
):
    import slicer

    marked = mark(getattr(phantom, kind)())
    export_as_slicer(marked, tmp_path / "exported")
    again = phantom.readDICOM(tmp_path / "exported")
    there, here = map(slicer.util.arrayFromVolume, (again, marked))
    np.testing.assert_array_equal(there, here)
    facts = logic.verify(again, record=record).wait().facts
    assert facts["claim"]["diagnosis"] == DIAGNOSIS
    assert facts["checks"][4]["outcome"] == "passed"


def test_what_slicers_own_export_rounds_off_the_position_is_not_the_original(
    phantom, logic, mark, record, tmp_path
):
    scan = phantom.ct()
    scan.SetOrigin(101.3, 87.1, -1234.567)
    marked = mark(scan)
    export_as_slicer(marked, tmp_path / "exported")
    facts = logic.verify(phantom.readDICOM(tmp_path / "exported"), record=record).wait().facts
    outcomes = {check["name"]: check["outcome"] for check in facts["checks"]}
    assert (outcomes["Mark"], outcomes["Claim"]) == ("passed", "passed")
    assert outcomes["Original"] == "failed"


def test_the_export_is_a_new_series_of_the_same_patient_and_study(
    logic, scan, series, mark, tmp_path
):
    marked = mark(scan)
    facts = logic.exportDICOM(marked, tmp_path / "exported").wait()
    assert facts["files"] == len(list(series.iterdir())) == 5
    before = pydicom.dcmread(next(series.iterdir()))
    for file in (tmp_path / "exported").iterdir():
        instance = pydicom.dcmread(file)
        assert instance.PatientName == NAME
        assert instance.StudyInstanceUID == before.StudyInstanceUID
        assert instance.SeriesInstanceUID != before.SeriesInstanceUID
        assert instance.StationName == before.StationName


def test_a_volume_that_does_not_lie_on_its_files_is_not_exported(logic, scan, tmp_path):
    import slicer
    from MedWatermarkModule.volumes import VolumeNodeError

    voxels = slicer.util.arrayFromVolume(scan)[:, ::2].copy()
    slicer.util.updateVolumeFromArray(scan, voxels)
    with pytest.raises(VolumeNodeError, match="resampled or cropped"):
        logic.exportDICOM(scan, tmp_path / "exported")
    scan.RemoveAttribute("DICOM.instanceUIDs")
    with pytest.raises(VolumeNodeError, match="not known to Slicer"):
        logic.exportDICOM(scan, tmp_path / "exported")


def test_values_that_the_files_cannot_hold_are_refused_and_leave_as_voxels(logic, scan):
    import slicer
    from MedWatermarkModule.child import CommandError
    from MedWatermarkModule.deidentification import Deidentification

    slicer.util.updateVolumeFromArray(scan, slicer.util.arrayFromVolume(scan) + np.float32(0.5))
    with pytest.raises(CommandError) as refusal:
        logic.exchange.preview(scan).wait()
    assert refusal.value.kind == "SourceError"
    preview = logic.exchange.preview(scan, Deidentification(asDICOM=False)).wait()
    assert not preview.isDICOM


def test_a_preview_tells_what_is_kept_first_and_no_value(logic, scan):
    from MedWatermarkModule.deidentification import Deidentification

    wanted = Deidentification(keepDevice=True, shiftDates=True, cleanDescriptors=True)
    preview = logic.exchange.preview(scan, wanted).wait()
    assert preview.isDICOM
    for option in ("Device Identity", "Modified Dates", "Clean Descriptors"):
        assert option in preview.profile
    outcomes = [outcome for _name, outcome in preview.attributes]
    assert outcomes == sorted(outcomes, key=lambda outcome: outcome != "kept")
    assert ("StationName", "kept") in preview.attributes
    assert dict(preview.attributes)["PatientName"] == "replaced by a pseudonym"
    assert "Roentgen" not in str(preview)


def test_the_panel_says_why_a_scan_does_not_leave_as_dicom(panel, scan, series, click, finish):
    import slicer

    panel.parameters.sharedVolume = scan

    def preview():
        click(panel.ui.previewButton)
        finish()
        return panel.ui.previewTextEdit.plainText

    assert preview().startswith("It leaves as DICOM")
    panel.ui.asDICOMCheckBox.checked = False
    assert panel.ui.previewTextEdit.isHidden()
    told = preview()
    assert told.startswith("It leaves as voxels")
    assert "database" not in told
    panel.ui.asDICOMCheckBox.checked = True
    last = scan.GetAttribute("DICOM.instanceUIDs").split()[-1]
    slicer.dicomDatabase.removeInstance(last)
    assert "database does not have the files" in preview()


def test_secrets_of_pseudonyms_stay_in_their_file(panel, scan, click, finish, tmp_path):
    import slicer

    panel.parameters.sharedVolume = scan
    key = tmp_path / "pseudonyms.key"
    panel.ui.pseudonymKeyPathLineEdit.setCurrentPath(str(key))
    assert panel.ui.previewButton.toolTip == f"There is no file {key}."
    key.write_text("a secret of the hospital")
    panel.ui.keepPatientCharacteristicsCheckBox.checked = True
    click(panel.ui.previewButton)
    finish()
    assert "Retain Patient Characteristics" in panel.ui.previewTextEdit.plainText
    slicer.mrmlScene.SetSaveToXMLString(1)
    slicer.mrmlScene.Commit()
    slicer.mrmlScene.SetSaveToXMLString(0)
    scene = slicer.mrmlScene.GetSceneXMLString()
    assert str(key) in scene
    assert "a secret of the hospital" not in scene


def test_a_scan_whose_files_are_unknown_is_not_exported_by_the_panel(
    panel, phantom, key_file, record, answer, click, finish
):
    import slicer

    choices = panel.parameters
    choices.inputVolume, choices.keyFile = phantom.ct(), str(key_file)
    choices.restorationFile, choices.diagnosis = str(record), DIAGNOSIS
    panel.askPassword = lambda file: "correct horse"
    click(panel.ui.embedButton)
    del panel.askPassword
    finish()
    assert not panel.ui.exportButton.enabled
    assert "export it in the Data module" in panel.ui.exportButton.toolTip
    slicer.mrmlScene.RemoveNode(choices.receivedVolume)
    choices.diagnosis = "Something else"
    assert panel.ui.exportButton.toolTip == "The marked scan is not in the scene."
