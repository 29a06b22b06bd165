"""The page's modules as texts: what they import, what they must not do, their words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import PurePosixPath

import pytest

from lenet.lab.export.bundle import WEB, bundle, in_order, modules

FILES = {
    path.relative_to(WEB).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(WEB.rglob("*.js"))
    if "vendor" not in path.parts
}
# The dictionaries, and the modules that use their words.
WORDS = {
    "shell": ("shell", "main", "backend"),
    "explore": ("explore",),
    "backward": ("explore",),
    "input": ("explore",),
    "sides": ("explore",),
    "lessons": ("explore",),
    "learn": ("learn", "shared", "compare"),
    "compare": ("compare", "shared"),
    "playground": ("playground",),
}


def without_comments(text: str) -> str:
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.S)


def test_modules_keep_to_the_rules() -> None:
    wrong = [f"{name}: {fault}" for name, text in FILES.items() for fault in faults(name, text)]
    assert wrong == []


def faults(name: str, text: str) -> Iterator[str]:
    code = without_comments(text)
    folder = PurePosixPath(name).parent
    for imported in re.findall(r'^(?:import|\}).*?"([^"]*)";$', code, re.M):
        path = str(folder / imported) if imported[0] == "." else imported.removeprefix("lenet/")
        if not (WEB / path).is_file():
            yield f"imports {imported}, which is not there"
        # only a worker's modules are found by their place: it knows no import map
        if not imported.startswith("./" if name.startswith("network/") else "lenet/"):
            yield f"imports {imported} by another way than its neighbours"
    for forbidden in ("innerHTML", "eval(", "import(", "import.meta", "console.", "fetch("):
        if forbidden in code and (forbidden, name) != ("fetch(", "backend.js"):
            yield f"has {forbidden}"
    lines = text.splitlines()
    if max(map(len, lines)) > 100 or len(lines) > 400:
        yield "is more than 100 signs wide or 400 lines long"
    # what it is, and what each export is
    if not text.startswith("/**"):
        yield "does not begin with what it is"
    for before, line in pairwise(lines):
        exports = re.match(r"export (default )?(async )?(function|const)", line)
        if exports and not before.endswith("*/"):
            yield f"does not describe {line}"


def test_faults_of_a_module_are_found() -> None:
    text = 'import { a } from "lenet/no.js";\n' + "x" * 101 + "\nexport const b = eval(fetch(1));"
    assert list(faults("learn.js", text)) == [
        "imports lenet/no.js, which is not there",
        "has eval(",
        "has fetch(",
        "is more than 100 signs wide or 400 lines long",
        "does not begin with what it is",
        "does not describe export const b = eval(fetch(1));",
    ]
    assert list(faults("backend.js", "/** It asks. */\nfetch(1); // eval(1)")) == []
    by_place = "/** A layer. */\n" + 'import { a } from "lenet/main.js";'
    assert list(faults("network/layers.js", by_place)) == [
        "imports lenet/main.js by another way than its neighbours"
    ]


def test_every_module_is_used() -> None:
    entries = ["main", "standalone-full", "standalone-lean"]
    entries += ["network/worker", "network/training-worker"]
    used = set().union(*(modules(f"lenet/{entry}.js") for entry in entries))
    unused = {f"lenet/{name}" for name in FILES} - used
    assert unused == set()


def test_modules_come_behind_what_they_import() -> None:
    texts = modules("lenet/main.js")
    names = in_order(texts, "lenet/main.js")
    assert sorted(names) == sorted(texts)
    assert names[-1] == "lenet/main.js"
    assert names.index("lenet/network/layers.js") < names.index("lenet/network/trace.js")
    circle = {"a": 'import { b } from "lenet/b.js";', "lenet/b.js": 'import a from "lenet/c.js";'}
    circle["lenet/c.js"] = 'import { b } from "lenet/b.js";'
    with pytest.raises(ValueError, match=r"lenet/b\.js → lenet/c\.js → lenet/b\.js"):
        in_order(circle, "a")


def test_a_bundle_keeps_every_line_and_its_map_finds_it() -> None:
    texts = {
        "lenet/a.js": 'import two, {\n  one,\n  four as five,\n} from "lenet/b.js";\nsay(one);\n',
        "lenet/b.js": (
            "export const one = 1;\nexport default function two() {}\n"
            "export async function three() {}\nexport function four() {}\n"
        ),
        "lenet/c.js": "",
    }
    script, source_map = bundle(texts, "lenet/a.js")
    assert script.splitlines() == [
        "const $module0 = {};",
        "{",
        "const one = 1;",
        "function two() {}",
        "async function three() {}",
        "function four() {}",
        "Object.assign($module0, { one: one, default: two, three: three, four: four });",
        "}",
        "const $module1 = {};",
        "{",
        "const { default: two,",
        "  one,",
        "  four: five,",
        "} = $module0;",
        "say(one);",
        "Object.assign($module1, {  });",
        "}",
    ]
    found = json.loads(source_map)
    assert found["sources"] == ["/web/b.js", "/web/a.js"]
    # a line's digits: column, source, line, column; the last two against the ones before
    assert found["mappings"] == ";;AAAA;AACA;AACA;AACA;;;;;ACHA;AACA;AACA;AACA;AACA;;"


def dictionary(name: str) -> dict[str, dict[str, str]]:
    """The words of a file of i18n/ by their keys, in English and Chinese."""
    text = FILES[f"i18n/{name}.js"]
    found = {}
    for language in ("en", "zh"):
        start = text.index(f"  {language}: {{")
        part = text[start : text.index("\n  },", start)]
        entry = r'^    "?([\w.-]+)"?:\s*((?:"(?:[^"\\]|\\.)*"(?:\s*\+\s*)?)+)'
        entries = re.findall(entry, part, re.M)
        found[language] = {key: "".join(re.findall(r'"(.*?)"', value)) for key, value in entries}
    return found


@pytest.mark.parametrize("name", WORDS)
def test_every_word_is_there_in_both_languages(name: str) -> None:
    english, chinese = dictionary(name).values()
    assert len(english) > 5
    assert english.keys() == chinese.keys()
    for key, text in english.items():
        assert text.strip(), key
        assert chinese[key].strip(), key
        fields = [set(re.findall(r"\{(\w+)\}", said)) for said in (text, chinese[key])]
        assert fields[0] == fields[1], key


def test_every_word_that_is_used_is_there_and_none_too_many() -> None:
    known = set().union(*(dictionary(name)["en"] for name in WORDS))
    code = "".join(text for name, text in FILES.items() if not name.startswith("i18n/"))
    said = set(re.findall(r'\bt\(\s*"([\w.-]+)"', code))
    assert said <= known
    # said by its key, or by one that is put together: `compare.type.${type}`
    begun = tuple(re.findall(r"`([\w.-]+\.)\$\{", code))
    begun += tuple(f"{group}." for group in re.findall(r'"([\w-]+\.[\w-]+)"', code))
    unused = {key for key in known if f'"{key}"' not in code and not key.startswith(begun)}
    assert unused == set()
