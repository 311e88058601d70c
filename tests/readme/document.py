"""The README and the pages behind it as parts: the recorded sessions, and putting them in."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = ROOT / "bitopro_margin_ext" / "docs"


def home_of(session: str) -> Path:
    """The one document that shows a session."""
    mark = f"<!-- session: {session} -->"
    (home,) = [path for path in (README, *DOCS.glob("*.md")) if mark in path.read_text()]
    return home


def session_block(document: str, name: str) -> list[str]:
    """The lines of the console block after a session's mark."""
    match = re.search(_pattern(name), document, re.DOTALL)
    assert match is not None, f"README.md has no session {name!r}"
    return match["body"].splitlines()


def with_session(document: str, name: str, lines: list[str]) -> str:
    """The document with that block replaced."""
    body = "".join(f"{line}\n" for line in lines)
    return re.sub(
        _pattern(name), lambda found: found["head"] + body + "```", document, flags=re.DOTALL
    )


def _pattern(name: str) -> str:
    return rf"(?P<head><!-- session: {re.escape(name)} -->\n```console\n)(?P<body>.*?)```"


def with_part(document: str, mark: str, text: str) -> str:
    """The document with what stands between a mark and its end replaced."""
    pattern = rf"<!-- {mark} -->.*?(?:<!-- end of {mark} -->|(?=\n\n))"
    block = f"<!-- {mark} -->\n{text.strip()}\n<!-- end of {mark} -->"
    return re.sub(pattern, lambda _: block, document, count=1, flags=re.DOTALL)


def part(document: str, mark: str) -> str:
    """What stands between a mark and its end."""
    match = re.search(rf"<!-- {mark} -->\n(.*?)\n<!-- end of {mark} -->", document, re.DOTALL)
    assert match is not None, f"README.md has no part {mark!r}"
    return match[1]
