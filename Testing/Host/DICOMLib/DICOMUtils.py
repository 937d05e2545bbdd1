"""A DICOM database for a while; mirrors Slicer's ``Modules/Scripted/DICOMLib/DICOMUtils.py``."""

from pathlib import Path

import slicer


class TemporaryDICOMDatabase:
    """The application's database is another one while the context lasts."""

    def __init__(self, directory=None):
        self.temporaryDatabaseDir = directory

    def __enter__(self):
        self._files = dict(slicer.dicomDatabase._files)
        slicer.dicomDatabase._files.clear()
        return slicer.dicomDatabase

    def __exit__(self, type, value, traceback):
        slicer.dicomDatabase._files.clear()
        slicer.dicomDatabase._files.update(self._files)


def importDicom(dicomDataDir, dicomDatabase=None, copyFiles=False):
    for path in sorted(Path(dicomDataDir).rglob("*")):
        if path.is_file():
            (dicomDatabase or slicer.dicomDatabase).insert(path)
    return True
