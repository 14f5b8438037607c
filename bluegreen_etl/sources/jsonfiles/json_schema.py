"""Validate every element of a JSON file against a JSON Schema before anything is loaded."""

from pathlib import Path

import jsonschema_rs
import msgspec

from bluegreen_etl import errors
from bluegreen_etl.model import SourceFile
from bluegreen_etl.sources.jsonfiles import json_reader

_SHOWN = 200


class Schema:
    """A JSON Schema in a file; its `format` keywords are enforced."""

    def __init__(self, file: Path) -> None:
        """Read the schema.

        Raises:
            UsageError: the file is missing, or is not a JSON Schema.
        """
        self._file = file
        try:
            document = msgspec.json.decode(file.read_bytes())
            # References are relative to the file.
            self._validator = jsonschema_rs.validator_for(
                document, validate_formats=True, base_uri=file.absolute().as_uri()
            )
        except OSError as error:
            raise errors.BadConfiguration(
                f"{file} cannot be read: {error.strerror}", hint="Correct the path in `json_schema`."
            ) from error
        # An unresolved reference is a ValueError too.
        except (msgspec.DecodeError, ValueError) as error:
            reason = getattr(error, "message", str(error))
            raise errors.BadConfiguration(
                f"{file} is not a JSON Schema: {reason}", hint="Correct the schema."
            ) from error

    def check(self, source: SourceFile) -> None:
        """Read a file to its end and refuse its first invalid element.

        Raises:
            BadRow: an element violates the schema, or is not JSON.
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
            hint=f"Fix the file, or its schema {self._file}, and load again.",
        )
