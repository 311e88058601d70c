"""The tree of our exceptions is the one that its docstring draws."""

import importlib
import inspect
import pkgutil
import re

import bitopro_margin_ext
from bitopro_margin_ext.core import errors

ALONE = "bitopro_margin_ext.sandbox"


def exceptions_of_the_package() -> set[type[BaseException]]:
    found = set()
    for module in pkgutil.walk_packages(bitopro_margin_ext.__path__, "bitopro_margin_ext."):
        if module.name.startswith(ALONE) or module.name.endswith("__main__"):
            continue
        if module.name.startswith("bitopro_margin_ext.drill.drill_strategy"):
            continue
        loaded = importlib.import_module(module.name)
        found |= {
            member
            for _, member in inspect.getmembers(loaded, inspect.isclass)
            if issubclass(member, BaseException) and member.__module__ == module.name
        }
    return found


def test_every_exception_has_the_one_root_and_is_drawn():
    found = exceptions_of_the_package() - {errors.BitoproMarginError}
    assert all(issubclass(one, errors.BitoproMarginError) for one in found), found
    drawn = re.findall(r"^ +\+ (\w+)", errors.__doc__ or "", re.MULTILINE)
    assert drawn == sorted(one.__name__ for one in found)
