#!/usr/bin/env python3
"""Types the commands of walk pages into a shell and compares what they print with the page.

The format of a page is described in docs/walks/README.md. `--update` writes the real output into the
pages instead, and keeps the lines with placeholders that still match.
"""
import argparse
import os
import re
import shutil
import socket
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from walk_shell import Shell, differences, traces, wait_for

CLEAN_SECONDS = 20


class PageError(Exception):
    """A page that cannot be read."""


@dataclass
class Step:
    """One command of a page, with the lines FIRST..LAST that say what it prints."""

    command: str
    first: int
    last: int
    code: int = 0
    expected: list = field(default_factory=list)
    until: int = 0
    background: bool = False


@dataclass
class Page:
    needs: set
    steps: list


def parse(text):
    """Reads a page."""
    page, directives, block = Page(set(), []), {}, None
    for number, line in enumerate(text.splitlines()):
        if block is None:
            if found := re.fullmatch(r"<!-- *(.*?) *-->", line.strip()):
                read_directive(found[1], page, directives, number)
            elif line.strip() == "```console":
                block = []
        elif line.strip() == "```":
            page.steps += read_block(block, directives)
            block, directives = None, {}
        else:
            block.append((number, line))
    if block is not None:
        raise PageError("a console block does not end")
    if directives:
        raise PageError(f"no console block follows the directive {', '.join(directives)}")
    return page


def read_directive(text, page, directives, number):
    if found := re.fullmatch(r"needs: (root)", text):
        page.needs.add(found[1])
    elif found := re.fullmatch(r"until (\d+)s", text):
        directives["until"] = int(found[1])
    elif text == "background":
        directives["background"] = True
    else:
        raise PageError(f"line {number + 1}: unknown directive: {text}")


def read_block(lines, directives):
    steps = []
    for number, line in lines:
        if line.startswith("$ "):
            steps.append(Step(line[2:], number + 1, number + 1, **directives))
            continue
        if not steps:
            raise PageError(f"line {number + 1}: output without a command before it")
        step = steps[-1]
        step.last = number + 1
        at_the_top = number == step.first and not step.expected
        if at_the_top and line.startswith("> "):
            step.command += "\n" + line[2:]
            step.first = number + 1
        elif at_the_top and (found := re.fullmatch(r"\? (\d+)", line)):
            step.code = int(found[1])
        else:
            step.expected.append(line)
    return steps


def line_pattern(line):
    """The regular expression of one expected line: `[..]` is any text, `<name>` is any one word."""
    parts = re.split(r"(\[\.\.\]|<[a-z][a-z0-9-]*>)", squeeze(line))
    return "".join({"[": ".*", "<": r"\S+"}[p[0]] if i % 2 else re.escape(p) for i, p in enumerate(parts))


def squeeze(line):
    return re.sub(r"\s+", " ", line).rstrip()


def matches(expected, actual):
    """True when the lines are as expected; a line `...` stands for any number of lines."""
    pattern = "".join(r"(?:.*\n)*?" if e.strip() == "..." else f"{line_pattern(e)}\n" for e in expected)
    return re.fullmatch(pattern, "".join(f"{squeeze(a)}\n" for a in actual)) is not None


def generalise(line):
    """Replaces what differs from run to run by placeholders."""
    line = re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "<id>", line)
    line = re.sub(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "<time>", line)
    return re.sub(r"\b\d+(\.\d+)?( ?(us|ms|s))\b", r"<n>\2", line)


def merge(expected, actual):
    """The actual lines, but as the page has them where it still matches, placeholders and `...` included."""
    if matches(expected, actual):
        return expected
    lengths = [[0] * (len(actual) + 1) for _ in range(len(expected) + 1)]
    fits = [[e.strip() != "..." and matches([e], [a]) for a in actual] for e in expected]
    for i in reversed(range(len(expected))):
        for j in reversed(range(len(actual))):
            lengths[i][j] = max(lengths[i + 1][j], lengths[i][j + 1], (1 + lengths[i + 1][j + 1]) * fits[i][j])
    merged, i, j, skipping = [], 0, 0, False
    while i < len(expected) or j < len(actual):
        if i < len(expected) and j < len(actual) and fits[i][j] and lengths[i][j] == 1 + lengths[i + 1][j + 1]:
            merged.append(expected[i])
            i, j, skipping = i + 1, j + 1, False
        elif i < len(expected) and (j == len(actual) or lengths[i + 1][j] >= lengths[i][j + 1]):
            if expected[i].strip() == "...":
                merged.append("...")
                skipping = True
            i += 1
        else:
            merged += [] if skipping else [generalise(actual[j])]
            j += 1
    return merged


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def environment(folder, bin_dir):
    home = folder / "walk"
    home.mkdir()
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "USER", "TERM", "TMPDIR")}
    return {**kept, "PATH": f"{Path(bin_dir).resolve()}:{kept.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin",
            "HOME": str(home), "TITUS_ADDR": f"127.0.0.1:{free_port()}", "ROOT": str(Path(__file__).resolve().parents[1]),
            "LC_ALL": "C.UTF-8", "TZ": "UTC", "NO_COLOR": "1", "COLUMNS": "120"}


def as_expected(step, code, lines):
    return code == (0 if step.background else step.code) and \
        matches(step.expected + (["..."] if step.background else []), lines)


def take(shell, step):
    """Runs a step, again and again when the page says until; returns its last exit code and lines."""
    end = time.monotonic() + step.until
    while True:
        if step.background:
            return shell.start(step.command, lambda found: matches(step.expected + ["..."], found), step.until)
        code, lines = shell.run(step.command, step.until)
        if as_expected(step, code, lines) or code is None or time.monotonic() > end:
            return code, lines
        time.sleep(0.1)


def complaint(step, code, lines):
    text = [f"line {step.first}: $ {step.command}", f"expected exit code {step.code}:", *step.expected]
    said = "it did not end" if code is None else f"exit code {code}"
    return text + [f"found {said}:", *lines]


def run_page(path, bin_dir, update=False):
    """Runs one page and returns what is wrong with it, as lines; with UPDATE rewrites it instead."""
    text = Path(path).read_text()
    page, wrong, results, before = parse(text), [], [], traces()
    folder = Path(tempfile.mkdtemp(prefix="titus-walk-"))
    shell = Shell(folder, environment(folder, bin_dir))
    try:
        for step in page.steps:
            code, lines = take(shell, step)
            results.append((step, code, lines))
            if not as_expected(step, code, lines) and (code is None or not update):
                wrong = complaint(step, code, lines)
                break
    finally:
        stubborn = shell.close()
        wait_for(lambda: not differences(before), CLEAN_SECONDS)
        wrong += stubborn + differences(before)
        if not any("mount" in line for line in wrong):
            shutil.rmtree(folder, ignore_errors=True)
    if update:
        Path(path).write_text(rewrite(text, results))
    return wrong


def rewrite(text, results):
    lines = text.splitlines()
    for step, code, actual in reversed(results):
        if code is None or (step.background and as_expected(step, code, actual)):
            continue
        status = [f"? {code}"] if code else []
        lines[step.first:step.last] = status + merge(step.expected, actual)
    return "\n".join(lines) + "\n"


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", default="target/debug", help="the folder with the built programs")
    parser.add_argument("--update", action="store_true", help="write the real output into the pages")
    parser.add_argument("pages", nargs="+")
    args, count = parser.parse_args(argv), Counter()
    for path in args.pages:
        name, start, wrong = Path(path).stem, time.monotonic(), []
        try:
            if "root" in parse(Path(path).read_text()).needs and os.geteuid() != 0:
                count["ignored"] += 1
                print(f"test {name} ... ignored, needs root", flush=True)
                continue
            wrong = run_page(path, args.bin, args.update)
        except PageError as error:
            wrong = [str(error)]
        count["failed" if wrong else "passed"] += 1
        print(f"test {name} ... {'FAILED' if wrong else 'ok'} ({time.monotonic() - start:.1f} s)", flush=True)
        for line in wrong:
            print(f"    {line}", flush=True)
    print(f"test result: {'FAILED' if count['failed'] else 'ok'}. {count['passed']} passed; "
          f"{count['failed']} failed; {count['ignored']} ignored;")
    return 1 if count["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
