"""Walks through a script the way a shell would, on every way that a run could take."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from layer.audit import conditions
from layer.audit.expansion import expand, expand_text
from layer.audit.grammar import Node
from layer.audit.notes import Notes
from layer.audit.redirection import Plumbing, plumb
from layer.audit.scan import jumps, local_names, set_names
from layer.audit.state import DOUBT, MAYBE, UNKNOWN, Guard, State, TooLong, Word, arrive, join
from layer.audit.verdict import Verdict

_MOST_ROUNDS = 64
_MOST_STEPS = 20_000
_DEEPEST_CALL = 12
_NEVER = "it does not run at a first installation"
_UNREACHED = "the script has ended before"

Simple = Callable[["Walker", Node, State, Plumbing], bool | None]


class Walker:
    """One pass over one script. Statuses are True, False, or None where only a run would tell."""

    def __init__(
        self, notes: Notes, simple: Simple, own_files: frozenset[str], *, is_bash: bool
    ) -> None:
        self.notes = notes
        self.own_files = own_files
        self._simple = simple
        self._is_bash = is_bash
        self._steps = 0
        self._depth = 0
        self._probes: list[list[Guard]] = []
        self._kinds: dict[str, Callable[[Node, State], bool | None]] = {
            "command": lambda node, state: self._simple(self, node, state, Plumbing(node)),
            "declaration_command": lambda n, s: self._simple(self, n, s, Plumbing(n)),
            "unset_command": lambda node, state: self._simple(self, node, state, Plumbing(node)),
            "variable_assignment": lambda n, s: self._simple(self, n, s, Plumbing(n)),
            "variable_assignments": self._assignments,
            "test_command": self._test,
            "list": self._list,
            "pipeline": self._pipeline,
            "negated_command": self._negated,
            "subshell": self._subshell,
            "compound_statement": self._group,
            "do_group": self._group,
            "redirected_statement": self._redirected,
            "if_statement": self._if,
            "for_statement": self._for,
            "while_statement": self._while,
            "case_statement": self._case,
            "function_definition": self._define,
            "file_redirect": self._lone_redirect,
        }

    # --- statements

    def sequence(self, nodes: Sequence[Node], state: State) -> bool | None:
        """Statements one after the other; `nodes` may hold the `;` and `&` between them."""
        status: bool | None = True
        for number, node in enumerate(nodes):
            if not node.is_named or node.kind == "comment":
                continue
            if state.ends:
                self.skip(node, _UNREACHED)
            elif number + 1 < len(nodes) and nodes[number + 1].kind == "&":
                self.statement(node, state.copy())
                status = True
            else:
                status = self.statement(node, state)
        return status

    def statement(self, node: Node, state: State) -> bool | None:
        """One statement of any kind."""
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise TooLong
        name = state.undecided(node)
        if name:
            ways = state.ways(name)
            results = {self.statement(node, way) for way in ways}
            join(state, ways, DOUBT)
            return results.pop() if len(results) == 1 else None
        known = self._kinds.get(node.kind)
        if known is not None:
            return known(node, state)
        self.notes.add(node, Verdict.UNKNOWN, f"layer does not follow this: {node.kind}")
        state.forget(list(state.variables))
        return None

    def skip(self, node: Node, reason: str = _NEVER) -> None:
        """Nothing in this node runs."""
        for part in node.walk():
            if part.kind in {"command", "declaration_command"}:
                self.notes.add(part, Verdict.NOT_APPLICABLE, reason)

    def probe(self, guard: Guard) -> None:
        """A command ran whose success is not known; it asks about `guard`."""
        if self._probes:
            self._probes[-1].append(guard)

    def _condition(
        self, nodes: Sequence[Node], state: State
    ) -> tuple[bool | None, tuple[Guard, ...]]:
        """The status, and where it is not known what it hangs on."""
        self._probes.append([])
        status = self.sequence(nodes, state)
        found = self._probes.pop()
        if self._probes:
            self._probes[-1] += found
        return status, tuple(dict.fromkeys(found)) or DOUBT

    def _branch(
        self,
        status: bool | None,
        guards: tuple[Guard, ...],
        state: State,
        yes: Sequence[Node],
        no: Callable[[State], bool | None],
    ) -> bool | None:
        """`yes` where the condition holds, `no` where it does not, both where nobody knows."""
        if state.ends:
            for node in yes:
                self.skip(node, _UNREACHED)
            return None
        if status is True:
            return self.sequence(yes, state)
        if status is False:
            for node in yes:
                self.skip(node)
            return no(state)
        ways = (state.copy(), state.copy())
        for way in ways:
            way.guards = (*way.guards, *guards)
        results = (self.sequence(yes, ways[0]), no(ways[1]))
        join(state, ways, guards)
        return results[0] if results[0] == results[1] else None

    def _list(self, node: Node, state: State) -> bool | None:
        left, *operator, right = (c for c in node.children if c.kind != "comment")
        if [token.text for token in operator] not in (["&&"], ["||"]):
            self.notes.add(node, Verdict.UNKNOWN, "layer does not follow this list")
            return None
        status, guards = self._condition((left,), state)
        return self.then(operator[0].text, status, guards, right, state)

    def then(
        self,
        operator: str,
        status: bool | None,
        guards: tuple[Guard, ...],
        right: Node,
        state: State,
    ) -> bool | None:
        """The right side of `&&` or `||`."""
        if operator == "&&":
            return self._branch(status, guards, state, (right,), lambda _: False)
        turned = None if status is None else not status
        return self._branch(turned, guards, state, (right,), lambda _: True)

    def _pipeline(self, node: Node, state: State) -> bool | None:
        for number, stage in enumerate(node.named):
            way = state.copy()
            if number:
                way.fed = UNKNOWN
            self.statement(stage, way)
        return None

    def _negated(self, node: Node, state: State) -> bool | None:
        status = self.sequence(node.named, state)
        return None if status is None else not status

    def _subshell(self, node: Node, state: State) -> bool | None:
        way = state.copy()
        status = self.sequence(node.children[1:-1], way)
        return None if way.ends else status

    def _group(self, node: Node, state: State) -> bool | None:
        if node.children[0].kind not in {"{", "do"}:
            self.notes.add(node, Verdict.UNKNOWN, "arithmetic runs what stands in subscripts")
            return None
        return self.sequence(node.children[1:-1], state)

    def _assignments(self, node: Node, state: State) -> bool | None:
        return self.sequence(node.named, state)

    def _test(self, node: Node, state: State) -> bool | None:
        self.notes.enter(node)
        status, guards = conditions.judge_test(node, state, self, self.own_files)
        self.notes.add(node, Verdict.HARMLESS, "a test changes nothing")
        if node.children[0].kind == "[[" and not self._is_bash:
            status = None  # dash has no such command
        for guard in guards if status is None else ():
            self.probe(guard)
        return status

    def _if(self, node: Node, state: State) -> bool | None:
        parts = [c for c in node.children if c.kind not in {"comment", "fi"}]
        then = next(i for i, part in enumerate(parts) if part.kind == "then")
        turn = next(
            (i for i, part in enumerate(parts) if part.kind in {"elif_clause", "else_clause"}),
            len(parts),
        )
        status, guards = self._condition(parts[1:then], state)
        rest = parts[turn:]
        for part in rest if status is True else ():
            self.skip(part)
        return self._branch(
            status, guards, state, parts[then + 1 : turn], lambda s: self._otherwise(rest, s)
        )

    def _otherwise(self, parts: Sequence[Node], state: State) -> bool | None:
        if not parts:
            return True
        first, *rest = parts
        if first.kind == "else_clause":
            return self.sequence(first.children[1:], state)
        whole = Node(
            "if_statement", "", first.text, first.line, first.start, first.end, True,
            (*first.children, *rest),
        )  # fmt: skip
        return self._if(whole, state)

    def _case(self, node: Node, state: State) -> bool | None:
        self.notes.enter(node)
        subject = next(c for c in node.children if c.field == "value")
        text = expand_text(subject, state, self)
        items = [c for c in node.named if c.kind == "case_item"]
        falls = any(
            c.field == "fallthrough" or c.text in {";&", ";;&"} for i in items for c in i.children
        )
        return self._arms(UNKNOWN if falls else text, items, state)

    def _arms(self, text: str, items: Sequence[Node], state: State) -> bool | None:
        if not items:
            return True
        item, *rest = items
        patterns = [c for c in item.children if c.field == "value"]
        matches = conditions.matches_case(text, patterns, state, self)
        close = next(i for i, c in enumerate(item.children) if c.kind == ")")
        body = [
            c for c in item.children[close + 1 :] if c.field not in {"termination", "fallthrough"}
        ]
        for other in rest if matches is True else ():
            self.skip(other)
        return self._branch(matches, DOUBT, state, body, lambda s: self._arms(text, rest, s))

    # --- loops and functions

    def _for(self, node: Node, state: State) -> bool | None:
        self.notes.enter(node)
        if node.children[0].kind != "for":
            return self.statement(
                Node("select", "", node.text, node.line, node.start, node.end, True, ()), state
            )
        name = next(c.text for c in node.children if c.field == "variable")
        body = next(c for c in node.children if c.field == "body")
        words = [w for c in node.children if c.field == "value" for w in expand(c, state, self)]
        if not any(c.kind == "in" for c in node.children):
            known = state.arguments
            words = [Word(UNKNOWN)] if known is None else [Word(text) for text in known]
        if len(words) > _MOST_ROUNDS or not all(word.is_known for word in words):
            self._around(node, (), body, state, name)
            return None
        if not words:
            self.skip(body)
        start, leaves = len(state.touched), jumps(body, state)
        for word in words:
            if state.ends:
                break
            self.set_variable(node, name, word.text, state)
            self.statement(body, state)
            if leaves:
                state.forget(state.touched[start:])
            arrive(state)
        return None

    def _while(self, node: Node, state: State) -> bool | None:
        body = next(c for c in node.children if c.field == "body")
        test = [c for c in node.children[1:] if c is not body and c.kind not in {"comment"}]
        self._around(node, test, body, state, "")
        return None

    def _around(
        self, node: Node, test: Sequence[Node], body: Node, state: State, name: str
    ) -> None:
        """A loop of which nobody knows how often it turns: what it sets is not known in it."""
        state.forget([*set_names(node, state), *([name] if name else [])])
        if name:
            self.set_variable(node, name, UNKNOWN, state)
        start = len(state.touched)
        _, guards = self._condition(test, state)
        guards = (*guards, *DOUBT)
        ways = (state.copy(), state.copy())
        ways[0].guards = (*ways[0].guards, *guards)
        self.statement(body, ways[0])
        arrive(ways[0])
        join(state, ways, guards)
        state.forget(state.touched[start:])

    def _define(self, node: Node, state: State) -> bool | None:
        name = next(c.text for c in node.children if c.field == "name")
        if any(c.field == "redirect" for c in node.children):
            self.notes.add(node, Verdict.UNKNOWN, "a function with a redirection of its own")
        state.functions[name] = tuple(c for c in node.children if c.field == "body")
        self.notes.defined(node)
        return True

    def call(
        self, node: Node, bodies: Sequence[Node], words: Sequence[Word], state: State
    ) -> bool | None:
        """A function of the script, with `words` as its arguments."""
        if MAYBE in bodies or len(bodies) != 1 or self._depth >= _DEEPEST_CALL:
            self.notes.add(node, Verdict.UNKNOWN, "nobody can tell which function this calls")
        saved, start = state.arguments, len(state.touched)
        self._depth += 1
        status: bool | None = None
        for body in bodies if self._depth <= _DEEPEST_CALL else ():
            if body is MAYBE:
                continue
            self.notes.called(body)
            state.arguments = tuple(w.text if w.is_known else UNKNOWN for w in words)
            status = self.statement(body, state)
            forgotten = list(local_names(body))
            if jumps(body, state) or len(bodies) != 1:
                forgotten += state.touched[start:]
                status = None
            state.forget(forgotten)
            arrive(state)
        self._depth -= 1
        state.arguments = saved
        return status

    # --- redirections and expansions

    def _redirected(self, node: Node, state: State) -> bool | None:
        body = next((c for c in node.children if c.field == "body"), None)
        redirects = [
            c for c in node.children if c is not body and c.is_named and c.kind != "comment"
        ]
        self.notes.enter(node)
        plumbing = plumb(node, redirects, state, self)
        saved, state.fed = state.fed, plumbing.fed if plumbing.is_fed else state.fed
        if body is None:
            self._judge_plumbing(plumbing)
            status: bool | None = True
        elif body.kind in {"command", "declaration_command", "variable_assignment"}:
            status = self._simple(self, body, state, plumbing)
        else:
            self._judge_plumbing(plumbing)
            status = self.statement(body, state)
        state.fed = saved
        for stage in plumbing.piped:
            further = state.copy()
            further.fed = UNKNOWN
            self.statement(stage, further)
            status = None
        for operator, right in plumbing.followed:
            status = self.then(operator, status, DOUBT, right, state)
        return status

    def _lone_redirect(self, node: Node, state: State) -> bool | None:
        self.notes.enter(node)
        self._judge_plumbing(plumb(node, (node,), state, self))
        return True

    def _judge_plumbing(self, plumbing: Plumbing) -> None:
        reason = plumbing.writes or ("layer does not follow this" if plumbing.words else "")
        if reason:
            self.notes.add(plumbing.shown, Verdict.UNKNOWN, reason)

    def substitute(self, node: Node, state: State) -> None:
        """The commands of `$(...)`, `<(...)` and the like."""
        way = state.copy()
        here = self.notes.here
        self._probes.append([])
        self.sequence(node.children[1:-1], way)
        self._probes.pop()
        self.notes.here = here

    def doubt(self, node: Node, reason: str) -> None:
        """Whatever statement is in work is not understood."""
        self.notes.add(self.notes.here or node, Verdict.UNKNOWN, reason)

    def set_variable(self, node: Node, name: str, text: str, state: State) -> None:
        """Sets a variable, unless it is one that changes what commands mean."""
        fault = conditions.why_not_set(name, text)
        if fault:
            self.doubt(node, fault)
        state.assign(name, text)
