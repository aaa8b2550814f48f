"""The language of Logstash's pipelines: its text into sections, plugins, conditions and values.

Source: "Structure of a pipeline" and "Accessing event data and fields" of the 8.19 reference, and the
grammar in github.com/elastic/logstash, logstash-core/lib/logstash/compiler/lscl/lscl_grammar.treetop.
"""

import re
from typing import Any

from lab.elastic.logstash.language import Branch, Condition, Field, LanguageError, Plugin, Regexp, Statement

_TOKEN = re.compile(
    r"""(?P<space>(?:\s|\#[^\n]*)+)
    |(?P<string>"(?:\\"|[^"])*"|'(?:\\'|[^'])*')
    |(?P<number>-?\d+(?:\.\d+)?)
    |(?P<field>(?:\[[^\[\],"'\s]+\])+)
    |(?P<regexp>/(?:\\/|[^/\n])*/)
    |(?P<sign>=>|==|!=|=~|!~|<=|>=|[{}\[\]()<>!,])
    |(?P<word>[A-Za-z_][\w-]*)""",
    re.VERBOSE,
)
_COMPARISONS = ("==", "!=", "=~", "!~", "<=", ">=", "<", ">", "in", "not in")


def parse(text: str) -> dict[str, list[Statement]]:
    """The statements of each section; raises LanguageError that says where."""
    return _Parser(text).sections()


class _Parser:
    def __init__(self, text: str):
        self._text = text
        self._tokens: list[tuple[str, str, int]] = []
        position = 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            if not match:
                raise self._error(position, "a plugin, a value or a sign")
            if match.lastgroup != "space":
                self._tokens.append((str(match.lastgroup), match[0], position))
            position = match.end()
        self._at = 0

    def sections(self) -> dict[str, list[Statement]]:
        found: dict[str, list[Statement]] = {"input": [], "filter": [], "output": []}
        while self._at < len(self._tokens):
            name = self._take("word", "input", "filter", "output")
            found[name] += self._body(name)
        return found

    def _body(self, section: str) -> list[Statement]:
        self._take("sign", "{")
        statements: list[Statement] = []
        while not self._next("sign", "}"):
            if self._next("word", "if"):
                statements.append(self._branch(section))
            else:
                statements.append(Plugin(section, self._take("word"), self._options()))
        self._take("sign", "}")
        return statements

    def _branch(self, section: str) -> Branch:
        self._take("word", "if")
        ways: list[tuple[Condition | None, tuple[Any, ...]]] = [(self._either(), tuple(self._body(section)))]
        while self._next("word", "else"):
            self._take("word", "else")
            again = self._next("word", "if")
            condition = None
            if again:
                self._take("word", "if")
                condition = self._either()
            ways.append((condition, tuple(self._body(section))))
            if not again:
                break
        return Branch(tuple(ways))

    def _either(self) -> Condition:
        return self._chain("or", lambda: self._chain("and", self._single))

    def _chain(self, operator: str, inner: Any) -> Condition:
        operands = [inner()]
        while self._next("word", operator):
            self._take("word", operator)
            operands.append(inner())
        return operands[0] if len(operands) == 1 else Condition(operator, tuple(operands))

    def _single(self) -> Condition:
        if self._next("sign", "!"):
            self._take("sign", "!")
            return Condition("not", (self._single(),))
        if self._next("sign", "("):
            self._take("sign", "(")
            inner = self._either()
            self._take("sign", ")")
            return inner
        left = self._value()
        operator = self._operator()
        return Condition(operator, (left, self._value()) if operator else (left,))

    def _operator(self) -> str:
        if self._next("word", "not"):
            self._take("word", "not")
            return f"not {self._take('word', 'in')}"
        if self._at < len(self._tokens) and self._tokens[self._at][1] in _COMPARISONS:
            return self._take(self._tokens[self._at][0])
        return ""

    def _options(self) -> dict[str, Any]:
        self._take("sign", "{")
        options: dict[str, Any] = {}
        while not self._next("sign", "}"):
            name = self._unquoted(self._take("string")) if self._next("string") else self._take("word")
            self._take("sign", "=>")
            value = self._value()
            if isinstance(value, Field):  # Only conditions have fields: here it is a list of one word.
                value = [value.path[1:-1]]
            # A hash that is given twice is joined.
            if isinstance(value, dict) and isinstance(options.get(name), dict):
                value = options[name] | value
            options[name] = value
        self._take("sign", "}")
        return options

    def _value(self) -> Any:
        if self._next("string"):
            return self._unquoted(self._take("string"))
        if self._next("number"):
            text = self._take("number")
            return float(text) if "." in text else int(text)
        if self._next("field"):
            return Field(self._take("field"))
        if self._next("regexp"):
            return Regexp(self._take("regexp")[1:-1].replace("\\/", "/"))
        if self._next("sign", "{"):
            return self._hash()
        if self._next("sign", "["):
            return self._array()
        word = self._take("word")
        return Plugin("codec", word, self._options()) if self._next("sign", "{") else word

    def _hash(self) -> dict[str, Any]:
        self._take("sign", "{")
        found: dict[str, Any] = {}
        while not self._next("sign", "}"):
            name = self._value()
            self._take("sign", "=>")
            found[name.path if isinstance(name, Field) else str(name)] = self._value()
        self._take("sign", "}")
        return found

    def _array(self) -> list[Any]:
        self._take("sign", "[")
        found = []
        while not self._next("sign", "]"):
            found.append(self._value())
            if not self._next("sign", "]"):
                self._take("sign", ",")
        self._take("sign", "]")
        return found

    def _unquoted(self, text: str) -> str:
        return text[1:-1].replace(f"\\{text[0]}", text[0])

    def _next(self, kind: str, *texts: str) -> bool:
        if self._at == len(self._tokens):
            return False
        has, text, _ = self._tokens[self._at]
        return has == kind and (not texts or text in texts)

    def _take(self, kind: str, *texts: str) -> str:
        if not self._next(kind, *texts):
            ended = self._at == len(self._tokens)
            position = len(self._text) if ended else self._tokens[self._at][2]
            raise self._error(position, ", ".join(texts) or kind)
        self._at += 1
        return self._tokens[self._at - 1][1]

    def _error(self, position: int, expected: str) -> LanguageError:
        line = self._text.count("\n", 0, position) + 1
        column = position - self._text.rfind("\n", 0, position)
        return LanguageError(f"Expected one of [{expected}] at line {line}, column {column}")
