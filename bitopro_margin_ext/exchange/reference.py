"""The reference table of the README, made from the tables of endpoints and streams."""

from typing import Final

from ..core.endpoints import ENDPOINTS, STREAMS, Stream

BEGIN: Final = "<!-- reference: begin (python -m bitopro_margin_ext.exchange.reference) -->"
END: Final = "<!-- reference: end -->"


def reference_table() -> str:
    """Every endpoint and stream as Markdown: method, path with its page, limit, unified method."""
    rows = [("Method", "Path", "Limit", "Unified method"), ("---", "---", "---", "---")]
    rows += [
        (
            endpoint.method,
            f"[`/{endpoint.path}`]({endpoint.documentation})",
            endpoint.limit,
            _unified(endpoint.unified),
        )
        for endpoint in ENDPOINTS
    ]
    rows += [
        ("stream", f"[`{_path(stream)}`]({stream.documentation})", "", _unified(stream.unified))
        for stream in STREAMS
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _path(stream: Stream) -> str:
    return ("/auth/" if stream.private else "/") + stream.path


def _unified(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "the documented path's other spelling"


def with_reference(document: str) -> str:
    """The document with the table between its two marks brought up to date.

    :raises ValueError: when the marks are not in it.
    """
    before, found, rest = document.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not found or not closed:
        raise ValueError(f"the document lacks the marks {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n{reference_table()}\n{END}{after}"


if __name__ == "__main__":
    print(reference_table())
