"""Docstrings of this project as Markdown: doctests become code, and the fields of a primitive paragraphs."""

import re

import griffe

FIELD = re.compile(r"^(Claim|Source|Reads|Writes|Error|Needs|Cost): ", re.MULTILINE)


def markdown(text: str) -> str:
    """A docstring's text for the site."""
    lines, field, test = [], False, False
    for line in text.splitlines():
        if line.startswith(">>> ") and not test:
            lines.append("```pycon")
            test = True
        elif test and not line.strip():
            lines.append("```")
            test = False
        if FIELD.match(line):
            lines.append("")
            field = True
            line = FIELD.sub(r"**\1:** ", line)
        elif field and line.startswith("    "):  # a field goes on, indented
            line = line.strip()
        else:
            field = False
        lines.append(line)
    return "\n".join([*lines, "```"] if test else lines)


class Docstrings(griffe.Extension):
    """Rewrites every docstring once, when it is found."""

    def on_instance(self, *, node, obj, agent, **kwargs):
        """Called for every module, class, function and attribute."""
        if obj.docstring:
            obj.docstring.value = markdown(obj.docstring.value)
