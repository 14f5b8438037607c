"""Settings from flags, environment variables and bluegreen.toml, frozen before the work begins.

The precedence is flag > environment variable > bluegreen.toml (an environment's section over the rest) > default.
Only this package reads the process environment; flags and their BLUEGREEN_* variables come from cli.
"""

from bluegreen_etl.config.resolution import (
    PLATFORM_VARIABLES,
    PLATFORMS,
    Resolved,
    Target,
    child_environment,
    embedded_directory,
    resolve,
)
from bluegreen_etl.config.sections import (
    Backup,
    Carry,
    Checks,
    Distribute,
    Load,
    Promote,
    Settings,
    Share,
    Sources,
    Structure,
    TableSettings,
)

__all__ = [
    "PLATFORMS",
    "PLATFORM_VARIABLES",
    "Backup",
    "Carry",
    "Checks",
    "Distribute",
    "Load",
    "Promote",
    "Resolved",
    "Settings",
    "Share",
    "Sources",
    "Structure",
    "TableSettings",
    "Target",
    "child_environment",
    "embedded_directory",
    "resolve",
]
