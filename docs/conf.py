"""The site: ``uv run nox -s docs`` runs its examples and builds it."""

from __future__ import annotations

import importlib
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
    are found by their last part. What is not ours (the standard library, numpy)
    stands as plain text. A name of ours that is not public stays an error.
    """
    target = str(node.get("reftarget", ""))
    name = target.rpartition(".")[2]
    home = node.get("py:module")
    known = env.get_domain("py").data["objects"]
    for package in dict.fromkeys((target.partition(".")[0], home, *PACKAGES)):
        full = f"{package}.{name}"
        if package in PACKAGES and full in known:
            found = known[full]
            return (
                app.builder.env.get_domain("py").resolve_xref(
                    env, env.docname, app.builder, "obj", full, node, text
                )
                if found
                else None
            )
    return None if target.startswith(PACKAGES) else text


def setup(app: Sphinx) -> None:
    """Join the resolver, after checking that each package can be imported."""
    for package in PACKAGES:
        importlib.import_module(package)
    app.connect("missing-reference", resolve)
