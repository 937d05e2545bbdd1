"""The examples of the documentation, as they stand there."""

import re
from pathlib import Path

from clinic import PASSWORD

REPOSITORY = Path(__file__).parents[2]


def test_the_example_for_scripts_runs(phantom, key_file, tmp_path, monkeypatch):
    import slicer

    slicer.mrmlScene.Clear()
    phantom.ct()
    monkeypatch.chdir(tmp_path)
    Path("doctor.json").write_bytes(key_file.read_bytes())
    text = (REPOSITORY / "Docs" / "slicer.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names = {"getNode": slicer.util.getNode}
    exec(example.replace('"password"', repr(PASSWORD)), names)
    assert names["verification"].facts["checks"][4]["outcome"] == "passed"
    assert names["restored"].node.GetName() == "Head CT marked restored"
    slicer.mrmlScene.Clear()
