#!/usr/bin/env python3
"""Writes docs/CONFIGURATION.md and docs/METRICS.md: the templates of docs/templates, with what the programs say of
themselves in the places marked `<!-- generated: … -->`; docs/openapi; and deploy/clickhouse/roles.sql. With --check it writes
nothing, names what differs and exits with 1. The programs are those that `make build` leaves."""

import difflib
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
TEMPLATES = ROOT / "docs" / "templates"
MARK = re.compile(r"^<!-- generated: (\w+) (\S+) -->$", re.MULTILINE)

OPTION = re.compile(r"^ {2,}(?:-\w, +)?(--[\w-]+)(?: <([^>]+)>(?:\.\.\.)?)?(?: {2,}(.*))?$")
COMMAND = re.compile(r"^ {2}([a-z][\w-]*)(?: |$)")
NOTE = re.compile(r" ?\[(env|default|possible values): ?([^\]]*)\]")


def output(program: str, *arguments: str) -> str:
    """What a program prints. It gets an empty environment, for help texts show the values of variables."""
    done = subprocess.run([TARGET / program, *arguments], env={}, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{program} {' '.join(arguments)} failed: {done.stderr.strip()}; run `make build`")
    return done.stdout


def reference(flag: str, program: str) -> str:
    return output(program, f"--{flag}").rstrip("\n")


def options(help_text: str) -> list[dict]:
    """The options of a help text. An option's text stands behind it or on the lines below it."""
    found, current = [], None
    lines = help_text.partition("\nOptions:\n")[2].splitlines()
    for line in lines:
        option = OPTION.match(line)
        if option:
            current = {"flag": option[1], "value": option[2], "text": option[3] or ""}
            found.append(current)
        elif line and not line.startswith(" "):
            break
        elif current and line.strip():
            current["text"] += ("" if current["text"].endswith(" ") else " ") + line.strip()
    for option in found:
        notes = dict(NOTE.findall(option["text"]))
        option["variable"] = notes.get("env", "").split("=")[0]
        option["default"] = notes.get("default", "")
        option["choices"] = notes.get("possible values", "")
        option["text"] = NOTE.sub("", option["text"]).strip().replace("<", "&lt;")
    return [option for option in found if option["flag"] not in ("--help", "--version")]


def commands(program: str, path: tuple = ()) -> list[tuple[tuple, list[dict]]]:
    """A program's commands and their options, the program's own first."""
    text = output(program, *path, "--help")
    found = [(path, options(text))]
    listed = re.split(r"\n\n(?=\S)", text.partition("\nCommands:\n")[2])[0]
    for line in listed.splitlines():
        command = COMMAND.match(line)
        if command and command[1] != "help":
            found += commands(program, (*path, command[1]))
    return found


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def code(text: str) -> str:
    return f"`{text}`" if text else ""


def variables(program: str) -> str:
    """The variables that a program reads, each with its first sentence and the commands that know it."""
    found: dict[str, dict] = {}
    for path, known in commands(program):
        for option in known:
            if option["variable"]:
                entry = found.setdefault(option["variable"], {**option, "commands": []})
                entry["text"] = entry["text"] or option["text"]
                entry["commands"].append(" ".join(path))
    rows = [
        [code(name), code(entry["flag"]), code(entry["default"]), entry["text"], readers(entry["commands"])]
        for name, entry in sorted(found.items())
    ]
    return table(["variable", "flag", "default", "meaning", "read by"], rows)


def readers(names: list[str]) -> str:
    """The option of the program itself holds for all of its commands."""
    return "all" if "" in names else ", ".join(code(name) for name in sorted(set(names)))


def flags(program: str) -> str:
    """All flags of one command, `program:command`."""
    name, _, path = program.partition(":")
    rows = [
        [code(option["flag"]), code(option["variable"]), code(option["default"]), option["text"]]
        for option in options(output(name, *path.split(), "--help"))
    ]
    return table(["flag", "variable", "default", "meaning"], rows)


def generated(mark: re.Match) -> str:
    kind, program = mark[1], mark[2]
    if kind in ("settings", "metrics"):
        return reference(kind, program)
    return {"variables": variables, "flags": flags}[kind](program)


def roles() -> str:
    head = "-- The services' roles in ClickHouse. Written by `make docs` from `sealtrail analysts sql`.\n"
    return head + output("sealtrail", "analysts", "sql")


def pages() -> dict[str, str]:
    """Each file that is written, with its text."""
    texts = {f"docs/{page.name}": MARK.sub(generated, page.read_text()) for page in sorted(TEMPLATES.glob("*.md"))}
    apis = {f"docs/openapi/{name}.json": output(f"sealtrail-{name}", "--openapi") for name in ("gateway", "query-api")}
    return texts | apis | {"deploy/clickhouse/roles.sql": roles()}


def main() -> int:
    differs = False
    for name, text in pages().items():
        page = ROOT / name
        if "--check" not in sys.argv[1:]:
            page.write_text(text)
            continue
        old = page.read_text() if page.exists() else ""
        if old != text:
            differs = True
            print(f"{name} is not what the programs say; run `make docs`", file=sys.stderr)
            lines = difflib.unified_diff(old.splitlines(), text.splitlines(), name, "generated", lineterm="", n=0)
            print("\n".join(lines), file=sys.stderr)
    return 1 if differs else 0


sys.exit(main())
