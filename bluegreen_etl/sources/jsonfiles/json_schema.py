"""Holds every element of a JSON file against a JSON Schema, before anything is loaded."""

from pathlib import Path

import jsonschema_rs
import msgspec

from bluegreen_etl import errors
from bluegreen_etl.model import SourceFile
from bluegreen_etl.sources.jsonfiles import json_reader

_SHOWN = 200


class Schema:
    """A JSON Schema in a file; `format` is a condition in it, not a remark."""

    def __init__(self, file: Path) -> None:
        """Read it.

        Raises:
            UsageError: there is none, or it is not a JSON Schema.
        """
        self._file = file
        try:
            document = msgspec.json.decode(file.read_bytes())
            # References count from the file.
            self._validator = jsonschema_rs.validator_for(
                document, validate_formats=True, base_uri=file.absolute().as_uri()
            )
        except OSError as error:
            raise errors.BadConfiguration(
                f"{file} cannot be read: {error.strerror}", hint="Check json_schema."
            ) from error
        # A reference that leads nowhere is a ValueError too.
        except (msgspec.DecodeError, ValueError) as error:
            reason = getattr(error, "message", str(error))
            raise errors.BadConfiguration(f"{file} is not a JSON Schema: {reason}", hint="Correct it.") from error

    def check(self, source: SourceFile) -> None:
        """Read a file to its end.

        Raises:
            BadRow: an element is not as the schema says, or is not JSON.
            BadSource: the file cannot be read, or is not an array of objects.
        """
        for element in json_reader.every_element(source):
            try:
                value = msgspec.json.decode(element.text)
            except (msgspec.DecodeError, RecursionError) as error:
                raise errors.BadRow(f"{element.where}: {error}", hint="Correct the JSON.") from error
            if not self._validator.is_valid(value):
                self._refuse(element.where, value)

    def _refuse(self, where: str, value: object) -> None:
        wrong = next(iter(self._validator.iter_errors(value)))
        place = "".join(f"/{part}" for part in wrong.instance_path)
        said = wrong.message if len(wrong.message) <= _SHOWN else f"{wrong.message[:_SHOWN]}…"
        raise errors.BadRow(
            f"{where}{', ' if place else ''}{place}: {said}",
            hint=f"Mend the file, or its schema {self._file}, and load again.",
        )
