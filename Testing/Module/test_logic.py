"""What the logic knows of a node besides its voxels, and what it leaves after an error."""

import numpy as np
import pydicom
import pytest
from clinic import DIAGNOSIS, PASSWORD
from pydicom.data import get_testdata_file


@pytest.fixture
def scan(phantom):
    return phantom.ct()


@pytest.fixture
def written(module, tmp_path):
    """``written(node)``: the volume that a child process reads."""
    from MedWatermarkModule import volumes

    from MedWatermarkLib.imageio import read_volume

    def write_and_read(node):
        volumes.writeNode(node, tmp_path / "scan.nrrd")
        return read_volume(tmp_path / "scan.nrrd")

    return write_and_read


@pytest.fixture
def instance(host):
    """The file of a CT that Slicer's DICOM database has."""
    import slicer

    path = get_testdata_file("CT_small.dcm")
    instance = pydicom.dcmread(path)
    slicer.dicomDatabase.insert(path)
    yield instance
    slicer.dicomDatabase.removeInstance(instance.SOPInstanceUID)


def node_of(instance):
    """The node that Slicer makes of one DICOM file."""
    import slicer

    node = slicer.util.addVolumeFromArray(instance.pixel_array[np.newaxis].astype(np.int16))
    matrix = np.eye(4)
    orientation = np.array(instance.ImageOrientationPatient, float).reshape(2, 3)
    matrix[:3, :2] = (orientation * np.array(instance.PixelSpacing, float)[::-1, None]).T
    matrix[:3, 2] = np.cross(*orientation) * 5
    matrix[:3, 3] = instance.ImagePositionPatient
    ras = np.diag([-1, -1, 1, 1]) @ matrix
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(ras))
    node.SetAttribute("DICOM.instanceUIDs", instance.SOPInstanceUID)
    return node


def test_a_diagnosis_with_a_name_from_the_dicom_file_is_refused(mark, scan, instance):
    from MedWatermarkModule.child import CommandError

    scan.SetAttribute("DICOM.instanceUIDs", instance.SOPInstanceUID)
    with pytest.raises(CommandError) as refusal:
        mark(scan, f"ID {instance.PatientID}: infarct")
    assert refusal.value.kind == "IdentifyingDiagnosisError"
    assert instance.PatientID not in str(refusal.value)


def test_a_patient_without_a_name_forbids_no_words(written, scan, phantom):
    # Slicer's DICOM reader enters "No name" (DICOMPlugin.py).
    phantom.nameThePatient(scan, "No name")
    assert written(scan).identity == {}


def test_the_patients_name_reaches_the_child_as_it_is(written, scan, phantom):
    phantom.nameThePatient(scan, "Röntgen^Änne\\n:=x")
    assert written(scan).identity == {"PatientName": "Röntgen^Änne\\n:=x"}


@pytest.mark.parametrize(
    ("attribute", "units", "modality"), [("MR", True, "MR"), ("", True, "CT"), ("", False, "")]
)
def test_the_modality_is_the_series_or_told_by_the_units(written, scan, attribute, units, modality):
    import slicer

    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    hierarchy.SetItemAttribute(hierarchy.GetItemByDataNode(scan), "DICOM.Modality", attribute)
    if not units:
        scan.SetVoxelValueUnits(None)
    assert written(scan).modality == modality


def test_a_volume_has_voxels_geometry_and_window_of_its_node_in_lps(written, scan, phantom):
    import slicer

    volume = written(scan)
    index = np.array([17, 101, 3])
    direction = np.reshape(volume.direction, (3, 3))
    lps = direction @ (index * volume.spacing) + volume.origin
    ras = phantom.ijkToRAS(scan) @ [*index, 1]
    np.testing.assert_allclose(lps, ras[:3] * (-1, -1, 1), atol=1e-9)
    np.testing.assert_array_equal(volume.voxels, slicer.util.arrayFromVolume(scan))
    assert volume.window == (40, 80)


def test_a_node_that_matches_its_dicom_file_is_not_remarked_on(module, instance):
    from MedWatermarkModule import patient

    assert patient.differenceFromInstances(node_of(instance)) == ""


def test_a_node_without_dicom_files_is_not_remarked_on(module, scan):
    from MedWatermarkModule import patient

    assert patient.differenceFromInstances(scan) == ""


def test_a_resampled_node_is_said_not_to_match_its_dicom(module, instance):
    import slicer
    from MedWatermarkModule import patient

    node = node_of(instance)
    slicer.util.updateVolumeFromArray(node, slicer.util.arrayFromVolume(node)[:, ::2, ::2].copy())
    assert "resampled or cropped" in patient.differenceFromInstances(node)


def test_a_node_with_a_hardened_transform_is_said_not_to_match_its_dicom(module, instance, phantom):
    import slicer
    from MedWatermarkModule import patient

    node = node_of(instance)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.eye(4)
    matrix[0, 3] = 3
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    node.SetAndObserveTransformNodeID(transform.GetID())
    assert patient.differenceFromInstances(node) == ""
    node.HardenTransform()
    assert "transform was hardened" in patient.differenceFromInstances(node)


def test_an_output_that_was_given_is_as_before_after_an_error(
    logic, scan, phantom, key_file, tmp_path
):
    import slicer

    voxels = np.arange(24.0).reshape(2, 3, 4)
    output = slicer.util.addVolumeFromArray(voxels, name="Mine")
    output.SetAttribute("mine", "kept")
    ras = phantom.ijkToRAS(output)
    place = tmp_path / "place"
    place.mkdir()
    task = logic.embed(scan, DIAGNOSIS, key_file, PASSWORD, place / "record", output)
    place.rmdir()  # while the child works
    with pytest.raises(FileNotFoundError):
        task.wait()
    assert (slicer.util.arrayFromVolume(output) == voxels).all()
    assert output.GetName() == "Mine"
    assert output.GetAttribute("mine") == "kept"
    assert output.GetAttribute("MedWatermark.Claim") is None
    assert (phantom.ijkToRAS(output) == ras).all()


def test_a_damaged_scan_is_not_restored(logic, scan, mark, record):
    import slicer
    from MedWatermarkModule.child import CommandError

    marked = mark(scan)
    slicer.util.arrayFromVolume(marked)[2, 100:104, 100:104] += 50
    before = slicer.mrmlScene.GetNumberOfNodes()
    with pytest.raises(CommandError) as refusal:
        logic.restore(marked, record).wait()
    assert refusal.value.kind == "RestorationError"
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_tile_leaves_tell_the_recipient_exactly_which_place_was_altered(
    logic, scan, mark, tmp_path
):
    import slicer

    leaves = tmp_path / "head.leaves"
    marked = mark(scan, leavesPath=leaves)
    slicer.util.arrayFromVolume(marked)[2, 70, 140] += 1
    verification = logic.verify(marked, leaves=leaves).wait()
    assert verification.facts["checks"][3]["outcome"] == "failed"
    altered = verification.labels == 1
    assert altered[2, 64:128, 128:192].all()
    assert altered.sum() == 64 * 64


def test_a_mark_that_no_longer_reads_leaves_no_claim_on_the_node(logic, scan, mark):
    import slicer

    marked = mark(scan)
    # Other voxels, and few, since all of them are searched.
    voxels = slicer.util.arrayFromVolume(scan)
    slicer.util.updateVolumeFromArray(marked, voxels[:2, ::4, ::4].copy())
    verification = logic.verify(marked).wait()
    assert verification.facts["claim"] is None
    assert verification.picture is None
    assert marked.GetAttribute("MedWatermark.Claim") is None
    assert marked.GetAttribute("MedWatermark.Signer") is None
    with pytest.raises(ValueError, match="Nothing tells"):
        logic.showAlterations(verification)


def test_the_alterations_of_a_scan_that_has_gone_are_not_shown(logic, scan):
    import slicer
    from MedWatermarkModule.logic import Verification

    verification = Verification(scan, {}, np.ones((5, 256, 256), np.uint8), None, "")
    slicer.mrmlScene.RemoveNode(scan)
    with pytest.raises(ValueError, match="no longer in the scene"):
        logic.showAlterations(verification)


def test_alterations_lie_on_a_scan_from_a_tilted_gantry(module, scan, phantom):
    import slicer
    from MedWatermarkModule import views

    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(phantom.shear())
    scan.SetAndObserveTransformNodeID(transform.GetID())
    labels = np.zeros((5, 256, 256), np.uint8)
    labels[3, 96:152, 88:144] = 1
    segmentation = views.showAlterations(scan, labels)
    shown = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "altered", scan)
    np.testing.assert_array_equal(shown, labels)


def test_the_views_jump_through_a_parent_transform(module, scan, phantom):
    import slicer
    from MedWatermarkModule import views

    phantom.ensureSliceView()
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.eye(4)
    matrix[2, 3] = 40
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    mask = np.zeros((5, 256, 256), bool)
    mask[1, 10:20, 30:40] = True
    mask[4] = True
    views.jump(scan, mask)
    view = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSliceNode")
    here = view.GetSliceOffset()
    np.testing.assert_allclose(here, (phantom.ijkToRAS(scan) @ [34.5, 14.5, 1, 1])[2])
    scan.SetAndObserveTransformNodeID(transform.GetID())
    views.jump(scan, mask)
    assert view.GetSliceOffset() == pytest.approx(here + 40)


def test_strength_is_never_more_than_the_panel_says(module):
    from MedWatermarkModule.sign_section import GREATEST_BY_RMSE

    from MedWatermarkLib.modulation import reach
    from MedWatermarkLib.sites import sites

    assert reach(sites(b""), 1.0) <= GREATEST_BY_RMSE
