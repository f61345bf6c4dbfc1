"""The part of the build that pyproject.toml cannot say: the wheel ships plugin modules for twistd.

`twisted/plugins` belongs to Twisted and is extended by files, never by an `__init__.py` of ours. So the modules are named one
by one (`py_modules`): nothing here claims the package itself, and `dropin.cache` is never packed.
"""

from pathlib import Path

from setuptools import find_packages, setup

plugins = sorted(path.stem for path in Path("twisted/plugins").glob("edgegw_*.py"))

setup(
    packages=find_packages(include=["edgegw", "edgegw.*"]),
    py_modules=[f"twisted.plugins.{name}" for name in plugins],
)
