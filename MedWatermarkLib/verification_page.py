"""The report of a verification as one page of HTML, to be printed or filed with the case."""

from __future__ import annotations

import base64
import io
from functools import lru_cache

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from PIL import Image

from MedWatermarkLib import __version__, qr
from MedWatermarkLib.overlay import (
    ALTERED_COLOUR,
    NOT_TOLD_COLOUR,
    NOT_TOLD_SHARE,
    choose_slices,
    draw_slices,
    is_placed,
)
from MedWatermarkLib.tables import moment
from MedWatermarkLib.verification_report import NOT_JUDGED, VerificationReport

# Half the range of darkness, 0 to 1, in which a module is neither dark nor light.
_UNSURE = 0.4


def verification_page(report: VerificationReport) -> str:
    """Write a report as HTML.

    Parameters
    ----------
    report : VerificationReport

    Returns
    -------
    str
        A page that loads nothing and runs nothing, with the code that was read and a dozen slices
        at the most. It names no patient and no file: the scan is named by its voxel root. What is
        drawn into the voxels is shown as it is.
    """
    volume = report.volume
    map = None if report.alterations is None else report.alterations.map
    numbers = choose_slices(len(volume.voxels), map)
    pictures = draw_slices(volume, numbers, map)
    modules = report.reading.extracted.modules
    code = None if modules is None else _data_url(qr.picture(modules, scale=4))
    return _template().render(
        report=report,
        headline=report.headline,
        code=code,
        unsure=modules is not None and bool(np.any(np.abs(modules - 0.5) < _UNSURE)),
        slices=[(picture, _data_url(picture.picture)) for picture in pictures],
        altered_slices=() if map is None else map.slices,
        depth=len(volume.voxels),
        shape=" x ".join(f"{one}" for one in volume.voxels.shape),
        spacing=" x ".join(f"{one:.4g}" for one in volume.spacing[::-1]) * is_placed(volume),
        modality=volume.modality,
        partly_told=map is not None and not map.told.all(),
        altered_colour=_css(ALTERED_COLOUR),
        not_told_colour=_css(NOT_TOLD_COLOUR),
        not_told_share=NOT_TOLD_SHARE,
        verified_at=moment(report.verified_at),
        not_judged=NOT_JUDGED,
        version=__version__,
    )


@lru_cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("MedWatermarkLib"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("verification.html")


def _data_url(picture: Image.Image) -> str:
    content = io.BytesIO()
    picture.save(content, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode("ascii")


def _css(colour: tuple[int, int, int]) -> str:
    return "#" + bytes(colour).hex()
