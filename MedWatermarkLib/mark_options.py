"""How strong a mark is to be, as the commands that mark are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from MedWatermarkLib.report import ExitCode

if TYPE_CHECKING:
    from MedWatermarkLib.strength import Strength

MarkStrength = Annotated[
    str,
    typer.Option(
        metavar="diagnostic|robust|RMSE",
        help="How much the scan changes: diagnostic, 1.5 HU (RMSE) on a CT and 0.3 of the noise "
        "elsewhere; robust, twice that, where more has to be survived; or a number, in units of "
        "the scan.",
    ),
]


class StrengthError(ValueError):
    """Neither a preset nor a number."""

    exit_code = ExitCode.USAGE


def strength_of(text: str) -> Strength:
    """Return the strength that a text names."""
    from MedWatermarkLib.strength import PRESETS

    for preset in PRESETS:
        if text == preset:
            return preset
    try:
        return float(text)
    except ValueError:
        raise StrengthError(
            f"{text} is no strength: give {', '.join(PRESETS)}, or a number in units of the scan."
        ) from None
