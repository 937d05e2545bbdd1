"""What is missing before a button can work, in a sentence for its tooltip."""

import os

from slicer.i18n import tr as _


def volume(node) -> str:
    if not node:
        return _("Choose a volume.")
    if not node.GetImageData():
        return _("The chosen volume has no voxels.")
    return ""


def newFile(path: str, choose: str, taken: str) -> str:
    """``choose`` if there is no path, ``taken`` if there is something at it."""
    if not path:
        return choose
    if os.path.exists(path):
        return taken
    if not os.path.isdir(os.path.dirname(os.path.abspath(path))):
        return _("The folder of {file} does not exist.").format(file=os.path.basename(path))
    return ""


def optionalFile(path: str) -> str:
    if path and not os.path.exists(path):
        return _("There is no file {file}.").format(file=path)
    return ""


def offer(button, purpose: str, lacking: str) -> None:
    """Enable a button that can work; else its tooltip says what is missing."""
    button.enabled = not lacking
    button.toolTip = lacking or purpose
