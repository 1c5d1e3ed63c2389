"""Modules put together into one."""

from __future__ import annotations

import pytest

from belfry.bundle import bundle

LEAF = "/** A leaf. */\nexport const one = 1; // the first\nconst own = 2;\nexport class Two {\n  x = own;\n}\n"


def test_what_a_module_needs_comes_before_it_and_each_comes_once():
    whole = bundle(
        {
            "index.js": "import { middle } from './middle.js';\nexport { one } from './leaf.js';\nexport { middle };\n",
            "middle.js": "import { one } from './leaf.js';\nexport const middle = one + 1;\n",
            "leaf.js": LEAF,
            "other.js": "export const never = 0;\n",
        },
        "index.js",
    )
    assert whole.count("let one=1") == 1
    assert whole.index("let one=1") < whole.index("let middle=one+1") < whole.index("export { one, middle }")
    assert "never" not in whole


def test_a_name_that_two_modules_declare_is_refused():
    index = "import { one } from './leaf.js';\nconst own = one;\nexport { own };\n"
    with pytest.raises(ValueError, match="two modules declare own"):
        bundle({"index.js": index, "leaf.js": LEAF}, "index.js")


def test_comments_and_indentation_go_and_texts_stay():
    text = "const url = 'http://x/*'; // why\n\nexport const f = () => {\n  // a line\n  return `${url} /* a */`;\n};\n"
    whole = bundle({"index.js": text}, "index.js")
    assert "why" not in whole
    assert "a line" not in whole
    assert "'http://x/*'" in whole
    assert "`${url} /* a */`" in whole


def test_true_and_false_are_told_shorter_where_they_are_no_text():
    text = "export const a = (b) => b.c({ d: true }, false) || { e: 'true', f: `[g=true]` };\n"
    assert "let a=(b)=>b.c({d:!0},!1)||{e:'true',f:`[g=true]`};" in bundle({"index.js": text}, "index.js")


def test_no_line_ends_after_a_block():
    text = "export class A {\n  #b = 1;\n  c() {\n    if (this.#b) { d(); }\n    e();\n  }\n\n  f() {}\n}\n"
    assert "class A{#a=1;c(){if(this.#a){d()}e()}f(){}}" in bundle({"index.js": text}, "index.js")


def test_a_sheet_keeps_what_a_space_means():
    sheet = """
@media (hover: none) { a:hover > b, [part=c] :dir(rtl) { margin: -1px calc(2px - 1px) } }
d::before { content: ""; font: 600 11px/18px var(--e, x) }
"""
    whole = bundle({"index.js": f"const CSS = `{sheet}`;\nexport const css = CSS;\n"}, "index.js")
    assert (
        "`@media (hover:none){a:hover > b,[part=c] :dir(rtl){margin:-1px calc(2px - 1px)}}"
        'd::before{content:"";font:600 11px/18px var(--e,x)}`' in whole
    )


def test_what_is_private_and_constants_in_capitals_get_short_names():
    text = """
const MOST = 3;
const KINDS = ['MOST_OF_ALL', MOST];
export class List {
  #all = [...KINDS, `${MOST}`];
  take(to) { return to.ALL || this.#all.slice(0, MOST) || '#fff'; }
}
"""
    whole = bundle({"index.js": text}, "index.js")
    assert "let $a=3;let $b=['MOST_OF_ALL',$a];" in whole
    assert "#a=[...$b,`${$a}`];take(to){return to.ALL||this.#a.slice(0,$a)||'#fff'}" in whole


def test_a_constant_that_is_a_word_of_a_text_too_is_refused():
    with pytest.raises(ValueError, match="cannot tell GET from a text"):
        bundle(
            {"index.js": "const GET = 1;\nexport const f = () => fetch('/', { method: 'GET' }) && GET;\n"}, "index.js"
        )


@pytest.mark.parametrize(
    "form",
    [
        "import x from './leaf.js';",
        "import './leaf.js';",
        "export default 1;",
        "export * from './leaf.js';",
        "export let x = 1;",
        "import { one as two } from './leaf.js';",
        "const { x } = globalThis;",
    ],
)
def test_another_form_is_refused_and_not_served_broken(form: str):
    with pytest.raises(ValueError, match="cannot bundle"):
        bundle({"index.js": f"{form}\n", "leaf.js": LEAF}, "index.js")


def test_modules_that_need_each_other_are_refused():
    modules = {
        "index.js": "import { a } from './a.js';\n",
        "a.js": "import { b } from './index.js';\nexport const a = b;\n",
    }
    with pytest.raises(ValueError, match=r"index\.js -> a\.js -> index\.js"):
        bundle(modules, "index.js")
