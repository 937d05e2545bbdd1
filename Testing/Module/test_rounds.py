"""What is left after a long day: nodes, observers, secrets in a saved scene."""

import sys
import zipfile

import pytest
from clinic import DIAGNOSIS, PASSWORD

ROUNDS = 10


@pytest.fixture
def observers(host, monkeypatch):
    """``observers()``: how many observers panels have added since, less those taken away."""
    from slicer.util import VTKObservationMixin

    changes = []
    add, remove = VTKObservationMixin.addObserver, VTKObservationMixin.removeObserver

    def count_added(self, thing, event, method, *rest, **options):
        changes.append(not self.hasObserver(thing, event, method))
        return add(self, thing, event, method, *rest, **options)

    def count_removed(self, thing, event, method):
        changes.append(-int(self.hasObserver(thing, event, method)))
        return remove(self, thing, event, method)

    remove_all = VTKObservationMixin.removeObservers

    def count_all_removed(self, *methods):
        changes.append(-len(self.Observations))
        return remove_all(self, *methods)

    monkeypatch.setattr(VTKObservationMixin, "removeObservers", count_all_removed)
    monkeypatch.setattr(VTKObservationMixin, "addObserver", count_added)
    monkeypatch.setattr(VTKObservationMixin, "removeObserver", count_removed)
    return lambda: sum(changes)


def nodes():
    import slicer

    scene = slicer.mrmlScene
    return sorted(scene.GetNthNode(n).GetClassName() for n in range(scene.GetNumberOfNodes()))


def test_closing_reloading_and_entering_leave_no_node_and_no_observer(
    module, panel, phantom, observers, slot_errors, caplog, monkeypatch
):
    import slicer

    for name in list(sys.modules):
        if name.partition(".")[0] == "MedWatermarkLib":
            monkeypatch.setitem(sys.modules, name, sys.modules[name])
    representation = module.widgetRepresentation()
    found = []
    for _ in range(ROUNDS):
        phantom.ct()
        representation.exit()
        representation.enter()
        representation.self().onReload()
        phantom.mr()
        slicer.mrmlScene.Clear()
        found.append((nodes(), observers()))
    assert found[0] == found[-1]
    assert found == [found[0]] * ROUNDS
    assert slot_errors == []
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]


def test_a_saved_scene_holds_no_secret(
    panel, phantom, key_file, record, answer, click, finish, tmp_path
):

    from MedWatermarkLib.account import load_account

    choices = panel.parameters
    choices.inputVolume = phantom.ct()
    choices.keyFile = str(key_file)
    choices.restorationFile = str(record)
    choices.diagnosis = DIAGNOSIS

    def give_password(dialog):
        dialog.setTextValue(PASSWORD)
        dialog.accept()

    answer(give_password)
    click(panel.ui.embedButton)
    finish()
    panel.ui.showDifferenceButton.checked = True
    click(panel.ui.verifyButton)
    finish()
    assert panel.ui.checkIcon5.toolTip == "passed"

    members = saved_scene(tmp_path)
    assert str(key_file).encode() in members["scene"]
    assert_nothing_secret(
        members,
        {
            "key": bytes(load_account(key_file, PASSWORD).key),
            "record": record.read_bytes()[:64],
        },
    )
    assert not [name for name in members if "minus original" in name]


def test_a_scene_that_is_saved_after_a_sale_holds_no_secret_of_either_side(
    module, quick_identities, tmp_path
):
    import slicer

    from MedWatermarkLib.account import load_account
    from MedWatermarkLib.identity_file import load_identity

    test = sys.modules["MedWatermark"].MedWatermarkTest()
    test.setUp()
    try:
        test.test_a_scan_is_sold_and_received_in_the_panel()
        choices = slicer.modules.MedWatermarkWidget.parameters
        keys = {"pseudonymKeyFile": "of pseudonyms alone", "markKeyFile": "of the mark alone"}
        for name, key in keys.items():
            file = test.folder / name
            file.write_text(key)
            setattr(choices, name, str(file))
        secrets = {name: key.encode() for name, key in keys.items()}
        for party in ("hospital", "clinic", "doctor"):
            account = load_account(test.folder / f"{party}.json", PASSWORD)
            secrets[f"key of {party}"] = bytes(account.key)
        for party in ("hospital", "clinic"):
            identity = load_identity(test.folder / f"{party}.age", PASSWORD)
            secrets[f"identity of {party}"] = identity.text.encode()
        secrets["record"] = test.record.read_bytes()[:64]
        members = saved_scene(tmp_path)
    finally:
        test.doCleanups()
        slicer.mrmlScene.Clear()
    for name in ("clinic.json", "clinic.age", "markKeyFile", "Received scan"):
        assert name.encode() in members["scene"]
    assert_nothing_secret(members, secrets)


def saved_scene(folder):
    """Save the scene as .mrb: its files by their names, and the scene itself as "scene"."""
    import slicer

    bundle = folder / "scene.mrb"
    assert slicer.mrmlScene.WriteToMRB(str(bundle))
    with zipfile.ZipFile(bundle) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    [scene] = [content for name, content in members.items() if name.endswith(".mrml")]
    assert b"MedWatermark.Claim" in scene
    return {**members, "scene": scene}


def assert_nothing_secret(members, secrets):
    known = {
        "password": PASSWORD.encode(),
        "key file": b'"ciphertext"',
        "age identity": b"AGE-SECRET-KEY",
        **secrets,
    }
    for name, content in members.items():
        for secret, value in known.items():
            assert value not in content, f"{secret} in {name}"
            assert value.hex().encode() not in content, f"{secret} in {name}"
