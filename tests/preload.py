"""Import the whole program for the fork server: the program itself imports each command only when it runs."""

import contextlib
import gc
import importlib
import pkgutil

import bluegreen_etl
from bluegreen_etl import client_programs, errors

gc.disable()  # a collection would take time, and write to the pages that the children share
for module in pkgutil.walk_packages(bluegreen_etl.__path__, "bluegreen_etl."):
    with contextlib.suppress(ImportError):  # an optional package is not installed
        importlib.import_module(module.name)
# The versions of the client programs are remembered; a command that looks for one runs each that is installed.
for program in ("pg_dump", "pg_restore"):
    with contextlib.suppress(errors.BluegreenError):  # none is installed
        client_programs.client_program(program, server_major=0)
gc.freeze()
gc.enable()
