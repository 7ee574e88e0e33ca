"""The handwritten messages for syntax errors: for each state of the parser, what is missing there.

A key is what `Table.read` says of a state: the rule of the grammar that is under way, and what has
been read of it. In a text, `{found}` is the word that cannot stand there, `{before}` the one
before it, and `{name}` the first name of the declaration.
"""

from __future__ import annotations

from typing import NamedTuple


class Expectation(NamedTuple):
    """A syntax error in the user's terms; `code` is stable and stands for this mistake alone."""

    code: str
    problem: str
    mend: str


_COMPARE = ("<", "<=", ">", ">=", "==", "!=")
_JOINING = ("+", "-", "*", "/", "^", "|>", "else", ",", ".", "..", "->")
_OPERAND = Expectation(
    "M154", "after `{before}` a value is expected, not {found}", "write what `{before}` applies to"
)
_PRIOR = Expectation(
    "M134",
    "after `~` a distribution or a function prior is expected, not {found}",
    "for example `{name} ~ Normal(0, 1)` or `{name} ~ GP(RBF())`",
)
_SIDE = Expectation(
    "M153", "`{before}` compares two values; {found} is not one", "write the right side"
)
_BODY = Expectation(
    "M142",
    "after `=` the body of the `def` is expected, not {found}",
    "for example `def twice(a) = 2 * a`",
)
_NO_BODY = Expectation(
    "M141", "a `def` needs `=` and its body; here is {found}", "for example `def twice(a) = 2 * a`"
)

EXPECTED: dict[str, Expectation] = {
    # --- where a declaration begins ---
    "$root_line:": Expectation(
        "M120",
        "a declaration cannot begin with {found}",
        "begin with the name that it declares, or with `data`, `index`, `def`, `use` or `infer`",
    ),
    "declaration: data": Expectation(
        "M121", "`data` needs the name of a column, not {found}", "for example `data y[n] : Real`"
    ),
    "declaration: index": Expectation(
        "M122", "`index` needs a name, not {found}", "for example `index k = 1..3`"
    ),
    "declaration: def": Expectation(
        "M123", "`def` needs a name, not {found}", "for example `def twice(a) = 2 * a`"
    ),
    "declaration: use": Expectation(
        "M124", "`use` needs a file, not {found}", 'for example `use "kernels.mercer"`'
    ),
    "declaration: infer": Expectation(
        "M125",
        "`infer` needs a method, not {found}",
        "for example `infer NUTS()` or `infer f by Inducing(count = 200)`",
    ),
    "declaration: infer expression by": Expectation(
        "M147",
        "after `by` a method is expected, not {found}",
        "for example `infer {name} by Inducing(count = 200)`",
    ),
    # --- names and indices ---
    "declaration: target": Expectation(
        "M126",
        "it is not said what `{name}` is: {found} stands where `~`, `=` or `:` is expected",
        "write `{name} ~ ...` for an unknown, `{name} = ...` for a definition",
    ),
    "declaration: data targets": Expectation(
        "M127",
        "data need a space: {found} stands where `:` is expected",
        "for example `data {name} : Real`",
    ),
    "targets: targets ,": Expectation(
        "M128",
        "after the comma the name of another column is expected, not {found}",
        "for example `data x[n], y[n] : Real`",
    ),
    "target: NAME [": Expectation(
        "M129",
        "the brackets of a declaration name its indices; {found} is not a name",
        "for example `{name}[n]`; without an index leave the brackets out",
    ),
    "target: NAME [ names": Expectation(
        "M130",
        "the indices of `{name}` end with `]`; here is {found}",
        "write `{name}[n]`, or `{name}[n, k]` for two indices",
    ),
    "names: names ,": Expectation(
        "M131",
        "after the comma another name is expected, not {found}",
        "write it, or remove the comma",
    ),
    # --- spaces ---
    "declaration: data targets :": Expectation(
        "M136",
        "after `:` the space of the data is expected, not {found}",
        "for example `Real`, `Count`, `Bool` or `Label(g)`",
    ),
    "declaration: target :": Expectation(
        "M132",
        "after `:` a space is expected, not {found}",
        "for example `{name} : Positive ~ ...` or `{name} : Real -> Real ~ ...`",
    ),
    "declaration: target : signature": Expectation(
        "M133",
        "`{name}` has a space, but no prior: {found} stands where `~` is expected",
        "write `~` and a prior; if it is given, write `data {name} : ...`",
    ),
    "signature: expression ->": Expectation(
        "M137",
        "after `->` the space of the values is expected, not {found}",
        "for example `{name} : Real -> Real ~ GP(RBF())`",
    ),
    "coordinate: NAME :": Expectation(
        "M169",
        "after `:` the space of this coordinate is expected, not {found}",
        "for example `(place: Real^2, time: Real)`",
    ),
    "atom: ( coordinates": Expectation(
        "M170",
        "between the coordinates of a space `,` is expected, or `)` at the end, not {found}",
        "for example `(place: Real^2, time: Real)`",
    ),
    "atom: ( coordinates ,": Expectation(
        "M171",
        "after the comma another coordinate is expected, not {found}",
        "for example `(place: Real^2, time: Real)`",
    ),
    "coordinate: NAME": Expectation(
        "M176",
        "each coordinate needs its space: {found} stands where `:` is expected",
        "for example `(place: Real^2, time: Real)`",
    ),
    # --- priors and definitions ---
    "declaration: target ~": _PRIOR,
    "declaration: target : signature ~": _PRIOR,
    "declaration: target =": Expectation(
        "M135", "after `=` an expression is expected, not {found}", "write what `{name}` is"
    ),
    "declaration: def NAME": Expectation(
        "M138",
        "a `def` has parameters in parentheses; here is {found}",
        "write `def {name}(a) = ...`, or `{name} = ...` without `def`",
    ),
    "declaration: def NAME (": Expectation(
        "M139", "a parameter is a name; {found} is not", "for example `def {name}(a, b) = ...`"
    ),
    "declaration: def NAME ( names": Expectation(
        "M140",
        "between parameters `,` is expected, or `)` at the end, not {found}",
        "a parameter is a name alone: `def {name}(a, b) = ...`",
    ),
    "declaration: def NAME ( )": _NO_BODY,
    "declaration: def NAME ( names )": _NO_BODY,
    "declaration: def NAME ( ) =": _BODY,
    "declaration: def NAME ( names ) =": _BODY,
    "declaration: index NAME": Expectation(
        "M143",
        "an index needs `=` and its labels; here is {found}",
        "for example `index {name} = 1..3`",
    ),
    "declaration: index NAME =": Expectation(
        "M144",
        "after `=` the labels of the index are expected, not {found}",
        'for example `1..3` or `["bad", "good"]`',
    ),
    "labels: expression": Expectation(
        "M145",
        "an index needs a range or a list of labels; {found} stands where `..` is expected",
        'for example `index {name} = 1..3` or `index {name} = ["bad", "good"]`',
    ),
    "labels: expression ..": Expectation(
        "M146", "after `..` the last label is expected, not {found}", "for example `1..3`"
    ),
    # --- where a declaration ends ---
    "line: declaration": Expectation(
        "M148",
        "the declaration is complete before {found}",
        "write one declaration a line; a line goes on only inside brackets",
    ),
    "line: declaration STRING": Expectation(
        "M149",
        "a declaration ends with its documentation; {found} follows",
        "write one string, at the end of the line",
    ),
    "line: STRING": Expectation(
        "M150",
        "{found} follows the string that documents the model",
        "let the string stand alone on its line",
    ),
    # --- operators ---
    "pipe: pipe |>": Expectation(
        "M151", "after `|>` a function is expected, not {found}", "for example `x |> f`"
    ),
    "alternative: alternative else": Expectation(
        "M152",
        "after `else` a value is expected, not {found}",
        "for example `y[t - 1] else 0`",
    ),
    **{f"comparison: sum {operator}": _SIDE for operator in _COMPARE},
    "sum: sum +": _OPERAND,
    "sum: sum -": _OPERAND,
    "product: product *": _OPERAND,
    "product: product /": _OPERAND,
    "power: postfix ^": _OPERAND,
    "signed: -": _OPERAND,
    "signed: +": _OPERAND,
    "exponent: -": _OPERAND,
    "exponent: +": _OPERAND,
    # --- calls ---
    "postfix: postfix (": Expectation(
        "M155", "an argument is expected here, not {found}", "write an argument, or close with `)`"
    ),
    "postfix: postfix ( arguments": Expectation(
        "M156",
        "between arguments `,` is expected, or `)` at the end, not {found}",
        "is a comma or an operator missing?",
    ),
    "postfix: postfix ( arguments ,": Expectation(
        "M157",
        "after the comma another argument is expected, not {found}",
        "write it, or close with `)`",
    ),
    "argument: expression =": Expectation(
        "M158", "after `=` the value of the argument is expected, not {found}", "write its value"
    ),
    "argument: expression ~": Expectation(
        "M159",
        "after `~` the prior of the argument is expected, not {found}",
        "for example `lengthscale ~ LogNormal(0, 1)`",
    ),
    # --- lookups and coordinates ---
    "postfix: postfix [": Expectation(
        "M160",
        "inside brackets a label or an index is expected, not {found}",
        'for example `a[county]`, `b["Texas"]` or `y[t - 1]`',
    ),
    "postfix: postfix [ items": Expectation(
        "M161",
        "between labels `,` is expected, or `]` at the end, not {found}",
        "for example `by_cell[age, edu]`",
    ),
    "items: items ,": Expectation(
        "M162",
        "after the comma another label is expected, not {found}",
        "write it, or close with `]`",
    ),
    "postfix: postfix .": Expectation(
        "M163",
        "after `.` the name of a coordinate is expected, not {found}",
        "for example `z.time`",
    ),
    # --- parentheses ---
    "atom: (": Expectation(
        "M164", "inside the parentheses an expression is expected, not {found}", "write one"
    ),
    "atom: ( expression": Expectation(
        "M165",
        "`)` is expected here, not {found}",
        "is an operator missing, or the `)`?",
    ),
    "field: NAME": Expectation(
        "M175",
        "each coordinate of a point needs its value: {found} stands where `=` is expected",
        "for example `(u = 1, v = 2)`",
    ),
    "field: NAME =": Expectation(
        "M166",
        "after `=` the value of the coordinate is expected, not {found}",
        "for example `(u = 1, v = 2)`",
    ),
    "atom: ( fields": Expectation(
        "M167",
        "between the coordinates of a point `,` is expected, or `)` at the end, not {found}",
        "for example `(u = 1, v = 2)`",
    ),
    "atom: ( fields ,": Expectation(
        "M168",
        "after the comma another coordinate is expected, not {found}",
        "for example `(u = 1, v = 2)`",
    ),
    # --- lists ---
    "list: [": Expectation(
        "M172", "an item of the list is expected, not {found}", "for example `[3, 10]`"
    ),
    "list: [ items": Expectation(
        "M173",
        "between the items of a list `,` is expected, or `]` at the end, not {found}",
        "for example `[3, 10]`",
    ),
    "list: [ items ,": Expectation(
        "M174",
        "after the comma another item is expected, not {found}",
        "write it, or close with `]`",
    ),
}

# Mistakes that are known by the word found as well; "*" is any state.
_CHAIN = Expectation(
    "M191",
    "comparisons do not chain",
    "multiply two of them: `(0 < x) * (x < 1)`",
)
_SHIFT = Expectation(
    "M194",
    "the left side of a declaration only names its indices; {found} cannot stand in them",
    "write `{name}[t] = ...`; the row before is looked up on the right, as `{name}[t - 1]`",
)
_SLICE = Expectation(
    "M195",
    "there are no slices: {found} stands where `,` or `]` is expected",
    "look up by the labels of an index that you declare: `index j = 1..3`, then `x[j]`",
)
_TWO_SIDES = Expectation(
    "M188", "a declaration has one `~` or one `=`; here is another `~`", "write two declarations"
)
_GOES_ON = Expectation(
    "M198",
    "a line cannot begin with {found}: the line before has ended its declaration",
    "to go on over several lines, put the whole expression in parentheses",
)
_EQUAL = Expectation("M187", "a second `=` in one declaration", "did you mean `==`?")
_ARROW = Expectation(
    "M189",
    "`->` stands only between the spaces of an unknown function",
    "for example `f : Real -> Real ~ GP(RBF())`; data are values: `data x[n] : Real`",
)

SPECIAL: dict[tuple[str, str], Expectation] = {
    ("declaration: target", "("): Expectation(
        "M180",
        "a definition with parameters begins with `def`",
        "write `def {name}(...) = ...`; for an unknown function `{name} ~ GP(...)`",
    ),
    ("declaration: target", "<"): Expectation(
        "M181", "`<` cannot follow the name that is declared", "write `=` for a definition"
    ),
    ("declaration: target", "=="): Expectation(
        "M182", "`==` compares; a definition is written `=`", "write `{name} = ...`"
    ),
    ("declaration: target", ","): Expectation(
        "M183", "only `data` declares several names on a line", "write one declaration for each"
    ),
    ("declaration: target", "."): Expectation(
        "M185", "a name that is declared has no dot", "write `{name}_...`, with an underscore"
    ),
    ("declaration: target : signature", "="): Expectation(
        "M186", "a definition takes no space: its expression has one", "write `{name} = ...`"
    ),
    ("line: declaration", ":"): Expectation(
        "M190", "the space of an unknown stands before its `~`", "write `{name} : ... ~ ...`"
    ),
    ("atom: ( expression", ","): Expectation(
        "M192", "the coordinates of a point need their names", "for example `(u = 1, v = 2)`"
    ),
    ("atom: ( expression", "="): Expectation(
        "M193", "`=` cannot stand in this expression", "did you mean `==`?"
    ),
    ("*", ".."): Expectation(
        "M196", "a range stands only where an index is declared", "for example `index k = 1..3`"
    ),
    ("*", "->"): _ARROW,
    ("target: NAME [", "number"): _SHIFT,
    ("target: NAME [ names", "-"): _SHIFT,
    ("target: NAME [ names", "+"): _SHIFT,
    ("postfix: postfix [ items", ":"): _SLICE,
    ("postfix: postfix [ items", ".."): _SLICE,
    **{(f"comparison: sum {a} sum", b): _CHAIN for a in _COMPARE for b in _COMPARE},
    **{("$root_line:", operator): _GOES_ON for operator in (*_COMPARE, *_JOINING)},
    **{("line: declaration", word): e for word, e in (("=", _EQUAL), ("~", _TWO_SIDES))},
}

# Words of other languages, found where an expression is complete.
FOREIGN = {
    "and": "multiply two Bools: `(x > 0) * (y > 0)`",
    "or": "write `1 - (1 - a) * (1 - b)` for Bools `a` and `b`",
    "if": "a Bool is 0 or 1 in arithmetic: `a * (x > 0) + b * (x <= 0)`",
    "in": "look up by label: `a[county]`",
    "for": "an index stands for all its labels: `a[g] ~ ...` makes one for each",
    "where": "a Bool is 0 or 1 in arithmetic: `a * (x > 0) + b * (x <= 0)`",
}
