"""Import the whole program for the fork server: the program itself imports each command only when it runs."""

import contextlib
import gc
import importlib
import pkgutil

import bluegreen_etl

gc.disable()  # a collection would take time, and write to the pages that the children share
for module in pkgutil.walk_packages(bluegreen_etl.__path__, "bluegreen_etl."):
    with contextlib.suppress(ImportError):  # an optional package is not installed
        importlib.import_module(module.name)
gc.freeze()
gc.enable()
