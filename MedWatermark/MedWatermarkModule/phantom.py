"""Scans that the self-test makes for itself: a head of ellipses, as CT and as MR."""

import os

import numpy as np
import slicer
import vtk


def ct(dtype=np.int16):
    """A head in air, noisy, oblique, in HU."""
    y, x, radius, noise = _head(8)
    tissue = np.where(radius < 0.85, 35 + 20 * np.sin(6 * x) * np.cos(5 * y), 900)
    voxels = (np.where(radius < 1, tissue, -1000) + noise).astype(dtype)
    return _inHounsfieldUnits(_node(voxels, "Head CT", window=(80, 40)))


def mr():
    """A head without units, whose background is the magnitude of noise."""
    y, x, radius, noise = _head(12)
    tissue = np.where(radius < 0.85, 400 + 90 * np.sin(6 * x) * np.cos(5 * y), 120)
    signal = np.where(radius < 1, tissue, 0)
    node = _node(np.abs(signal + noise).round().astype(np.uint16), "Head MR", window=(700, 350))
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    attribute = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMSeriesModalityAttributeName()
    hierarchy.SetItemAttribute(hierarchy.GetItemByDataNode(node), attribute, "MR")
    return node


def _head(sigma):
    z, y, x = np.ogrid[-1:1:5j, -1:1:256j, -1:1:256j]
    radius = np.sqrt((x / 0.8) ** 2 + (y / 0.9) ** 2 + 0.1 * z**2)
    return y, x, radius, np.random.default_rng(0).normal(0, sigma, radius.shape)


def _inHounsfieldUnits(node):
    units = slicer.vtkCodedEntry()
    units.SetValueSchemeMeaning("[hnsf'U]", "UCUM", "Hounsfield unit")
    node.SetVoxelValueUnits(units)
    return node


def _node(voxels, name, window):
    node = slicer.util.addVolumeFromArray(voxels, name=name)
    axes = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]) * (-0.45, -0.45, 3.1)
    matrix = np.eye(4)
    matrix[:3] = np.column_stack([axes, (101.3, 87.1, -12.7)])
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(matrix))
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAutoWindowLevel(False)
    node.GetDisplayNode().SetWindowLevel(*window)
    return node


def writeDICOM(node, folder, name: str):
    """Write a node as a CT series of a patient, in stored values with an intercept."""
    import pydicom
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    os.makedirs(folder)
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    matrix = np.diag([-1, -1, 1, 1]) @ ijkToRAS(node)
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    for index, values in enumerate(slicer.util.arrayFromVolume(node)):
        meta = pydicom.dataset.FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        instance = pydicom.dataset.FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        instance.SOPClassUID = CTImageStorage
        instance.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
        instance.StudyInstanceUID, instance.SeriesInstanceUID = study, series
        instance.FrameOfReferenceUID = frame
        instance.PatientName, instance.PatientID = name, "4711-0815"
        instance.Modality, instance.StationName = "CT", "CT-Room-3"
        instance.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        instance.InstanceNumber = index + 1
        instance.ImagePositionPatient = [
            round(each, 6) for each in (matrix @ [0, 0, index, 1])[:3].tolist()
        ]
        instance.ImageOrientationPatient = [
            round(each, 6) for each in (matrix[:3, :2] / spacing[:2]).T.ravel().tolist()
        ]
        instance.PixelSpacing = [round(each, 6) for each in spacing[1::-1].tolist()]
        instance.SliceThickness = round(float(spacing[2]), 6)
        instance.SamplesPerPixel, instance.PhotometricInterpretation = 1, "MONOCHROME2"
        instance.Rows, instance.Columns = values.shape
        instance.BitsAllocated, instance.BitsStored, instance.HighBit = 16, 12, 11
        instance.PixelRepresentation = 0
        instance.RescaleSlope, instance.RescaleIntercept = 1, -1100
        instance.PixelData = (values + 1100).astype("<u2").tobytes()
        instance.save_as(os.path.join(folder, f"{index}.dcm"), enforce_file_format=True)


def readDICOM(folder):
    """A node with the CT series of a folder, as Slicer's DICOM module makes one."""
    import pydicom
    import SimpleITK as sitk
    import sitkUtils

    reader = sitk.ImageSeriesReader()
    files = reader.GetGDCMSeriesFileNames(str(folder))
    reader.SetFileNames(files)
    node = sitkUtils.PushVolumeToSlicer(reader.Execute(), name="CT")
    uids = [pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID for file in files]
    node.SetAttribute("DICOM.instanceUIDs", " ".join(uids))
    node.CreateDefaultDisplayNodes()
    return _inHounsfieldUnits(node)


def shear():
    """What Slicer puts above a series that was taken with a tilted gantry."""
    matrix = np.eye(4)
    matrix[1, 2] = 0.2
    return slicer.util.vtkMatrixFromArray(matrix)


def ensureSliceView():
    """Have a slice view in the scene: without a main window there is none."""
    for kind in ("vtkMRMLSliceNode", "vtkMRMLSliceCompositeNode"):
        if not slicer.mrmlScene.GetFirstNodeByClass(kind):
            node = slicer.mrmlScene.CreateNodeByClass(kind)
            node.UnRegister(None)
            node.SetLayoutName("Red")
            node.SetSingletonTag("Red")
            slicer.mrmlScene.AddNode(node)


def ijkToRAS(node):
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def nameThePatient(node, name: str):
    """Put a node under a patient, as Slicer's DICOM reader does."""
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    constants = slicer.vtkMRMLSubjectHierarchyConstants
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), name)
    hierarchy.SetItemAttribute(patient, constants.GetDICOMPatientNameAttributeName(), name)
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(node), patient)
    return patient


def writeIdentity(path, password: str) -> str:
    """Make an age identity as ``medwatermark identity`` does; returns its public key."""
    from MedWatermarkLib.identity_file import create_identity_file

    return create_identity_file(path, password)


def writeKeyFile(path, password: str) -> str:
    """Make an account as ``medwatermark keygen`` does, but quick to open; returns its address."""
    from MedWatermarkLib.account import create_key_file

    return create_key_file(path, password, iterations=2)
