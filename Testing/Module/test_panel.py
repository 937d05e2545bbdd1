"""The panel, as a person uses it."""

import sys

import pytest

PASSWORD = "correct horse"


@pytest.fixture(scope="session")
def key_file(tmp_path_factory):
    from MedWatermarkLib.account import create_key_file

    path = tmp_path_factory.mktemp("keys") / "doctor.json"
    create_key_file(path, PASSWORD, iterations=2)
    return path


@pytest.fixture
def ready(panel, self_test, key_file):
    """The panel with everything that marking needs."""
    choices = panel._parameterNode
    choices.inputVolume = self_test.phantom()
    choices.keyFile = str(key_file)
    choices.restorationFile = str(self_test.record)
    type_text(panel.ui.diagnosisTextEdit, self_test.DIAGNOSIS)
    return panel


def type_text(widget, text):
    from PySide6.QtTest import QTest

    QTest.keyClicks(widget, text)


def give_password(password):
    def reply(dialog):
        dialog.setTextValue(password)
        dialog.accept()

    return reply


def embed(panel, answer, click):
    answer(give_password(PASSWORD))
    click(panel.ui.embedButton)
    return panel._parameterNode.inputVolume


def test_an_empty_scene_asks_for_a_volume(panel):
    for button in (panel.ui.embedButton, panel.ui.extractButton, panel.ui.restoreButton):
        assert not button.enabled
        assert button.toolTip == "Choose a volume."


def test_the_first_scan_is_chosen_and_label_maps_are_not_offered(host, panel, self_test):
    import slicer

    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Labels")
    scan = self_test.phantom()
    assert panel.ui.inputSelector.nodeCount() == 1
    assert panel._parameterNode.inputVolume is scan


def test_each_choice_brings_embed_nearer(panel, self_test, key_file):
    button = panel.ui.embedButton
    choices = panel._parameterNode
    choices.inputVolume = self_test.phantom()
    assert button.toolTip.startswith("Write the diagnosis")
    type_text(panel.ui.diagnosisTextEdit, "No haemorrhage.")
    assert button.toolTip.startswith("Choose the key file")
    panel.ui.keyFilePathLineEdit.setCurrentPath(str(key_file))
    assert button.toolTip.startswith("Choose where the restoration record")
    panel.ui.restorationPathLineEdit.setCurrentPath(str(self_test.record.parent / "no" / "file"))
    assert button.toolTip.startswith("The folder of the restoration record")
    panel.ui.restorationPathLineEdit.setCurrentPath(str(key_file))
    assert button.toolTip.startswith("The restoration record exists")
    panel.ui.restorationPathLineEdit.setCurrentPath(str(self_test.record))
    assert button.enabled
    choices.outputVolume = choices.inputVolume
    assert button.toolTip.startswith("Choose an output volume other")


def test_a_volume_without_voxels_can_do_nothing(panel):
    import slicer

    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Empty")
    assert panel.ui.extractButton.toolTip == "The chosen volume has no voxels."
    assert not panel.ui.extractButton.enabled


def test_typing_a_diagnosis_goes_forward(panel):
    type_text(panel.ui.diagnosisTextEdit, "Acute infarct")
    assert panel._parameterNode.diagnosis == "Acute infarct"
    assert panel.ui.diagnosisTextEdit.plainText == "Acute infarct"


def test_a_scan_is_marked_read_and_restored_by_three_clicks(ready, answer, self_test, click):
    import slicer

    scan = ready._parameterNode.inputVolume
    marked = embed(ready, answer, click)
    assert marked is not scan
    assert self_test.record.is_file()
    assert ready.ui.headlineLabel.text.startswith("The scan was marked: Head marked.")

    click(ready.ui.extractButton)
    assert ready.ui.claimDiagnosisTextEdit.plainText == self_test.DIAGNOSIS
    assert ready.ui.claimSignerLineEdit.text == marked.GetAttribute("MedWatermark.Signer")
    assert ready.ui.headlineLabel.text.startswith("A claim was read.")

    click(ready.ui.restoreButton)
    restored = slicer.util.getNode("Head marked restored")
    voxels = slicer.util.arrayFromVolume(restored)
    assert voxels.tobytes() == slicer.util.arrayFromVolume(scan).tobytes()


def test_the_qr_code_that_is_shown_can_be_scanned(ready, answer, click, tmp_path):
    from PIL import Image

    from MedWatermarkLib import qr

    marked = embed(ready, answer, click)
    click(ready.ui.extractButton)
    assert ready.ui.qrLabel.pixmap.save(str(tmp_path / "shown.png"))
    shown = qr.decode(Image.open(tmp_path / "shown.png"))
    assert shown == marked.GetAttribute("MedWatermark.Claim").encode()


def test_a_scan_without_a_mark_says_so(panel, self_test, click):
    panel._parameterNode.inputVolume = self_test.phantom()
    click(panel.ui.extractButton)
    assert panel.ui.headlineLabel.text == "No public mark was found in this scan."
    assert not panel.ui.claimWidget.visible


def test_cancelling_the_password_does_nothing(ready, answer, self_test, click):
    import slicer

    before = slicer.mrmlScene.GetNumberOfNodes()
    answer(lambda dialog: dialog.reject())
    click(ready.ui.embedButton)
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    assert not self_test.record.exists()


def test_cancelling_the_marking_changes_nothing(ready, answer, self_test, click):
    import slicer

    scan = ready._parameterNode.inputVolume
    before = slicer.mrmlScene.GetNumberOfNodes()

    def give_password_and_cancel(dialog):
        answer(lambda progress: progress.cancel())
        give_password(PASSWORD)(dialog)

    answer(give_password_and_cancel)
    click(ready.ui.embedButton)
    assert ready.ui.headlineLabel.text == "Cancelled; nothing was changed."
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    assert ready._parameterNode.inputVolume is scan
    assert not self_test.record.exists()


def test_a_wrong_password_is_shown_and_changes_nothing(
    ready, answer, self_test, slot_errors, click
):
    import slicer

    from MedWatermarkLib.account import WrongPasswordError

    before = slicer.mrmlScene.GetNumberOfNodes()
    shown = []

    def wrong_password(dialog):
        give_password("wrong")(dialog)
        answer(lambda box: (shown.append(box.text), box.accept()))

    answer(wrong_password)
    click(ready.ui.embedButton)
    assert shown[0].startswith("The scan was not marked.")
    assert "password" in shown[0]
    assert "wrong" not in shown[0]
    assert [type(error) for error in slot_errors] == [WrongPasswordError]
    slot_errors.clear()
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    assert not self_test.record.exists()


def test_the_prompt_hides_the_password_and_no_node_keeps_it(ready, answer, click):
    import qt
    import slicer

    echo = []

    def reply(dialog):
        echo.append(dialog.textEchoMode())
        give_password(PASSWORD)(dialog)

    answer(reply)
    click(ready.ui.embedButton)
    assert echo == [qt.QLineEdit.Password]
    slicer.mrmlScene.SetSaveToXMLString(1)
    slicer.mrmlScene.Commit()
    slicer.mrmlScene.SetSaveToXMLString(0)
    scene = slicer.mrmlScene.GetSceneXMLString()
    assert "MedWatermark.Claim" in scene
    assert PASSWORD not in scene


def test_choices_are_saved_with_the_scene(ready, tmp_path):
    import slicer

    choices = ready._parameterNode
    chosen = choices.diagnosis, choices.keyFile, choices.restorationFile
    slicer.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
    slicer.mrmlScene.Commit()
    slicer.mrmlScene.Clear()
    assert ready.ui.diagnosisTextEdit.plainText == ""
    slicer.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
    slicer.mrmlScene.Connect()
    ready.initializeParameterNode()
    choices = ready._parameterNode
    assert (choices.diagnosis, choices.keyFile, choices.restorationFile) == chosen
    assert ready.ui.diagnosisTextEdit.plainText == chosen[0]


def test_closing_the_scene_empties_the_panel(ready):
    import slicer

    slicer.mrmlScene.Clear()
    assert ready.ui.inputSelector.currentNode() is None
    assert ready.ui.diagnosisTextEdit.plainText == ""
    assert ready.ui.embedButton.toolTip == "Choose a volume."


def test_a_panel_that_was_left_does_not_follow_the_scene(module, ready):
    import slicer

    representation = module.widgetRepresentation()
    representation.exit()
    slicer.mrmlScene.Clear()
    assert ready._parameterNode is None
    representation.enter()
    assert ready._parameterNode is not None


def test_reload_takes_module_and_library_anew(ready, monkeypatch):
    import slicer

    import MedWatermarkLib.volume as library

    for name in list(sys.modules):
        if name.partition(".")[0] == "MedWatermarkLib":
            monkeypatch.setitem(sys.modules, name, sys.modules[name])
    old_class = type(ready)
    ready.onReload()
    reloaded = slicer.modules.MedWatermarkWidget
    assert type(reloaded) is not old_class
    assert ready._parameterNode is None
    assert reloaded.ui.diagnosisTextEdit.plainText == reloaded._parameterNode.diagnosis != ""
    import MedWatermarkLib.volume as reloaded_library

    assert sys.modules["MedWatermarkLib.volume"] is not library
    assert reloaded_library.Volume is not library.Volume
