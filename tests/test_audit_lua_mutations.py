"""One consequential line in a Lua scriptlet never hides from the audit."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.test_audit_lua import CASES, Case, audit

MUTANTS = 1000
_LONG = "rm -rf /usr/lib/mutant"

# What must not pass unseen. None of these touches anything that layer can declare.
EFFECTS = (
    f'os.execute("{_LONG}")',
    f"os.execute '{_LONG}'",
    f"os.execute [[{_LONG}]]",
    'os.execute("\\114\\109 -rf /usr/lib/mutant")',
    'os.execute("\\x72m -rf /usr/lib/mutant")',
    'os.execute("rm" .. " -rf /usr/lib/mutant")',
    'os.execute("true; rm /etc/mutant")',
    'os.execute("echo mutant > /etc/mutant")',
    'os.execute("echo $(rm /etc/mutant)")',
    'os.execute("cat <<X | sh\\nrm /etc/mutant\\nX")',
    "os.execute(mutant)",
    'os.execute("cat " .. mutant .. " > /etc/mutant")',
    'os["execute"]("rm /etc/mutant")',
    'os["exe" .. "cute"]("rm /etc/mutant")',
    'os[mutant]("rm /etc/mutant")',
    '_G["os"].execute("rm /etc/mutant")',
    '_G.os.remove("/etc/mutant")',
    '_ENV.os.remove("/etc/mutant")',
    '(os.execute)("rm /etc/mutant")',
    '(mutant or os.execute)("rm /etc/mutant")',
    '(os.execute or print)("rm /etc/mutant")',
    'local x = os.execute; x("rm /etc/mutant")',
    'local x = os; x.remove("/etc/mutant")',
    'local x, y = print, os.remove; y("/etc/mutant")',
    'x = os.remove; x("/etc/mutant")',
    'local t = {f = os.remove}; t.f("/etc/mutant")',
    'local t = {os.remove}; t[1]("/etc/mutant")',
    'local t = {}; t.f = os.remove; t.f("/etc/mutant")',
    'local t = {"true"}; t[1] = "rm"; rpm.spawn(t)',
    'local t = {"echo"}; table.insert(t, 1, "rm"); rpm.spawn(t)',
    'local t = {"echo"}; local u = t; u[1] = "rm"; rpm.spawn(t)',
    'local function f() return os.remove end; f()("/etc/mutant")',
    'local function f(g) g("/etc/mutant") end; f(os.remove)',
    'local function f(...) rpm.execute(...) end; f("rm", "/etc/mutant")',
    'local function f(...) local a = {...}; rpm.spawn(a) end; f("rm", "/etc/mutant")',
    'local c = "ls"; local function f() c = "rm" end; f(); rpm.execute(c, "/etc/mutant")',
    'c = "ls"; function f() if m then c = "rm" return end c = "ls" end f(); rpm.execute(c, "/m")',
    'for _, c in ipairs({"rm", "ls"}) do d = c; break end; rpm.execute(d, "/etc/mutant")',
    'for _, c in ipairs({"ls", "rm"}) do rpm.execute(c, "/etc/mutant") end',
    'for _, f in ipairs({os.remove}) do f("/etc/mutant") end',
    'for k, f in pairs(os) do f("/etc/mutant") end',
    'for k in os.remove, "/etc/mutant" do end',
    'local d = "ls"; while m do rpm.execute(d, "/etc/mutant"); d = "rm" end',
    'local d = "ls"; repeat rpm.execute(d, "/etc/mutant"); d = "rm" until m',
    'print = os.remove; print("/etc/mutant")',
    'posix.stat = os.remove; posix.stat("/etc/mutant")',
    'string.upper = os.execute; ("rm /etc/mutant"):upper()',
    'function string.upper() os.remove("/etc/mutant") end; ("x"):upper()',
    'posix = {stat = os.remove}; posix.stat("/etc/mutant")',
    'local posix = os; posix.remove("/etc/mutant")',
    'local print = os.remove; print("/etc/mutant")',
    'load("os.remove(\'/etc/mutant\')")()',
    'loadstring("os.remove(\'/etc/mutant\')")()',
    'assert(load("os.remove(\'/etc/mutant\')"))()',
    'dofile("/usr/lib/mutant.lua")',
    'require("mutant")',
    'require("mutant").run()',
    'pcall(os.remove, "/etc/mutant")',
    'pcall(function() os.remove("/etc/mutant") end)',
    'xpcall(os.remove, print, "/etc/mutant")',
    'coroutine.wrap(function() os.remove("/etc/mutant") end)()',
    'coroutine.resume(coroutine.create(os.remove), "/etc/mutant")',
    'setmetatable({}, {__index = function() os.remove("/etc/mutant") end}).x = 1',
    'local t = setmetatable({}, {__call = os.remove}); t("/etc/mutant")',
    'getmetatable("").__index = os; ("/etc/mutant"):remove()',
    'string.gsub("/etc/mutant", ".*", os.remove)',
    '("/etc/mutant"):gsub(".*", os.remove)',
    'table.sort({1, 2}, function() os.remove("/etc/mutant") end)',
    'table.foreach({1}, function() os.remove("/etc/mutant") end)',
    'rawset(_G, "print", os.remove); print("/etc/mutant")',
    'debug.sethook(function() os.remove("/etc/mutant") end, "l")',
    "goto mutant; ::mutant::",
    'local h <close> = os.remove("/etc/mutant")',
    'os.remove("/etc/mutant")',
    'os.remove(mutant)',
    'os.rename("/etc/mutant", "/etc/other")',
    'os.rename("/usr/share/tool", "/etc/passwd")',
    'os.rename("/usr/share/tool", "/usr/share/tool.rpmmoved." .. mutant)',
    'posix.unlink("/etc/mutant")',
    'posix.rmdir("/usr/lib/mutant")',
    'posix.mkdir("/usr/lib/mutant")',
    'posix.mkdir("/var/lib/" .. mutant)',
    'posix.mkdir("/var/lib/../../usr/mutant")',
    'posix.chmod("/usr/bin/mutant", "04755")',
    'posix.chmod("/usr/bin/mutant", "rwsr-xr-x")',
    'posix.chown("/usr/bin/mutant", "root", "root")',
    'posix.symlink(mutant, "/usr/bin/mutant")',
    'posix.symlink("mutant", "/usr/local/bin/mutant")',
    'posix.link("/usr/bin/mutant", "/usr/bin/other")',
    'posix.utime("/etc/mutant")',
    'posix.mkfifo("/usr/lib/mutant")',
    'posix.setuid("mutant")',
    'posix.putenv("PATH=/tmp/mutant")',
    'posix.setenv("PATH", "/tmp/mutant")',
    'posix.exec("/bin/rm", "/etc/mutant")',
    'posix.execp("rm", "/etc/mutant")',
    "posix.exec(mutant)",
    'posix.exec("/bin/sh", "-c", "rm /etc/mutant")',
    'posix.exec("/bin/sh", "/usr/lib/mutant")',
    'posix.exec("/usr/bin/env", "rm", "/etc/mutant")',
    'posix.exec("/usr/lib/mutant/setup")',
    'posix.exec("./mutant")',
    'if posix.fork() == 0 then posix.exec("/bin/rm", "/etc/mutant") end',
    'rpm.execute("rm", "/etc/mutant")',
    'rpm.execute("ldconfig", "/tmp/mutant")',
    'rpm.execute("ldconfig", mutant)',
    'rpm.execute("ldconfig", mutant())',
    'rpm.execute(table.unpack({"rm", "/etc/mutant"}))',
    'rpm.spawn({"rm", "/etc/mutant"})',
    'rpm.spawn({"ldconfig"}, {stdout = "/etc/mutant"})',
    'rpm.spawn({"ldconfig", select(1, "/tmp/mutant")})',
    'rpm.expand("%(rm /etc/mutant)")',
    'rpm.expand("%{lua:os.remove(\'/etc/mutant\')}")',
    "rpm.expand(mutant)",
    'rpm.define("_dbpath /tmp/mutant")',
    'rpm.load("/usr/lib/mutant")',
    'rpm.call("mutant")',
    'macros.mutant("x")',
    'io.open("/etc/mutant", "w")',
    'io.open("/etc/mutant", "w"):write("x")',
    'io.open("/etc/mutant", "a")',
    'io.open("/etc/mutant", "r+")',
    'io.open("/etc/mutant", mutant)',
    'io.output("/etc/mutant")',
    'io.output("/etc/mutant"):write("x")',
    'io.popen("rm /etc/mutant")',
    'io.popen("sh", "w"):write("rm /etc/mutant")',
    'io.popen("systemd-sysusers -", "w"):write("u mutant 0")',
    'print(os.remove("/etc/mutant"))',
    'local x = {os.remove("/etc/mutant")}',
    'local x = {[os.remove("/etc/mutant")] = 1}',
    'local x = -(os.remove("/etc/mutant") or 1)',
    'local x = "a" .. tostring(os.remove("/etc/mutant"))',
    'local x = m and os.remove("/etc/mutant")',
    'local x = (os.remove("/etc/mutant")) == 1',
    'if os.remove("/etc/mutant") then end',
    'while os.remove("/etc/mutant") do break end',
    'repeat until os.remove("/etc/mutant")',
    'for i = 1, os.remove("/etc/mutant") do end',
    'for i in pairs(os.remove("/etc/mutant")) do end',
    'local function f() local function g() os.remove("/etc/mutant") end g() end f()',
    '(function() os.remove("/etc/mutant") end)()',
    'local f = function() os.remove("/etc/mutant") end; f()',
    'arg = {1, 2}; if arg[2] == 2 then os.remove("/etc/mutant") end',
    'arg[2] = 2; if arg[2] == 2 then os.remove("/etc/mutant") end',
)  # fmt: skip

# Where such a line may stand and still run.
PLACES = (
    "{}",
    "{}",
    "do {} end",
    "if true then {} end",
    "if not false then {} end",
    "if false then else {} end",
    "if nil then elseif 1 then {} end",
    "if mutated then {} end",
    'if posix.stat("/etc/mutant") then {} end',
    'if not posix.access("/etc/mutant") then {} end',
    'if posix.getgroup("mutant") then {} end',
    "if mutated then else {} end",
    "if mutated == 1 then elseif mutated == 2 then {} end",
    "if arg[2] then {} end",
    "if posix.fork() == 0 then {} end",
    "if rpm.spawn then {} end",
    "for mutated = 1, 2 do {} end",
    "for mutated in pairs(mutated) do {} end",
    "for _, mutated in ipairs({{1, 2}}) do {} end",
    "while mutated do {} break end",
    "repeat {} until true",
    "local function mutated() {} end mutated()",
    "mutated = function() {} end; mutated()",
    "local function mutated() return end mutated() {}",
    "local function mutated(...) {} end mutated(1)",
    "local mutated = {{}}; {}",
    "do local print = 1; {} end",
)  # fmt: skip


def bodies() -> Iterator[Case]:
    """The scriptlets with nothing unknown that run to their end."""
    for case in CASES:
        if "?" not in case.expected and case.name not in {"after the end", "an end"}:
            yield case


def is_seen(case: Case, grown: str, *, is_first: bool) -> bool:
    """Whether the user is asked about the line that was added."""
    lines = case.body.rstrip("\n").split("\n")
    place = 0 if is_first else len(lines)
    lines[place:place] = [grown]
    return any(item.line == place + 1 for item in audit("\n".join(lines), case.slot).unknown)


def mutants() -> Iterator[tuple[Case, str, bool]]:
    """A body, what it grows, and whether at its beginning; the same ones every time."""
    chance = random.Random(4)
    found = tuple(bodies())
    for number in range(MUTANTS):
        grown = chance.choice(PLACES).format(EFFECTS[number % len(EFFECTS)])
        yield found[number % len(found)], grown, chance.random() < 0.5


def test_no_consequential_line_hides() -> None:
    hidden = [
        f"{case.name}: {grown}"
        for case, grown, is_first in mutants()
        if not is_seen(case, grown, is_first=is_first)
    ]
    assert hidden == []


def test_every_effect_is_seen_in_every_place() -> None:
    hidden = []
    for effect in EFFECTS:
        for place in PLACES:
            grown = place.format(effect)
            if not audit(grown).unknown:
                hidden.append(grown)
    assert hidden == []


def test_the_lines_would_be_seen_for_what_they_are_and_not_for_their_scripts() -> None:
    grown = ("local mutant = 1", 'print("hello")', 'if posix.stat("/x") then print(1) end')
    seen = [
        (case.name, line)
        for case in bodies()
        for line in grown
        if is_seen(case, line, is_first=False) or is_seen(case, line, is_first=True)
    ]
    assert seen == []
