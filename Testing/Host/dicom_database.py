"""Slicer's DICOM database, as far as a module asks it where an instance's file is."""

import pydicom


class ctkDICOMDatabase:
    """Mirrors commontk/CTK ``Libs/DICOM/Core/ctkDICOMDatabase.cpp``."""

    def __init__(self):
        self._files = {}

    def insert(self, filePath):
        instance = pydicom.dcmread(filePath, stop_before_pixels=True)
        self._files[instance.SOPInstanceUID] = str(filePath)

    def fileForInstance(self, sopInstanceUID):
        return self._files.get(sopInstanceUID, "")

    def removeInstance(self, sopInstanceUID):
        del self._files[sopInstanceUID]
