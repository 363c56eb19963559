"""The site's one configuration: both languages are built with it, each from its own folder (`make docs`)."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))

project = "elman"
author = "the authors of elman"
extensions = [
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx.ext.intersphinx",
    "accessible",
    "api",
    "commands",
    "languages",
    "mathml",
    "setting_groups",
]

# Markdown, with equations and anchors of headings. A link that leads nowhere is a warning, an error of `make docs`.
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nitpicky = False
suppress_warnings = ["config.cache"]

# The code block is copied without prompts and without what the program answered.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True
copybutton_exclude = ".linenos, .gp, .go"

# What the theme says in Portuguese and Sphinx does not translate; a folder beside those of the pages.
locale_dirs = ["../locale"]
html_math_renderer = "mathml"
html_theme = "furo"
html_title = "elman"
html_static_path = ["static"]
html_css_files = ["site.css"]
templates_path = ["templates"]
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/language.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}

# A signature that is longer has a line for each parameter.
python_maximum_signature_line_length = 90
add_module_names = False
toc_object_entries_show_parents = "hide"
