"""Who the patient of a node is, as far as the scene and Slicer's DICOM database know."""

import os

import numpy as np
import pydicom
import slicer
import vtk
from slicer.i18n import tr as _

# mm, and parts of unit vectors: above what float32 and decimal strings lose.
TOLERANCE = 1e-2


def identity(node) -> dict[str, str]:
    """What identifies the patient of a node: DICOM keyword and value."""
    return {**_identityInHierarchy(node), **_identityInDatabase(node)}


def modality(node) -> str:
    """DICOM Modality of a node, or "": its own, else what its units tell."""
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    constants = slicer.vtkMRMLSubjectHierarchyConstants
    item = hierarchy.GetItemByDataNode(node)
    known = hierarchy.GetItemAttribute(item, constants.GetDICOMSeriesModalityAttributeName())
    units = node.GetVoxelValueUnits()
    isHounsfield = units is not None and units.GetCodeValue() == "[hnsf'U]"  # UCUM
    return known or ("CT" if isHounsfield else "")


def differenceFromInstances(node) -> str:
    """Why a node cannot match the DICOM files that it came from, or ""."""
    header = _firstInstance(node)
    if header is None:
        return ""
    size = node.GetImageData().GetDimensions()
    count = len(_instanceUIDs(node)) * int(header.get("NumberOfFrames", 1))
    if size != (header.Columns, header.Rows, count):
        return _(
            "The volume was resampled or cropped: it has {here} voxels, and its DICOM files "
            "{there}. It cannot match them."
        ).format(here=_by(size), there=_by((header.Columns, header.Rows, count)))
    if "ImagePositionPatient" not in header or "ImageOrientationPatient" not in header:
        return ""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    ijkToLPS = np.diag([-1.0, -1.0, 1.0, 1.0]) @ slicer.util.arrayFromVTKMatrix(matrix)
    orientation = np.array(header.ImageOrientationPatient, float).reshape(2, 3)
    rows, columns = map(float, header.PixelSpacing)
    inPlane = orientation * [[columns], [rows]]
    position = np.array(header.ImagePositionPatient, float)
    # Of several slices, the first file may be either end.
    ends = [ijkToLPS @ [0, 0, k, 1] for k in (0, size[2] - 1)]
    if not (
        np.allclose(ijkToLPS[:3, :2].T, inPlane, rtol=0, atol=TOLERANCE)
        and any(np.allclose(end[:3], position, rtol=0, atol=TOLERANCE) for end in ends)
    ):
        return _(
            "The volume lies elsewhere than its DICOM files: a transform was hardened, or it was "
            "resampled. It cannot match them."
        )
    return ""


def hasInstances(node) -> bool:
    """Whether Slicer's database knows DICOM files of a node; looks for the first one only."""
    uids = _instanceUIDs(node)
    return bool(uids and _fileOf(uids[0]))


def instanceFiles(node) -> list[str]:
    """The DICOM files of a node, if Slicer knows them all and the node lies on them; else []."""
    if not hasInstances(node) or differenceFromInstances(node):
        return []
    files = list(map(_fileOf, _instanceUIDs(node)))
    return files if all(files) else []


def _identityInHierarchy(node) -> dict[str, str]:
    """The patient of the subject hierarchy, as Slicer's DICOM reader enters it."""
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    constants = slicer.vtkMRMLSubjectHierarchyConstants
    attributes = {
        "PatientName": constants.GetDICOMPatientNameAttributeName(),
        "PatientID": constants.GetDICOMPatientIDAttributeName(),
        "PatientBirthDate": constants.GetDICOMPatientBirthDateAttributeName(),
    }
    found = {}
    item = hierarchy.GetItemByDataNode(node)
    while item and item != hierarchy.GetSceneItemID():
        for keyword, attribute in attributes.items():
            value = hierarchy.GetItemAttribute(item, attribute)
            # "No name" is what Slicer enters for a patient without one (DICOMPlugin.py).
            if value and value != "No name":
                found[keyword] = value
        item = hierarchy.GetItemParent(item)
    return found


def _identityInDatabase(node) -> dict[str, str]:
    """The identity in a DICOM file that the node was read from, if Slicer's database has it."""
    from MedWatermarkLib.identity import identity_of_dicom

    header = _firstInstance(node)
    return {} if header is None else identity_of_dicom(header)


def _instanceUIDs(node) -> list[str]:
    return (node.GetAttribute("DICOM.instanceUIDs") or "").split()


def _fileOf(uid: str) -> str:
    """Where Slicer's database has the file of an instance, or ""."""
    database = getattr(slicer, "dicomDatabase", None)
    return database.fileForInstance(uid) if database else ""


def _firstInstance(node):
    """The header of the first DICOM file of a node, if Slicer's database has it."""
    uids = _instanceUIDs(node)
    path = _fileOf(uids[0]) if uids else ""
    return pydicom.dcmread(path, stop_before_pixels=True) if os.path.isfile(path) else None


def _by(size) -> str:
    return " x ".join(map(str, size))
