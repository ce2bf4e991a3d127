"""Judge grammars and texts with xgrammar and llguidance; needs nothing of this repository.

Reads cases from standard input as JSON, one object `{"key", "kind", "grammar", "texts"}` each, and
prints `{key: {"error": "", "accepted": [...]}}`. `kind` is `structural_tag` or `gbnf` for xgrammar
and `llguidance` for GBNF read by llguidance. A text is accepted when the grammar allows all of it
and allows it to end there. xgrammar imports torch and transformers for masks and vocabularies that
no judgement of a text needs: empty modules take their place where they are missing.
"""

import importlib.util
import json
import sys
import types
from typing import Any

import tvm_ffi  # noqa: F401  # asks whether torch is there, so it comes before the empty modules


class Empty(types.ModuleType):
    """A module whose every name is a class that takes anything."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {"__init__": lambda self, *args, **kwargs: None})


for module in ("torch", "transformers"):
    if importlib.util.find_spec(module) is None:
        sys.modules[module] = Empty(module)

import llguidance  # noqa: E402
import xgrammar  # noqa: E402
from llguidance.gbnf_to_lark import gbnf_to_lark  # noqa: E402

END = 256
VOCABULARY = xgrammar.TokenizerInfo(
    [bytes([code]) for code in range(END)] + [b"<end>"], stop_token_ids=[END]
)
COMPILER = xgrammar.GrammarCompiler(VOCABULARY, max_threads=2)
BYTES = llguidance.LLTokenizer("byte")


def by_xgrammar(kind: str, grammar: Any, texts: list[str]) -> list[bool]:
    if kind == "structural_tag":
        compiled = COMPILER.compile_structural_tag(json.dumps(grammar))
    else:
        compiled = COMPILER.compile_grammar(xgrammar.Grammar.from_ebnf(grammar))
    accepted: list[bool] = []
    for text in texts:
        matcher = xgrammar.GrammarMatcher(compiled)
        accepted.append(matcher.accept_string(text) and matcher.accept_token(END))
    return accepted


def by_llguidance(grammar: str, texts: list[str]) -> list[bool]:
    source = llguidance.LLMatcher.grammar_from_lark(gbnf_to_lark(grammar))
    accepted: list[bool] = []
    for text in texts:
        matcher = llguidance.LLMatcher(BYTES, source)
        if matcher.is_error():
            raise ValueError(matcher.get_error())
        tokens = list(text.encode("utf-8"))
        accepted.append(
            matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()
        )
    return accepted


def judged(case: dict[str, Any]) -> dict[str, Any]:
    try:
        if case["kind"] == "llguidance":
            accepted = by_llguidance(case["grammar"], case["texts"])
        else:
            accepted = by_xgrammar(case["kind"], case["grammar"], case["texts"])
    except Exception as error:  # noqa: BLE001  # whatever an engine raises is its verdict
        return {"error": f"{type(error).__name__}: {error}", "accepted": []}
    return {"error": "", "accepted": accepted}


json.dump({case["key"]: judged(case) for case in json.load(sys.stdin)}, sys.stdout)
