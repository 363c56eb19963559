"""The options of an export."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError

from elman.errors import UserError
from elman.export.formats import FORMATS, Format
from elman.settings import Section, complaint


class ExportOptions(Section):
    """What a person can choose about an export; a format has some of these."""

    lengths: bool = Field(False, description="The graph takes the lengths of rows, whose rest is padding.")
    int8: bool = Field(False, description="Matrices are bytes with a scale for each row; states are float32.")
    check: tuple[str, ...] = Field(
        ("onnxruntime",), description="The runtimes in which the written model is compared with the run's."
    )


def make_options(format: Format, given: Mapping[str, Any]) -> ExportOptions:
    """The options that were given. Raises `UserError` for an option that the format lacks, or a wrong value."""
    for name in given:
        if name not in format.options and name in ExportOptions.model_fields:
            owners = [row.name for row in FORMATS.values() if name in row.options]
            raise UserError(f"{name} is an option of {' and '.join(owners)}", got=f"--to {format.name}", exit_code=2)
    try:
        return ExportOptions(**given)
    except ValidationError as error:
        raise complaint(error, exit_code=2) from None
