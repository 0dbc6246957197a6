"""Text on stdin, as shells and editors write it: UTF-8, or UTF-16 with a byte order mark."""

from __future__ import annotations

import codecs
import sys

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def first_line() -> str:
    """Return the first line without its end; raise UnicodeDecodeError if it is not text."""
    return first_lines(1)[0]


def first_lines(count: int) -> list[str]:
    """Return so many lines without their ends; empty ones for those that aren't there.

    Raises UnicodeDecodeError if they are not text.
    """
    data = sys.stdin.buffer.readline()
    if data.startswith(UTF_16):
        # In UTF-16 a line end is two bytes, and other characters may contain one of them.
        data += sys.stdin.buffer.read()
    else:
        data += b"".join(sys.stdin.buffer.readline() for _ in range(count - 1))
    lines = _text(data, sys.stdin.encoding or "utf-8").split("\n") + count * [""]
    return [line.rstrip("\r") for line in lines[:count]]


def everything(limit: int = -1, errors: str = "strict") -> str:
    """Return all of it, or so many bytes; ``errors`` are those of ``bytes.decode``."""
    return _text(sys.stdin.buffer.read(limit), "utf-8", errors)


def _text(data: bytes, encoding: str, errors: str = "strict") -> str:
    if data.startswith(codecs.BOM_UTF8):
        encoding = "utf-8-sig"
    elif data.startswith(UTF_16):
        encoding = "utf-16"
    return data.decode(encoding, errors)
