"""What the audit says of Lua: real scriptlets of Fedora and openSUSE, and what hides in Lua."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from layer.audit.judge import audit_package, coverage
from layer.audit.verdict import Audit, Verdict
from layer.model import Scriptlet
from tests.test_audit import FILES, TRIGGERS, header

OWN = (*FILES, "/usr/share/tool", "/usr/share/info/tool.info.gz")


@dataclass(frozen=True)
class Case:
    """A body, and of each line that has one the class in letters: see `LETTERS`."""

    name: str
    body: str
    expected: str
    slot: str = "post"


LETTERS = {
    "n": Verdict.NOT_APPLICABLE,
    "h": Verdict.HARMLESS,
    "l": Verdict.LIVE_ONLY,
    "c": Verdict.COVERED,
    "r": Verdict.REWRITTEN,
    "?": Verdict.UNKNOWN,
}

LDCONFIG = """\
function post_exec (msg, program, ...)
  if rpm.spawn ~= nil then
    local status = rpm.spawn ({program, ...})
    if status == nil then
      io.stdout:write (msg)
      assert (nil)
    end
  else
    local pid = posix.fork ()
    if pid == 0 then
      posix.exec (program, ...)
      io.stdout:write (msg)
      assert (nil)
    elseif pid > 0 then
      posix.wait (pid)
    end
  end
end
function call_ldconfig ()
  post_exec("Error: call to ldconfig failed.\\n",
            "ldconfig")
end
call_ldconfig()
"""
MOVED = """\
path = "/usr/share/tool"
st = posix.stat(path)
if st and st.type == "directory" then
  status = os.rename(path, path .. ".rpmmoved")
  if not status then
    suffix = 0
    while not status do
      suffix = suffix + 1
      status = os.rename(path .. ".rpmmoved", path .. ".rpmmoved." .. suffix)
    end
    os.rename(path, path .. ".rpmmoved")
  end
end
"""
# A line each: what stands on it, and its class.
CASES = (
    Case(
        "systemd's fork and exec",
        'pid = posix.fork()\nif pid == 0 then\n    assert(posix.exec("/sbin/ldconfig"))\n'
        "elseif pid > 0 then\n    posix.wait(pid)\nend\n",
        "hhchh",
    ),
    Case("rpm.execute", 'assert(rpm.execute("systemd-tmpfiles", "--create"))', "c"),
    Case("glibc's helper", LDCONFIG, "hchhhhhchhhhhh"),
    Case("a directory that has become a link", MOVED, "hhhhhhhhhn", "pretrans"),
    Case(
        "a link that has become a directory",
        'path = "/usr/share/tool"\nst = posix.stat(path)\n'
        'if st and st.type == "link" then\n  os.remove(path)\nend\n',
        "hhhn",
        "pretrans",
    ),
    Case("the same after unpacking", 'os.remove("/usr/share/tool")', "?"),
    Case("the same of another package", 'os.remove("/usr/share/other")', "?", "pretrans"),
    Case("upgrades", 'if arg[2] > 1 then\n  os.remove("/a")\nelse\n  print("a")\nend', "hnh"),
    Case("upgrades by words", 'if tonumber(arg[2]) == 2 then\n  os.remove("/a")\nend', "hn"),
    Case("a folder in /var", 'posix.mkdir("/var/lib/tool")', "r"),
    Case(
        "a folder in /var that may be there",
        'if not posix.stat("/var/lib/tool") then\n  posix.mkdir("/var/lib/tool")\n'
        '  posix.chown("/var/lib/tool", "tool", "tool")\n'
        '  posix.chmod("/var/lib/tool", "rwxr-x---")\nend\n',
        "hrrr",
    ),
    Case("a folder that hangs on more", 'if x then\n  posix.mkdir("/var/lib/tool")\nend', "h?"),
    Case("a link", 'posix.symlink("tool", "/usr/bin/tool2")', "r"),
    Case("a shell", 'os.execute("/sbin/ldconfig >/dev/null && echo done")', "c"),
    Case("a shell that writes", 'os.execute("echo a > /etc/a")', "?"),
    Case("sh -c", 'rpm.execute("/bin/sh", "-c", "rm /etc/a")', "?"),
    Case(
        "a loop over a list",
        'for _, name in ipairs({"lib", "cache"}) do\n'
        '  posix.mkdir("/var/" .. name .. "/tool")\nend',
        "hr",
    ),
    Case(
        "a loop over files",
        'for i, name in ipairs(posix.dir("/usr/lib")) do\n  print(name)\nend',
        "hh",
    ),
    Case("a trigger's files", "a = rpm.next_file()\nwhile a do\n a = rpm.next_file()\nend", "hhh"),
    Case("reading", 'local f = io.open("/etc/passwd")\nprint(f:read("*a"))\nf:close()', "hhh"),
    Case("posix as a library", 'local ox = require "posix"\nox.unlink("/etc/a")', "h?"),
    Case("expansions", 'print(rpm.expand("%{_libdir}/x"))', "h"),
    Case("never called", 'function f()\n  os.remove("/a")\nend', "n"),
    Case("after the end", 'do return end\nos.remove("/a")', "hn"),
    Case("an end", 'if rpm.vercmp(posix.uname("%r"), "3") < 0 then\n  error("no", 0)\nend', "hh"),
)  # fmt: skip


def audit(body: str, slot: str = "post") -> Audit:
    """What is said of one Lua scriptlet."""
    package = header(Scriptlet(slot, "<lua>", body), files=OWN)
    return audit_package(package, coverage(package, TRIGGERS))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_lua_scriptlet_is_judged_line_by_line(case: Case) -> None:
    heaviest: dict[int, Verdict] = {}
    for item in audit(case.body, case.slot).judged:
        before = heaviest.get(item.line, Verdict.NOT_APPLICABLE)
        heaviest[item.line] = max(before, item.verdict, key=lambda verdict: verdict.weight)
    letters = {verdict: letter for letter, verdict in LETTERS.items()}
    assert "".join(letters[heaviest[line]] for line in sorted(heaviest)) == case.expected


def test_what_lua_makes_is_declared() -> None:
    found = audit(
        'posix.mkdir("/var/lib/tool")\nposix.chmod("/var/lib/tool", "rwxr-x---")\n'
        'posix.chown("/var/lib/tool", "tool", 0)\nposix.symlink("tool", "/usr/bin/t2")\n'
    )
    assert found.unknown == ()
    assert found.rewrites.tmpfiles == (
        "d /var/lib/tool 0755 - - - -",
        "z /var/lib/tool 0750 - - - -",
        "z /var/lib/tool - tool 0 - -",
    )
    assert found.rewrites.links == (("/usr/bin/t2", "tool"),)


@pytest.mark.parametrize(
    "body",
    [
        "f(" * 300 + ")" * 300,
        "local function f() f() f() f() os.remove('/a') end\nf()",
        "if x then\n" * 80 + "os.remove('/a')\n" + "end\n" * 80,
        "for _, a in ipairs({1,2,3,4,5,6,7,8}) do\n" * 8 + "os.remove('/a')\n" + "end\n" * 8,
        "x = " + "'a' .. " * 20_000 + "'b'\nos.remove('/a')",
        "os.remove('/a'",
        "os.remove('\2')",
    ],
    ids=["calls", "recursion", "branches", "loops", "a long text", "half a call", "our own mark"],
)
def test_a_script_that_wears_the_reader_out_is_unknown(body: str) -> None:
    assert audit(body).unknown != ()


@pytest.mark.parametrize(
    "body",
    [
        'posix.stat = os.remove\nposix.stat("/etc/a")',
        'rawset(_G, "print", os.remove)\nprint("/etc/a")',
        'mutant()\nprint("/etc/a")',
        "arg[2] = 2\nif arg[2] == 2 then os.remove('/etc/a') end",
        "goto x\nprint(1)",
        "while x do\nprint(1)\nload(x)()\nend",
    ],
)
def test_after_a_line_that_may_change_names_no_call_is_known(body: str) -> None:
    assert len({item.line for item in audit(body).unknown}) == 2
