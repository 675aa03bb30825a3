"""Tests that HTML is in templates only, and that each template escapes."""

import ast
import re
from pathlib import Path

import gridlens

PACKAGE = Path(gridlens.__file__).parent
TEMPLATES = PACKAGE / "reports" / "templates"
_TAG = re.compile(r"</?(div|p|span|h[1-6]|table|t[dhr]|b|i|u|img|figure|body|br|style|script|svg|ul|li)\b[^<]*>")


def texts_of(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_no_module_assembles_html():
    found = {path for path in PACKAGE.rglob("*.py") for text in texts_of(path) if _TAG.search(text)}
    assert not found


def test_no_template_turns_escaping_off():
    for path in TEMPLATES.iterdir():
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\|\s*safe|autoescape\s+false|Markup", text), path
