"""The page's scripts: which ones a script needs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

WEB: Final = Path(__file__).parents[1] / "page"
# One import a statement, by a name such as "lenet/dom.js", or by one such as "./layers.js" from the
# same folder: tests hold the scripts to it.
IMPORT: Final = re.compile(r'^\s*(?:import .*|\}) from "((?:lenet/|\./)[\w./-]+)";$', re.M)


def modules(entry: str, web: Path = WEB) -> dict[str, str]:
    """The text of a script and of all that it imports, by their names. Raises OSError.

    In the texts every import is by name, ``lenet/…``.
    """
    texts: dict[str, str] = {}
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        if name not in texts:
            text = (web / name.removeprefix("lenet/")).read_text(encoding="utf-8")
            folder = name.rpartition("/")[0]
            for path in IMPORT.findall(text):
                if path.startswith("./"):
                    text = text.replace(f'from "{path}";', f'from "{folder}{path[1:]}";')
            texts[name] = text
            waiting += IMPORT.findall(text)
    return dict(sorted(texts.items()))
