"""What the slice views show: a scan before and after, and where one was altered."""

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

# Of the segments: red as a warning, grey for what nothing is known of.
ALTERED = ("altered", (0.9, 0.15, 0.1))
UNTOLD = ("untold", (0.6, 0.6, 0.6))


def show(node, fit: bool = False) -> None:
    """Show a volume in all slice views, as they are turned and zoomed, or fitted to it."""
    slicer.util.setSliceViewerLayers(background=node, fit=fit)


class Comparison:
    """
    Original, marked and difference of a scan, of which the slice views show one.

    The difference is a node of its own, which is in the scene only while it is shown.
    """

    def __init__(self, original, marked) -> None:
        self.original = original
        self.marked = marked
        self._difference = None

    def show(self, which: str) -> None:
        """Show ``"original"``, ``"marked"`` or ``"difference"``."""
        if which == "difference":
            node = self._difference = self._difference or self._makeDifference()
            show(node)
        else:
            show(getattr(self, which))
            self.close()

    def close(self) -> None:
        """Take the difference out of the scene."""
        if self._difference:
            # A display node does not go with its volume.
            slicer.mrmlScene.RemoveNode(self._difference.GetDisplayNode())
            slicer.mrmlScene.RemoveNode(self._difference)
            self._difference = None

    def _makeDifference(self):
        before, after = map(slicer.util.arrayFromVolume, (self.original, self.marked))
        dtype = np.float32 if before.dtype.kind == "f" else np.int32
        change = np.subtract(after, before, dtype=dtype)
        node = slicer.mrmlScene.AddNewNodeByClass(
            "vtkMRMLScalarVolumeNode",
            _("{name} minus original").format(name=self.marked.GetName()),
        )
        node.SetSaveWithScene(False)
        slicer.util.updateVolumeFromArray(node, change)
        node.CopyOrientation(self.original)
        node.SetAndObserveTransformNodeID(self.original.GetTransformNodeID())
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetAutoWindowLevel(False)
        reach = float(np.abs(change).max()) or 1.0
        node.GetDisplayNode().SetWindowLevel(2 * reach, 0)
        return node


def showAlterations(node, labels):
    """
    Show where a scan was altered: a segmentation on it, and the first altered slice in the views.

    :param node: the scan.
    :param labels: (z, y, x) array of its shape: 0 unaltered, 1 altered, 2 nothing can be told.
    :return: the segmentation node.
    """
    segmentation = slicer.mrmlScene.AddNewNodeByClass(
        "vtkMRMLSegmentationNode",
        slicer.mrmlScene.GenerateUniqueName(_("{name} altered").format(name=node.GetName())),
    )
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(node)
    # Before segments are filled: those of a transformed scan would be moved twice.
    segmentation.SetAndObserveTransformNodeID(node.GetTransformNodeID())
    segmentation.CreateDefaultDisplayNodes()
    names = {ALTERED: _("Altered"), UNTOLD: _("Nothing can be told")}
    for label, part in ((1, ALTERED), (2, UNTOLD)):
        mask = labels == label
        if mask.any():
            identifier = segmentation.GetSegmentation().AddEmptySegment(
                part[0], names[part], part[1]
            )
            slicer.util.updateSegmentBinaryLabelmapFromArray(
                mask.astype(np.uint8), segmentation, identifier, node
            )
    display = segmentation.GetDisplayNode()
    display.SetSegmentOpacity2DFill(UNTOLD[0], 0.15)
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    hierarchy.SetItemParent(
        hierarchy.GetItemByDataNode(segmentation),
        hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)),
    )
    show(node)
    jump(node, labels == 1)
    return segmentation


def jump(node, mask) -> None:
    """Have all slice views show the middle of what a mask has in its first slice."""
    found = np.flatnonzero(mask.any(axis=(1, 2)))
    if not len(found):
        return
    rows, columns = np.nonzero(mask[found[0]])
    ijk = [float(columns.mean()), float(rows.mean()), float(found[0]), 1.0]
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    point = matrix.MultiplyPoint(ijk)[:3]
    if node.GetParentTransformNode():
        toWorld = vtk.vtkGeneralTransform()
        node.GetParentTransformNode().GetTransformToWorld(toWorld)
        point = toWorld.TransformPoint(point)
    slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *point)
