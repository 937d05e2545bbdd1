"""Volume nodes: to a file that a child process reads, and back from one that it wrote."""

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

import SimpleITK as sitk
import sitkUtils
import slicer
from slicer.i18n import tr as _

from MedWatermarkModule import patient

CLAIM_ATTRIBUTE = "MedWatermark.Claim"
SIGNER_ATTRIBUTE = "MedWatermark.Signer"


class VolumeNodeError(ValueError):
    """A volume node cannot be marked, verified or restored."""


def checkInput(node) -> None:
    """
    Refuse what is no scan.

    :raises VolumeNodeError:
    """
    if node is None:
        raise VolumeNodeError(_("Choose a volume."))
    checkClass(node)
    if not node.GetImageData() or not node.GetImageData().GetPointData().GetScalars():
        raise VolumeNodeError(_("{name} has no voxels.").format(name=node.GetName()))
    if node.GetImageData().GetNumberOfScalarComponents() != 1:
        raise VolumeNodeError(
            _("{name} has several values in each voxel; only scalar volumes can be marked.").format(
                name=node.GetName()
            )
        )


def checkOutput(outputVolume, inputVolume) -> None:
    """
    Refuse to overwrite the input, or what is no scan.

    :raises VolumeNodeError:
    """
    if outputVolume is inputVolume:
        raise VolumeNodeError(_("Choose an output volume other than the volume itself."))
    if outputVolume:
        checkClass(outputVolume)


def checkClass(node) -> None:
    # Label maps, vector and diffusion volumes are subclasses of the scalar volume.
    if node.GetClassName() != "vtkMRMLScalarVolumeNode":
        raise VolumeNodeError(
            _("{name} is a {kind}; only scalar volumes, that is scans, can be marked.").format(
                name=node.GetName(),
                kind=slicer.mrmlScene.GetTypeDisplayNameByClassName(node.GetClassName()),
            )
        )


def writeNode(node, path: Path) -> None:
    """
    Write the voxels of a node as NRRD, with what the library wants to know beside them.

    A parent transform is not applied: it changes neither hash nor mark.
    """
    from MedWatermarkLib.identity import itk_key

    image = sitkUtils.PullVolumeFromSlicer(node)
    metadata = {"Modality": patient.modality(node), **patient.identity(node)}
    display = node.GetDisplayNode()
    if display:
        metadata["WindowCenter"] = str(display.GetLevel())
        metadata["WindowWidth"] = str(display.GetWindow())
    for keyword, value in metadata.items():
        if value:
            image.SetMetaData(itk_key(keyword), value)
    # Fast, since it is read once and gone: not compressed.
    sitk.WriteImage(image, str(path), False)


def writeSource(node, path: Path) -> bool:
    """List the DICOM files that a node came from in a text file; false if they are not known."""
    files = patient.instanceFiles(node)
    if files:
        path.write_text("".join(f"{file}\n" for file in files), encoding="utf-8")
    return bool(files)


def fillNode(node, path, likeNode) -> None:
    """Give a node the voxels of a file, and everything else of ``likeNode``."""
    image = sitk.ReadImage(str(path))
    node.CopyContent(likeNode, False)
    node.SetAndObserveImageData(None)  # CopyContent shares the voxels of likeNode
    sitkUtils.PushVolumeToSlicer(image, node)
    # The node's own numbers: through an image they would be products and quotients of them.
    node.CopyOrientation(likeNode)
    node.SetVoxelValueQuantity(likeNode.GetVoxelValueQuantity())
    node.SetVoxelValueUnits(likeNode.GetVoxelValueUnits())
    node.SetAndObserveTransformNodeID(likeNode.GetTransformNodeID())


def setClaim(node, claim: dict | None) -> None:
    """Note on a node what was read from it, for other modules and for the saved scene."""
    if claim:
        node.SetAttribute(CLAIM_ATTRIBUTE, claim["text"])
        node.SetAttribute(SIGNER_ATTRIBUTE, claim["signer"])
    else:
        node.RemoveAttribute(CLAIM_ATTRIBUTE)
        node.RemoveAttribute(SIGNER_ATTRIBUTE)


def placeNode(node, likeNode) -> None:
    """Display a node as another one and put it beside that in the subject hierarchy."""
    if likeNode.GetDisplayNode():
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().CopyContent(likeNode.GetDisplayNode())
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    item, likeItem = (hierarchy.GetItemByDataNode(each) for each in (node, likeNode))
    hierarchy.SetItemParent(item, hierarchy.GetItemParent(likeItem))
    modality = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMSeriesModalityAttributeName()
    if known := hierarchy.GetItemAttribute(likeItem, modality):
        hierarchy.SetItemAttribute(item, modality, known)


@contextmanager
def outputNode(outputVolume, name: str):
    """The node to fill. After an error a new one is gone and a given one is as before."""
    if outputVolume:
        node = outputVolume
        before = slicer.vtkMRMLScalarVolumeNode()
        before.Copy(node)
    else:
        node = slicer.mrmlScene.AddNewNodeByClass(
            "vtkMRMLScalarVolumeNode", slicer.mrmlScene.GenerateUniqueName(name)
        )
    try:
        yield node
    except BaseException:
        if outputVolume:
            node.Copy(before)
        else:
            slicer.mrmlScene.RemoveNode(node)
        raise


def writeWhole(path, content: bytes) -> None:
    """Write a file that its owner alone can read: beside its place, then moved there."""
    path = Path(path)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
