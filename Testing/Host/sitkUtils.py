"""MRML volumes to SimpleITK images and back.

Mirrors Slicer's ``Base/Python/sitkUtils.py``, which slicer-core's wheel lacks.
"""

import numpy as np
import SimpleITK as sitk
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def PullVolumeFromSlicer(nodeObjectOrName):
    """A SimpleITK image of a volume node; its parent transform is not applied."""
    node = nodeObjectOrName
    if not isinstance(node, slicer.vtkMRMLNode):
        node = slicer.util.getNode(node)
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    ijkToLPS = _RAS_TO_LPS @ slicer.util.arrayFromVTKMatrix(matrix)
    spacing = node.GetSpacing()
    image = sitk.GetImageFromArray(slicer.util.arrayFromVolume(node))
    image.SetSpacing(spacing)
    image.SetOrigin(ijkToLPS[:3, 3].tolist())
    image.SetDirection((ijkToLPS[:3, :3] / spacing).ravel().tolist())
    return image


def PushVolumeToSlicer(sitkimage, targetNode=None, name=None, className="vtkMRMLScalarVolumeNode"):
    """The image in ``targetNode``, or in a new node."""
    if not targetNode:
        targetNode = slicer.mrmlScene.AddNewNodeByClass(
            className, slicer.mrmlScene.GetUniqueNameByString(name)
        )
        targetNode.CreateDefaultDisplayNodes()
    voxels = sitk.GetArrayFromImage(sitkimage)
    imageData = vtk.vtkImageData()
    imageData.SetDimensions(sitkimage.GetSize())
    imageData.GetPointData().SetScalars(numpy_to_vtk(voxels.ravel(), deep=True))
    targetNode.SetAndObserveImageData(imageData)

    ijkToLPS = np.eye(4)
    ijkToLPS[:3, :3] = np.reshape(sitkimage.GetDirection(), (3, 3)) * sitkimage.GetSpacing()
    ijkToLPS[:3, 3] = sitkimage.GetOrigin()
    targetNode.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(_RAS_TO_LPS @ ijkToLPS))
    targetNode.Modified()
    return targetNode
