"""Formulas as MathML: the rule's equations out of their symbols, and those of cards out of their own text.

A card's text is formulas and words in turn. What reads as a formula becomes one; all else stays as it is written.
"""

from __future__ import annotations

import re
from html import escape

from downslope.core.rule_text import equations
from downslope.core.symbols import MATHML
from downslope.explaining.explanation import Explanation

_NAMES = (
    *[
        "lr_initial",
        "lr_max",
        "lr_new",
        "lr_old",
        "effective_lr",
        "lr",
        "momentum",
        "dampening",
        "nu",
        "weight_decay",
        "velocity",
        "ema",
        "sqrt",
        "ln",
    ],
    *("effective lr", "有效学习率", "L", "l", "d", "f", "G", "B", "k", "m"),
)
_TOKEN = re.compile(
    rf"(?P<name>(?:{'|'.join(_NAMES)})(?!\w)(?:'|\*(?= =))?)|(?P<number>\d+(?:\.\d+)?)"
    r"|(?P<size>\|(?:param|grad)\|)|(?P<sign>\*=|[-+*/^=()\N{MULTIPLICATION SIGN}])"
    r"|(?P<space> +)|(?P<other>[^\W\d]\w*|.)"
)


def typeset_rule(explanation: Explanation) -> list[tuple[str, str]]:
    """Return the equations of a recipe's rule as pairs of `<math>` elements: what is set, to what."""
    written = zip(explanation.equations, equations(explanation.settings, MATHML), strict=True)
    return [(f"<math>{left}</math>", _element(f"<mrow>{right}</mrow>", text)) for (_, text), (left, right) in written]


def typeset(text: str) -> str:
    """Return the text of a formula's card as HTML, what is a formula in it as MathML.

    Example:
        >>> typeset("1 / (1 + momentum)").partition("<annotation")[0].partition("<mrow>")[2]
        '<mfrac><mrow><mn>1</mn></mrow><mrow><mn>1</mn><mo>+</mo><mi>momentum</mi></mrow></mfrac></mrow>'
        >>> typeset("the share a < b")
        'the share a &lt; b'
    """
    parts: list[str] = []
    run: list[tuple[str, str]] = []
    for found in _TOKEN.finditer(text):
        kind, word = found.lastgroup or "other", found[0]
        if kind == "other":
            parts += [_run(run), escape(word, quote=False)]
            run = []
        else:
            run.append((kind, word))
    return "".join([*parts, _run(run)])


def _run(tokens: list[tuple[str, str]]) -> str:
    """Return the HTML of tokens between words: a formula if they are one, with the spaces around it."""
    text = "".join(word for _, word in tokens)
    inside = [(kind, word) for kind, word in tokens if kind != "space"]
    if not inside or (len(inside) == 1 and inside[0][0] != "name"):
        return escape(text, quote=False)
    try:
        found = _Reader(inside).equation()
    except _NoFormulaError:
        return escape(text, quote=False)
    before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return f"{before}{_element(found, text.strip())}{after}"


def _element(inside: str, text: str) -> str:
    plain = f'<annotation encoding="text/plain">{escape(text, quote=False)}</annotation>'
    return f'<math displaystyle="true"><semantics>{inside}{plain}</semantics></math>'


_BESIDE = '<mspace width="0.22em"></mspace>'
"""Between factors that stand side by side."""


class _NoFormulaError(Exception):
    """The tokens are no formula."""


class _Reader:
    """Reads one formula: sums of products, where what stands side by side is multiplied, as in the cards."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        """Begin at the first token."""
        self._tokens, self._at = tokens, 0

    def equation(self) -> str:
        """Return all of it; `=` and `*=` may stand between sums."""
        found = self._sum()
        while (sign := self._take("=", "*=")) is not None:
            found += f"<mo>{sign}</mo>{self._sum()}"
        if self._at < len(self._tokens):
            raise _NoFormulaError
        return f"<mrow>{found}</mrow>"

    def _sum(self) -> str:
        found = self._product()
        while (sign := self._take("+", "-")) is not None:
            found += f"{MATHML.signs[sign]}{self._product()}"
        return found

    def _product(self) -> str:
        factors = [self._power()]
        while True:
            if self._take("/") is not None:
                factors = [f"<mfrac><mrow>{_bare(factors)}</mrow><mrow>{_bare([self._power()])}</mrow></mfrac>"]
            elif self._take("*", "\N{MULTIPLICATION SIGN}") is not None or self._begins():
                factors.append(self._power())
            else:
                return _BESIDE.join(factors)

    def _power(self) -> str:
        if self._take("-") is not None:
            return f"{MATHML.minus}{self._power()}"
        base = self._base()
        return f"<msup><mrow>{base}</mrow><mrow>{_bare([self._base()])}</mrow></msup>" if self._take("^") else base

    def _base(self) -> str:
        if self._take("(") is not None:
            inside = self._sum()
            if self._take(")") is None:
                raise _NoFormulaError
            return f"<mrow>{MATHML.brackets[0]}{inside}{MATHML.brackets[1]}</mrow>"
        if self._at == len(self._tokens):
            raise _NoFormulaError
        kind, word = self._tokens[self._at]
        self._at += 1
        if kind == "number":
            return f"<mn>{word}</mn>"
        if kind == "size":
            return f"<mrow><mo>|</mo><mi>{word[1:-1]}</mi><mo>|</mo></mrow>"
        if kind != "name":
            raise _NoFormulaError
        if word == "sqrt":
            return f"<msqrt>{_bare([self._base()])}</msqrt>"
        return f"<mi>ln</mi>{_BESIDE}{self._base()}" if word == "ln" else f"<mi>{word}</mi>"

    def _begins(self) -> bool:
        """Return whether another factor follows."""
        if self._at == len(self._tokens):
            return False
        kind, word = self._tokens[self._at]
        return kind != "sign" or word == "("

    def _take(self, *signs: str) -> str | None:
        if self._at < len(self._tokens) and self._tokens[self._at][1] in signs:
            self._at += 1
            return self._tokens[self._at - 1][1]
        return None


_OPEN, _CLOSE = f"<mrow>{MATHML.brackets[0]}", f"{MATHML.brackets[1]}</mrow>"


def _bare(factors: list[str]) -> str:
    """Return factors without needless brackets: a fraction's line, a root and a raised place bracket by themselves."""
    if len(factors) == 1 and factors[0].startswith(_OPEN) and factors[0].endswith(_CLOSE):
        return factors[0][len(_OPEN) : -len(_CLOSE)]
    return _BESIDE.join(factors)
