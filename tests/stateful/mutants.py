"""Break one module in every small way, and see that some test notices.

``python -m tests.stateful.mutants bitopro_margin_ext/core/sweep.py --tests tests/core`` prints
what nobody noticed: a missing test, or a change that changes nothing. The work is done on a copy.
"""

import argparse
import ast
import copy
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
SWAPS = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}


def mutations(node: ast.AST) -> Iterator[tuple[str, object]]:
    """What can be done to one node: words for it, and a function that does it in place."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        new = SWAPS[type(node.ops[0])]
        yield f"comparison to {new.__name__}", lambda n: n.ops.__setitem__(0, new())
    if isinstance(node, ast.BinOp) and type(node.op) in SWAPS:
        new = SWAPS[type(node.op)]
        yield f"operator to {new.__name__}", lambda n: setattr(n, "op", new())
    if isinstance(node, ast.BoolOp):
        other = ast.Or if isinstance(node.op, ast.And) else ast.And
        yield f"to {other.__name__}", lambda n: setattr(n, "op", other())
        for i in range(len(node.values)):
            yield f"without operand {i}", lambda n, i=i: n.values.__delitem__(i)
    if isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            yield "constant negated", lambda n: setattr(n, "value", not n.value)
        elif isinstance(node.value, int | float):
            yield "constant plus one", lambda n: setattr(n, "value", n.value + 1)
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        yield "condition negated", lambda n: setattr(n, "test", ast.UnaryOp(ast.Not(), n.test))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not dropped", lambda n: n.__dict__.update(op=ast.UAdd(), operand=_truth(n.operand))
    body = getattr(node, "body", None)
    if isinstance(body, list):
        for field in ("body", "orelse", "finalbody"):
            for i, one in enumerate(getattr(node, field, [])):
                if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant):
                    continue  # a docstring
                if isinstance(one, ast.Expr | ast.Assign | ast.AugAssign | ast.Continue
                              | ast.Break | ast.Return | ast.Raise):  # fmt: skip
                    yield (
                        f"line {one.lineno} dropped",
                        lambda n, f=field, i=i: getattr(n, f).__setitem__(i, ast.Pass()),
                    )


def _truth(node: ast.expr) -> ast.expr:
    return ast.Call(ast.Name("bool", ast.Load()), [node], [])


def mutants(source: str) -> Iterator[tuple[str, str]]:
    """Every mutant of a module: what was done, and its text."""
    tree = ast.parse(source)
    lines = source.splitlines()
    for number, node in enumerate(ast.walk(tree)):
        for index, (what, _) in enumerate(mutations(node)):
            changed = copy.deepcopy(tree)
            target = list(ast.walk(changed))[number]
            change = list(mutations(target))[index][1]
            change(target)
            ast.fix_missing_locations(changed)
            line = getattr(node, "lineno", 0)
            if what.startswith("line "):
                line = int(what.split()[1])
            text = lines[line - 1].strip() if line else ""
            try:
                yield f"{line}: {what}: {text}", ast.unparse(changed)
            except (ValueError, IndexError):
                continue


def main() -> int:
    """Try each, print the survivors; 0 if there are none."""
    parser = argparse.ArgumentParser(prog="python -m tests.stateful.mutants", description=__doc__)
    parser.add_argument("module")
    parser.add_argument("--tests", nargs="+", required=True)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--every", type=int, default=1, help="only every so-many-th mutant")
    options = parser.parse_args()
    found = list(mutants((ROOT / options.module).read_text()))[:: options.every]
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copies = [Path(folder) / str(number) for number in range(options.jobs)]
        for one in copies:
            one.mkdir()
            for part in ("bitopro_margin_ext", "tests", "pyproject.toml", "README.md", "setup.cfg"):
                source = ROOT / part
                if source.is_dir():
                    ignored = shutil.ignore_patterns("__pycache__")
                    shutil.copytree(source, one / part, ignore=ignored)
                elif source.exists():
                    shutil.copy(source, one / part)
        free = list(copies)

        def survives(mutant: tuple[str, str]) -> bool:
            place = free.pop()
            try:
                (place / options.module).write_text(mutant[1])
                return _passes(place, options.tests)
            finally:
                free.append(place)

        with ThreadPoolExecutor(options.jobs) as pool:
            survived = 0
            for (what, _), alive in zip(found, pool.map(survives, found), strict=True):
                if alive:
                    survived += 1
                    print(f"{options.module}:{what}", flush=True)
    print(f"{options.module}: {len(found)} mutants, {survived} survived", flush=True)
    return 1 if survived else 0


def _passes(place: Path, tests: list[str]) -> bool:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=place, env=environment, capture_output=True, timeout=240, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
