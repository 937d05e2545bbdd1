"""Translation of texts; mirrors Slicer's ``Base/Python/slicer/i18n.py``."""

import sys
from pathlib import Path


def translate(context, text):
    import slicer

    return slicer.app.translate(context, text)


def tr(text):
    """Translate in the context of the calling file, which is its name without ``.py``."""
    return translate(Path(sys._getframe(1).f_code.co_filename).stem, text)
