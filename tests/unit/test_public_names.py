"""The public names of the package: each can be imported, and no submodule takes the place of one."""

import importlib
import pkgutil
import subprocess
import sys
from types import ModuleType

import pytest

import bluegreen_etl

PACKAGES = [
    bluegreen_etl.__name__,
    *(each.name for each in pkgutil.walk_packages(bluegreen_etl.__path__, "bluegreen_etl.") if each.ispkg),
]


def test_public_name_is_what_it_says_after_all_modules_are_imported() -> None:
    """Importing a submodule sets an attribute of its package, which must not replace a function of that name."""
    script = (
        "import importlib, pkgutil, bluegreen_etl\n"
        "for each in pkgutil.walk_packages(bluegreen_etl.__path__, 'bluegreen_etl.'):\n"
        "    if not each.name.endswith('__main__'): importlib.import_module(each.name)\n"
        "print(*(n for n in bluegreen_etl.__all__ if type(getattr(bluegreen_etl, n)).__name__ == 'module'))"
    )
    modules = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert modules.split() == ["config", "errors"]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_submodule_has_the_name_of_something_that_its_package_exports(package: str) -> None:
    """Else the name would mean one thing before the submodule is imported, and another after."""
    module = importlib.import_module(package)
    submodules = {each.name for each in pkgutil.iter_modules(module.__path__)}
    exported = {name for name, value in vars(module).items() if not isinstance(value, ModuleType) and name[0] != "_"}
    assert submodules & exported == set()
