# SPDX-License-Identifier: GPL-3.0-or-later
"""Every source file names its licence: Apache-2.0 below workers/, the collection's elsewhere."""

from __future__ import annotations

import re

from tests.run.stage import ROOT, known_files

SOURCE = re.compile(r"\.(py|ya?ml)$|^(bootstrap|\.ci/run|scripts/.+)$")
# Written by tools (changelogs), or data that tests read as it is.
DATA = re.compile(r"^changelogs/|/fixtures/|/golden/")
NAMED = re.compile(r"^# SPDX-License-Identifier: (\S+)$", re.MULTILINE)


def test_every_source_file_names_its_licence() -> None:
    files = [name for name in known_files() if SOURCE.search(name) and not DATA.search(name)]
    assert len(files) > 300
    wrong = []
    for name in files:
        head = (ROOT / name).read_text()[:600]
        wanted = "Apache-2.0" if name.startswith("workers/") else "GPL-3.0-or-later"
        if head and NAMED.findall(head) != [wanted]:
            wrong.append(f"{name}: {NAMED.findall(head) or 'none'}, wanted {wanted}")
    assert not wrong, "\n".join(wrong)
