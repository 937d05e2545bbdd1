"""What the logic knows of a node besides its voxels, and what it leaves after an error."""

import sys

import pydicom
import pytest
from pydicom.data import get_testdata_file


@pytest.fixture
def scan(module, self_test):
    return self_test.phantom()


@pytest.fixture
def logic(module):
    return sys.modules["MedWatermark"].MedWatermarkLogic()


def test_a_diagnosis_with_a_name_from_the_dicom_file_is_refused(logic, scan, self_test):
    import slicer

    from MedWatermarkLib.claim import IdentifyingDiagnosisError

    path = get_testdata_file("CT_small.dcm")
    instance = pydicom.dcmread(path)
    slicer.dicomDatabase.insert(path)
    scan.SetAttribute("DICOM.instanceUIDs", instance.SOPInstanceUID)
    with pytest.raises(IdentifyingDiagnosisError) as refusal:
        logic.embed(
            scan, f"ID {instance.PatientID}: infarct", self_test.account(), self_test.record
        )
    assert instance.PatientID not in str(refusal.value)
    slicer.dicomDatabase.removeInstance(instance.SOPInstanceUID)


def test_a_patient_without_a_name_forbids_no_words(logic, scan, self_test):
    import slicer

    # Slicer's DICOM reader enters "No name" (DICOMPlugin.py).
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    self_test.nameThePatient(hierarchy.GetItemByDataNode(scan))
    patient = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(scan))
    hierarchy.SetItemAttribute(patient, "DICOM.PatientName", "No name")
    assert logic._volumeFromNode(scan).identity == {}


@pytest.mark.parametrize(
    ("attribute", "units", "modality"), [("MR", True, "MR"), ("", True, "CT"), ("", False, "")]
)
def test_the_modality_is_the_series_or_told_by_the_units(logic, scan, attribute, units, modality):
    import slicer

    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    hierarchy.SetItemAttribute(hierarchy.GetItemByDataNode(scan), "DICOM.Modality", attribute)
    if not units:
        scan.SetVoxelValueUnits(None)
    assert logic._volumeFromNode(scan).modality == modality


def test_a_volume_has_the_geometry_of_its_node_in_lps(logic, scan, self_test):
    import numpy as np

    volume = logic._volumeFromNode(scan)
    index = np.array([17, 101, 3])
    direction = np.reshape(volume.direction, (3, 3))
    lps = direction @ (index * volume.spacing) + volume.origin
    ras = self_test.ijkToRAS(scan) @ [*index, 1]
    np.testing.assert_allclose(lps, ras[:3] * (-1, -1, 1), atol=1e-9)
    assert volume.window == (40, 80)


def test_an_output_that_was_given_is_as_before_after_an_error(logic, scan, self_test):
    import numpy as np
    import slicer

    voxels = np.arange(24.0).reshape(2, 3, 4)
    output = slicer.util.addVolumeFromArray(voxels, name="Mine")
    output.SetAttribute("mine", "kept")
    ras = self_test.ijkToRAS(output)
    unwritable = self_test.record.parent / "missing" / "record"
    with pytest.raises(FileNotFoundError):
        logic.embed(scan, self_test.DIAGNOSIS, self_test.account(), unwritable, output)
    assert (slicer.util.arrayFromVolume(output) == voxels).all()
    assert output.GetName() == "Mine"
    assert output.GetAttribute("mine") == "kept"
    assert output.GetAttribute("MedWatermark.Claim") is None
    assert (self_test.ijkToRAS(output) == ras).all()


def test_a_damaged_scan_is_not_restored(logic, scan, self_test):
    import slicer

    marked = logic.embed(scan, self_test.DIAGNOSIS, self_test.account(), self_test.record)
    slicer.util.arrayFromVolume(marked)[2, 100:104, 100:104] += 50
    before = slicer.mrmlScene.GetNumberOfNodes()
    with pytest.raises(ValueError, match=r"\w"):
        logic.restore(marked, self_test.record)
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_a_mark_that_no_longer_reads_leaves_no_claim_on_the_node(logic, scan, self_test):
    import slicer

    marked = logic.embed(scan, self_test.DIAGNOSIS, self_test.account(), self_test.record)
    slicer.util.updateVolumeFromArray(marked, slicer.util.arrayFromVolume(scan))
    assert logic.extract(marked).claim is None
    assert marked.GetAttribute("MedWatermark.Claim") is None
    assert marked.GetAttribute("MedWatermark.Signer") is None
