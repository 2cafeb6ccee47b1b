"""The interpreter that runs the tests, as what an environment is made from."""

import platform
import sys
import sysconfig
from pathlib import Path

from runner.interpreter.model import Interpreter

BASE = Interpreter(
    path=Path(sys.executable).resolve(),
    version=platform.python_version(),
    implementation=sys.implementation.name,
    soabi=sysconfig.get_config_var("SOABI"),
    platform=sysconfig.get_platform(),
)
