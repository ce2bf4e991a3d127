"""Control groups: what bounds a whole slot, its memory, its processes and its processor time.

One driver for each way a machine has them: version 1, version 2, both, or none. Standard library
only; Linux only in effect, elsewhere the driver is `none`.
"""

from treadle_sandbox.cgroups.base import Bounds, Controller
from treadle_sandbox.cgroups.driver import Driver, DriverKind, find_driver
from treadle_sandbox.cgroups.group import Group

__all__ = ["Bounds", "Controller", "Driver", "DriverKind", "Group", "find_driver"]
