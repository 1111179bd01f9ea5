"""Markup built as a tree: outside text can only become text."""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement

from tuiprobe.plaintext import plain

Value = str | int | float


def element(tag: str, text: str = "", /, **attributes: Value) -> Element:
    """Returns a new element; `class_` becomes `class`, `stroke_width` becomes `stroke-width`.

    >>> from xml.etree.ElementTree import tostring
    >>> tostring(element("b", "<i>&", class_="x"), encoding="unicode")
    '<b class="x">&lt;i&gt;&amp;</b>'
    """
    made = Element(tag, _named(attributes))
    made.text = plain(text) or None
    return made


def inside(parent: Element, tag: str, text: str = "", /, **attributes: Value) -> Element:
    """Appends a new element to `parent` and returns it."""
    made = SubElement(parent, tag, _named(attributes))
    made.text = plain(text) or None
    return made


def append(parent: Element, text: str) -> None:
    """Appends text after the existing content of `parent`."""
    clean = plain(text)
    if len(parent):
        parent[-1].tail = (parent[-1].tail or "") + clean
    else:
        parent.text = (parent.text or "") + clean


def _named(attributes: dict[str, Value]) -> dict[str, str]:
    return {
        name.rstrip("_").replace("_", "-"): plain(_written(value))
        for name, value in attributes.items()
    }


def _written(value: Value) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
