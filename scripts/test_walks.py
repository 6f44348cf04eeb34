"""Tests of walks.py: above all that it fails when a page and the programs differ."""
import contextlib
import io
import os
import tempfile
import unittest
import unittest.mock
from pathlib import Path

import walk_shell
import walks


class Matching(unittest.TestCase):
    def test_equal_lines_match_and_spacing_does_not_matter(self):
        self.assertTrue(walks.matches(["a  b", "c"], ["a b  ", "c"]))

    def test_placeholders_stand_for_a_word_or_for_any_text(self):
        self.assertTrue(walks.matches(["job <id> created [..]"], ["job 12-ab created in 3 s"]))
        self.assertFalse(walks.matches(["job <id> created"], ["job two words created"]))
        self.assertFalse(walks.matches(["job <id>"], ["job "]))

    def test_an_ellipsis_stands_for_any_number_of_lines(self):
        for middle in ([], ["x"], ["x", "y"]):
            self.assertTrue(walks.matches(["a", "...", "b"], ["a", *middle, "b"]))
        self.assertFalse(walks.matches(["a", "...", "b"], ["a", "x"]))

    def test_a_wrong_a_missing_and_a_surplus_line_do_not_match(self):
        self.assertFalse(walks.matches(["a"], ["b"]))
        self.assertFalse(walks.matches(["a", "b"], ["a"]))
        self.assertFalse(walks.matches(["a"], ["a", "b"]))
        self.assertFalse(walks.matches([], ["a"]))

    def test_text_is_not_a_pattern(self):
        self.assertFalse(walks.matches(["a.c (x)"], ["abc (x)"]))


class Parsing(unittest.TestCase):
    def test_commands_codes_outputs_and_directives(self):
        page = walks.parse(console("$ one", "> more", "? 4", "out", "$ two", before="<!-- until 9s -->"))
        one, two = page.steps
        self.assertEqual((one.command, one.code, one.expected, one.until), ("one\nmore", 4, ["out"], 9))
        self.assertEqual((two.command, two.code, two.expected, two.until), ("two", 0, [], 9))

    def test_a_directive_is_for_the_next_block_alone(self):
        page = walks.parse(console("$ a", before="<!-- background -->") + console("$ b"))
        self.assertEqual([step.background for step in page.steps], [True, False])

    def test_pages_that_cannot_be_read(self):
        for text in (console("out"), "```console\n$ a\n", "<!-- untill 3s -->\n", "<!-- until 3s -->\n"):
            with self.assertRaises(walks.PageError, msg=text):
                walks.parse(text)

    def test_a_page_says_that_it_needs_root(self):
        self.assertEqual(walks.parse("<!-- needs: root -->\n").needs, {"root"})


class Running(unittest.TestCase):
    def test_a_right_page_passes_and_keeps_variables(self):
        self.assertEqual(run("$ X=5; cd /; echo a", "a", "$ echo $X; pwd", "5", "/"), [])

    def test_wrong_output_fails(self):
        self.assertIn("found exit code 0:", run("$ echo a", "b"))

    def test_a_missing_line_fails(self):
        self.assertTrue(run("$ echo a", "a", "b"))

    def test_a_wrong_exit_code_fails(self):
        self.assertTrue(run("$ exit_code() { return 3; }; exit_code"))
        self.assertTrue(run("$ false", "? 2"))
        self.assertEqual(run("$ false", "? 1"), [])

    def test_a_command_that_ends_the_shell_fails(self):
        self.assertIn("found it did not end:", run("$ exit 0"))

    def test_standard_error_is_output_too(self):
        self.assertEqual(run("$ echo oops >&2", "oops"), [])

    def test_until_tries_again_but_not_for_ever(self):
        step = "$ echo x >>count; wc -l <count"
        self.assertEqual(run(step, "4", before="<!-- until 30s -->"), [])
        self.assertTrue(run("$ echo a", "b", before="<!-- until 1s -->"))

    def test_a_background_command_is_waited_for_and_ended(self):
        page = console("$ sh -c 'echo up; exec sleep 600'", "up", before="<!-- background -->") + \
            console("$ kill -0 $PID && echo $PID >pid")
        self.assertEqual(run_text(page), [])

    def test_a_background_command_with_other_output_fails(self):
        self.assertTrue(run("$ echo down", "up", before="<!-- background -->"))

    def test_a_killed_background_command_says_nothing(self):
        page = console("$ sleep 600", before="<!-- background -->") + console("$ kill -9 $PID; wait $PID", "? 137")
        self.assertEqual(run_text(page), [])

    def test_a_process_that_stays_is_a_failure_and_is_ended(self):
        wrong = run("$ sleep 600 &", "$ true")
        self.assertEqual(len(wrong), 1)
        # It may be seen before it has become `sleep`.
        self.assertRegex(wrong[0], "sleep|bash")
        pid = int(wrong[0].split()[1].rstrip(":"))
        self.assertTrue(walk_shell.wait_for(lambda: not walk_shell.alive(pid), 10))

    def test_addresses_and_folders_are_shown_as_a_reader_has_them(self):
        self.assertEqual(run("$ echo $TITUS_ADDR", "127.0.0.1:7104", "$ pwd", "/tmp/walk"), [])

    @unittest.skipIf(os.geteuid() != 0, "needs root: makes a cgroup")
    def test_a_cgroup_that_stays_is_a_failure(self):
        roots = [p for p in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup") if os.path.isdir(p)]
        group = f"{roots[0]}/titus-stays-{os.getpid()}"
        with short_cleaning():
            try:
                wrong = run(f"$ mkdir {group}")
            finally:
                os.rmdir(group)
        self.assertEqual(wrong, [f"left behind: cgroup {group}"])

    @unittest.skipIf(os.geteuid() != 0, "needs root: makes a mount")
    def test_a_mount_that_stays_is_a_failure(self):
        with tempfile.TemporaryDirectory(prefix="titus-spot-") as spot, short_cleaning():
            try:
                wrong = run(f"$ mount -t tmpfs none {spot}")
            finally:
                os.system(f"umount {spot}")
        self.assertEqual(wrong, [f"left behind: mount {spot}"])


class Updating(unittest.TestCase):
    def test_lines_that_match_keep_their_placeholders(self):
        self.assertEqual(walks.merge(["job <id>", "old", "end"], ["job 7", "new", "end"]), ["job <id>", "new", "end"])

    def test_an_ellipsis_stays_where_it_still_stands_for_lines(self):
        self.assertEqual(walks.merge(["a", "...", "z"], ["a", "x", "y", "z!"]), ["a", "..."])
        self.assertEqual(walks.merge(["a", "...", "y", "z"], ["b", "x", "y", "z"])[-2:], ["y", "z"])

    def test_new_lines_lose_what_differs_each_time(self):
        line = "0198f3c2-0000-8000-8000-000000000001 took 1.4 s at 2026-01-02T03:04:05.678Z"
        self.assertEqual(walks.generalise(line), "<id> took <n> s at <time>")

    def test_a_page_is_rewritten_and_then_passes(self):
        with page_file(console("$ echo a; false", "b", "$ echo c", "c")) as path:
            walks.run_page(path, ".", update=True)
            self.assertIn("$ echo a; false\n? 1\na\n$ echo c\nc\n", path.read_text())
            self.assertEqual(walks.run_page(path, "."), [])


class Reporting(unittest.TestCase):
    def test_the_exit_code_and_the_closing_line_tell_of_failures(self):
        for text, code, closing in ((console("$ true"), 0, "ok. 1 passed; 0 failed"), (console("$ false"), 1, "FAILED. 0 passed; 1 failed")):
            with page_file(text) as path, contextlib.redirect_stdout(io.StringIO()) as out:
                self.assertEqual(walks.main([str(path)]), code)
            self.assertIn(closing, out.getvalue())

    def test_a_page_that_needs_root_says_so_without_it(self):
        text = "<!-- needs: root -->\n" + console("$ false")
        with page_file(text) as path, contextlib.redirect_stdout(io.StringIO()) as out, \
                unittest.mock.patch("os.geteuid", return_value=1000):
            self.assertEqual(walks.main([str(path)]), 0)
        self.assertIn("test page ... ignored, needs root", out.getvalue())


def console(*lines, before=""):
    return "\n".join([before, "```console", *lines, "```", ""])


@contextlib.contextmanager
def page_file(text):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.md"
        path.write_text(text)
        yield path


@contextlib.contextmanager
def short_cleaning():
    usual, walks.CLEAN_SECONDS = walks.CLEAN_SECONDS, 1
    try:
        yield
    finally:
        walks.CLEAN_SECONDS = usual


def run_text(text):
    with page_file(text) as path:
        return walks.run_page(path, ".")


def run(*lines, before=""):
    return run_text(console(*lines, before=before))


if __name__ == "__main__":
    unittest.main()
