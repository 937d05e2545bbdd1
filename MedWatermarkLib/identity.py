"""What in a header names the patient, or leads to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.multival import MultiValue

# After PS3.15 table E.1-1. What whole groups share (sex, age, department, country) is not among
# them: a diagnosis may well say it.
_IDENTIFYING = (
    "PatientName",
    "PatientID",
    "OtherPatientIDs",
    "OtherPatientNames",
    "PatientBirthName",
    "PatientMotherBirthName",
    "PatientBirthDate",
    "PatientAddress",
    "PatientTelephoneNumbers",
    "MedicalRecordLocator",
    "ResponsiblePerson",
    "AccessionNumber",
    "StudyID",
    "AdmissionID",
    "InstitutionName",
    "InstitutionAddress",
    "ReferringPhysicianName",
    "ReferringPhysicianAddress",
    "ReferringPhysicianTelephoneNumbers",
    "ConsultingPhysicianName",
    "PerformingPhysicianName",
    "PhysiciansOfRecord",
    "NameOfPhysiciansReadingStudy",
    "RequestingPhysician",
    "OperatorsName",
)


def identity_of_dicom(instance: Dataset) -> dict[str, str]:
    """Return the identifying attributes of a DICOM data set.

    Parameters
    ----------
    instance : pydicom.Dataset
        The data set.

    Returns
    -------
    dict of str to str
        Values by keyword, as DICOM writes them: the components of a name parted by ``^``, several
        values by a backslash. Empty ones are left out.
    """
    values = {keyword: _values(instance.get(keyword)) for keyword in _IDENTIFYING}
    for item in instance.get("OtherPatientIDsSequence") or []:
        values["OtherPatientIDs"] += _values(item.get("PatientID"))
    return {keyword: "\\".join(found) for keyword, found in values.items() if found}


def identity_of_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the identifying attributes among the metadata of an ITK image.

    ITK keeps DICOM attributes under names such as ``0010|0010``, also in NRRD and MetaImage files
    that were converted from DICOM.
    """
    values = {keyword: metadata.get(itk_key(keyword), "").strip() for keyword in _IDENTIFYING}
    return {keyword: value for keyword, value in values.items() if value}


def itk_key(keyword: str) -> str:
    """Return the name that ITK gives a DICOM attribute in the metadata of other formats."""
    tag = tag_for_keyword(keyword) or 0
    return f"{tag >> 16:04x}|{tag & 0xFFFF:04x}"


def _values(value: Any) -> list[str]:
    values = value if isinstance(value, MultiValue) else [value]
    return [str(one).strip() for one in values if one is not None and str(one).strip()]
