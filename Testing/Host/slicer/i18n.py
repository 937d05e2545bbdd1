"""Translation of texts; mirrors Slicer's ``Base/Python/slicer/i18n.py``."""

import sys
from pathlib import Path


def translate(context, text):
    import slicer

    return slicer.app.translate(context, text)


def getContext(sourceFile):
    """A file's name without ``.py``; in a package, after the package's name and a point."""
    path = Path(sourceFile)
    package = f"{path.parent.name}." if (path.parent / "__init__.py").is_file() else ""
    return package + path.stem


def tr(text):
    """Translate in the context of the calling file."""
    return translate(getContext(sys._getframe(1).f_code.co_filename), text)
