"""Scans that arrived in a package: from its folder into the scene."""

from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk
import sitkUtils
import slicer
from slicer.i18n import tr as _

from MedWatermarkModule.volumes import setClaim


@dataclass(frozen=True)
class Received:
    """
    A scan that arrived.

    node - Its volume node, with the claim in its attributes.
    facts - As ``medwatermark receive --json`` tells: claim, image, leaves, mark_key, ...
    """

    node: object
    facts: dict


def loadReceived(facts: dict) -> Received:
    """Load the scan of a package that was unpacked, as its facts tell."""
    path = Path(facts["image"])
    if path.is_dir():
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(path)))
        image = reader.Execute()
    else:
        image = sitk.ReadImage(str(path))
    node = sitkUtils.PushVolumeToSlicer(image, name=_("Received scan"))
    setClaim(node, facts["claim"])
    if facts["modality"]:
        hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
        attribute = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMSeriesModalityAttributeName()
        item = hierarchy.GetItemByDataNode(node)
        hierarchy.SetItemAttribute(item, attribute, facts["modality"])
    return Received(node, facts)
