"""Docstrings of this project as Markdown: doctests become code, and the fields of a primitive paragraphs."""

import re

import griffe

FIELD = re.compile(r"^(Claim|Source|Reads|Writes|Error|Needs|Cost): ", re.MULTILINE)

SECTION = re.compile(r"^(Attributes|Args|Raises|Returns|Yields):$")


def escaped(line: str) -> str:
    """A line of prose in which an underscore is an index, never emphasis."""
    return re.sub(r"(`[^`]*`)|_", lambda match: match[1] or r"\_", line)


def markdown(text: str) -> str:
    """A docstring's text for the site."""
    lines, field, test, section = [], False, False, False
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
        elif not line.strip():
            field = False
        else:
            field, section = False, bool(SECTION.match(line)) or (section and line.startswith("    "))
        if section and line.startswith("    "):  # "    name: what it is", and what goes on below it
            name, colon, rest = line.partition(": ") if not line.startswith("     ") else ("", "", line)
            line = name + colon + escaped(rest)
        elif not test and not line.startswith("    "):
            line = escaped(line)
        lines.append(line)
    return "\n".join([*lines, "```"] if test else lines)


class Docstrings(griffe.Extension):
    """Rewrites every docstring once, when it is found."""

    def on_instance(self, *, node, obj, agent, **kwargs):
        """Called for every module, class, function and attribute."""
        if obj.docstring:
            obj.docstring.value = markdown(obj.docstring.value)
