"""The site: ``uv run nox -s docs`` runs its examples and builds it."""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docutils.nodes import Element
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

project = "ai-platform"
author = "The ai-platform authors"
copyright = "The ai-platform authors; Apache-2.0"  # noqa: A001  # Sphinx's name for it
html_title = "ai-platform"
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["narrow.css"]
smartquotes = False  # --option is two hyphens
default_role = "literal"  # as docstrings are read in an editor
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "tests"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
autodoc_member_order = "groupwise"
autodoc_typehints = "signature"
napoleon_numpy_docstring = False

PACKAGES = ("aip_readers", "aip_httpclient", "aip_pipeline")


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, text: Element
) -> Element | None:
    """Find what a reference means when Sphinx does not.

    Names live in private modules but are documented where users import them; those
    are found by their last part. What users cannot import (a private base class) and
    what is not ours (the standard library, numpy) stands as plain text. A public
    name of ours that is not there stays an error.
    """
    target = str(node.get("reftarget", ""))
    name = target.rpartition(".")[2]
    python = env.get_domain("py")
    for package in dict.fromkeys((target.partition(".")[0], *PACKAGES)):
        full = f"{package}.{name}"
        if full in python.data["objects"]:
            return python.resolve_xref(
                env, env.docname, app.builder, "obj", full, node, text
            )
    return None if target.startswith(PACKAGES) and "._" not in target else text


def end_literals(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Let a plural s follow a literal, which reStructuredText would refuse."""
    lines[:] = [re.sub(r"(`[^`]+`+)(?=\w)", r"\1\\ ", line) for line in lines]


def setup(app: Sphinx) -> None:
    """Join the two, after checking that each package can be imported."""
    for package in PACKAGES:
        importlib.import_module(package)
    app.connect("missing-reference", resolve)
    app.connect("autodoc-process-docstring", end_literals)
