"""DICOM instances that tests make."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid


def ct_instance(pixels: np.ndarray, index: int) -> FileDataset:
    """CT image of one slice, 2.5 mm above the one before it."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    instance = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    instance.SpecificCharacterSet = "ISO_IR 192"
    instance.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    instance.SOPClassUID = CTImageStorage
    instance.SOPInstanceUID = generate_uid()
    instance.Modality = "CT"
    instance.PatientName = "Grünwald^Ada^Maria"
    instance.PatientID = "PID-4711"
    instance.PatientBirthDate = "19440229"
    instance.StudyID = "S77"
    instance.SeriesNumber = 3
    instance.InstanceNumber = index + 1
    instance.ImagePositionPatient = [-80.0, -75.5, 10.0 + 2.5 * index]
    instance.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    instance.PixelSpacing = [0.9375, 0.8]
    instance.SliceThickness = 2.5
    instance.SamplesPerPixel = 1
    instance.PhotometricInterpretation = "MONOCHROME2"
    instance.Rows, instance.Columns = pixels.shape
    instance.BitsAllocated = instance.BitsStored = pixels.dtype.itemsize * 8
    instance.HighBit = instance.BitsStored - 1
    instance.PixelRepresentation = int(pixels.dtype.kind == "i")
    instance.RescaleSlope, instance.RescaleIntercept = 1, 0
    instance.WindowCenter, instance.WindowWidth = 40, 80
    instance.PixelData = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    return instance
