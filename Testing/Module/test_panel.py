"""The panel, as a person uses it."""

import sys
from pathlib import Path

import pytest
from clinic import DIAGNOSIS, PASSWORD


@pytest.fixture
def ready(panel, phantom, key_file, record):
    """The panel with everything that marking needs."""
    choices = panel.parameters
    choices.inputVolume = phantom.ct()
    choices.keyFile = str(key_file)
    choices.restorationFile = str(record)
    type_text(panel.ui.diagnosisTextEdit, DIAGNOSIS)
    return panel


@pytest.fixture
def plain(phantom):
    """A scan without a mark, small, since all of it is searched for one."""
    import slicer

    scan = phantom.ct()
    voxels = slicer.util.arrayFromVolume(scan)
    slicer.util.updateVolumeFromArray(scan, voxels[:2, ::4, ::4].copy())
    return scan


@pytest.fixture
def embed(ready, answer, click, finish):
    """``embed()``: click, give the password, wait; the marked node."""

    def click_and_wait():
        answer(give_password(PASSWORD))
        click(ready.ui.embedButton)
        finish()
        return ready.parameters.receivedVolume

    return click_and_wait


def type_text(widget, text):
    from PySide6.QtTest import QTest

    QTest.keyClicks(widget, text)


def give_password(password):
    def reply(dialog):
        dialog.setTextValue(password)
        dialog.accept()

    return reply


def buttons(panel):
    return panel.ui.embedButton, panel.ui.verifyButton, panel.ui.restoreButton


def test_an_empty_scene_asks_for_a_volume(panel):
    for button in buttons(panel):
        assert not button.enabled
        assert button.toolTip == "Choose a volume."


def test_the_first_scan_is_chosen_and_label_maps_are_not_offered(host, panel, phantom):
    import slicer

    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Labels")
    scan = phantom.ct()
    for selector in (panel.ui.inputSelector, panel.ui.receivedSelector):
        assert selector.nodeCount() == 1
        assert selector.currentNode() is scan


def test_of_two_scans_of_one_name_the_one_that_a_person_chose_is_taken(panel, phantom):
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    first, second = phantom.ct(), phantom.ct()
    second.SetName(first.GetName())
    panel.exit()
    panel.enter()
    assert panel.parameters.inputVolume is first
    QTest.keyClick(panel.ui.inputSelector._combo, Qt.Key.Key_Down)
    assert panel.ui.inputSelector.currentNode() is second
    assert panel.parameters.inputVolume is second


def test_a_scan_that_was_chosen_and_is_removed_gives_its_memory_back(panel, phantom):
    import gc

    import slicer

    scan, gone = phantom.ct(), []
    assert panel.parameters.inputVolume is scan
    scan.AddObserver("DeleteEvent", lambda caller, event: gone.append(True))
    slicer.mrmlScene.RemoveNode(scan)
    del scan
    gc.collect()
    assert gone


def test_each_choice_brings_embed_nearer(panel, phantom, key_file, record):
    button = panel.ui.embedButton
    choices = panel.parameters
    choices.inputVolume = phantom.ct()
    assert button.toolTip.startswith("Write the diagnosis")
    type_text(panel.ui.diagnosisTextEdit, "No haemorrhage.")
    assert button.toolTip.startswith("Choose the key file")
    panel.ui.keyFilePathLineEdit.setCurrentPath(str(key_file))
    assert button.toolTip.startswith("Choose where the restoration record")
    panel.ui.restorationPathLineEdit.setCurrentPath(str(record.parent / "no" / "file"))
    assert button.toolTip.startswith("The folder of file")
    panel.ui.restorationPathLineEdit.setCurrentPath(str(key_file))
    assert button.toolTip.startswith("The restoration record exists")
    panel.ui.restorationPathLineEdit.setCurrentPath(str(record))
    assert button.enabled
    choices.outputVolume = choices.inputVolume
    assert button.toolTip.startswith("Choose an output volume other")


def test_files_that_are_not_there_are_named_before_verifying(panel, phantom, record):
    panel.parameters.receivedVolume = phantom.ct()
    assert panel.ui.verifyButton.enabled
    assert panel.ui.restoreButton.toolTip.startswith("Choose the restoration record")
    panel.ui.ledgerPathLineEdit.setCurrentPath(str(record.parent / "ledger.toml"))
    assert panel.ui.verifyButton.toolTip.endswith("ledger.toml.")
    assert not panel.ui.verifyButton.enabled
    assert panel.ui.showAlterationsButton.toolTip == "Verify the scan first."
    panel.ui.ledgerPathLineEdit.setCurrentPath("")
    assert panel.parameters.ledgerFile == ""
    assert panel.ui.verifyButton.enabled


def test_that_no_name_is_drawn_in_is_said_of_one_scan_and_not_of_the_next(panel, phantom):
    panel.parameters.sharedVolume = phantom.ct()
    panel.ui.pixelsCheckedCheckBox.checked = True
    panel.exit()
    panel.enter()
    assert panel.parameters.pixelsChecked
    panel.parameters.sharedVolume = phantom.mr()
    assert not panel.parameters.pixelsChecked
    assert not panel.ui.pixelsCheckedCheckBox.checked


def test_paths_that_were_used_are_offered_again(panel, tmp_path):
    names = {each: tmp_path / each for each in ("ledgerFile", "accountFile", "exchangesFolder")}
    for _ in range(2):
        for name, path in names.items():
            setattr(panel.parameters, name, str(path))
        panel.section("Connection").connection()
        for name, path in names.items():
            assert getattr(panel.parameters, name) == str(path)
            setattr(panel.parameters, name, "")
    history = panel.ui.ledgerPathLineEdit.comboBox()
    texts = [history.itemText(index) for index in range(history.count())]
    assert texts[0] == str(names["ledgerFile"])
    assert texts.count(texts[0]) == 1


def test_a_strength_is_said_in_units_of_the_scan(panel):
    assert "1.5 HU on average, and no voxel by more than 11 HU" in panel.ui.strengthLabel.text
    panel.ui.strengthSpinBox.value = 2
    assert panel.parameters.strength == 2
    assert panel.ui.strengthLabel.text.startswith("2 on average, and no voxel by more than 14")
    panel.ui.strengthSpinBox.value = -1
    assert panel.parameters.strength == 0
    assert panel.ui.strengthSpinBox.text == "As suits the scan"


def test_a_volume_without_voxels_can_do_nothing(panel):
    import slicer

    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Empty")
    assert panel.ui.verifyButton.toolTip == "The chosen volume has no voxels."
    assert not panel.ui.verifyButton.enabled


def test_typing_a_diagnosis_goes_forward(panel):
    type_text(panel.ui.diagnosisTextEdit, "Acute infarct")
    assert panel.parameters.diagnosis == "Acute infarct"
    assert panel.ui.diagnosisTextEdit.plainText == "Acute infarct"


def test_while_something_runs_nothing_else_can_be_started(ready, answer, click, finish):
    answer(give_password(PASSWORD))
    click(ready.ui.embedButton)
    for button in buttons(ready)[:2]:
        assert not button.enabled
        assert button.toolTip == "Wait for what is running, or cancel it."
    assert ready.ui.cancelButton.enabled
    assert not ready.ui.taskWidget.isHidden()
    finish()
    assert ready.ui.taskWidget.isHidden()
    assert ready.ui.verifyButton.enabled


def test_qr_codes_that_are_shown_can_be_scanned(ready, embed, click, finish, tmp_path):
    from PIL import Image

    from MedWatermarkLib import qr

    marked = embed()
    click(ready.ui.verifyButton)
    finish()
    for label in (ready.ui.markedQRLabel, ready.ui.readQRLabel):
        assert label.pixmap.save(str(tmp_path / "shown.png"))
        shown = qr.decode(Image.open(tmp_path / "shown.png"))
        assert shown == marked.GetAttribute("MedWatermark.Claim").encode()


def test_a_scan_without_a_mark_says_so(panel, plain, click, finish):
    panel.parameters.receivedVolume = plain
    click(panel.ui.verifyButton)
    finish()
    assert panel.ui.headlineLabel.text.startswith("Do not rely on this scan")
    assert panel.ui.checkIcon1.toolTip == "failed"
    assert panel.ui.claimWidget.isHidden()
    assert panel.ui.readQRLabel.isHidden()
    assert panel.ui.showAlterationsButton.toolTip == "Nothing tells where the scan was altered."


def test_a_verdict_goes_when_another_scan_is_chosen(panel, phantom, plain, click, finish):
    panel.parameters.receivedVolume = plain
    click(panel.ui.verifyButton)
    finish()
    assert not panel.ui.verdictWidget.isHidden()
    panel.parameters.receivedVolume = phantom.mr()
    assert panel.ui.verdictWidget.isHidden()


def test_a_verdict_is_still_there_when_the_panel_is_entered_again(
    module, panel, plain, click, finish
):
    import slicer

    panel.parameters.receivedVolume = plain
    click(panel.ui.verifyButton)
    representation = module.widgetRepresentation()
    representation.exit()
    finish()
    representation.enter()
    assert not panel.ui.verdictWidget.isHidden()
    representation.exit()
    slicer.mrmlScene.RemoveNode(plain)
    representation.enter()
    assert panel.ui.verdictWidget.isHidden()


def test_cancelling_the_password_does_nothing(ready, answer, record, click):
    import slicer

    before = slicer.mrmlScene.GetNumberOfNodes()
    answer(lambda dialog: dialog.reject())
    click(ready.ui.embedButton)
    assert not ready.isRunning()
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    assert not record.exists()


def test_cancelling_the_marking_changes_nothing(ready, answer, record, click, finish):
    import slicer

    scan = ready.parameters.inputVolume
    before = slicer.mrmlScene.GetNumberOfNodes()
    answer(give_password(PASSWORD))
    click(ready.ui.embedButton)
    click(ready.ui.cancelButton)
    assert ready.ui.taskLabel.text == "Cancelling"
    finish()
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    assert ready.parameters.receivedVolume is scan
    assert not record.exists()
    assert ready.ui.embedButton.enabled


def test_a_wrong_password_is_shown_and_changes_nothing(
    ready, answer, record, slot_errors, click, finish
):
    import slicer

    before = slicer.mrmlScene.GetNumberOfNodes()
    shown = []
    answer(give_password("wrong"))
    click(ready.ui.embedButton)
    answer(lambda box: (shown.append(box.text), box.accept()))
    finish()
    assert shown[0].startswith("The scan was not marked.")
    assert "password" in shown[0]
    assert "wrong" not in shown[0]
    assert [error.kind for error in slot_errors] == ["WrongPasswordError"]
    slot_errors.clear()
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    assert not record.exists()


def test_the_prompt_hides_the_password_and_no_node_keeps_it(ready, answer, click, finish):
    import qt
    import slicer

    echo = []

    def reply(dialog):
        echo.append(dialog.textEchoMode())
        give_password(PASSWORD)(dialog)

    answer(reply)
    click(ready.ui.embedButton)
    finish()
    assert echo == [qt.QLineEdit.Password]
    slicer.mrmlScene.SetSaveToXMLString(1)
    slicer.mrmlScene.Commit()
    slicer.mrmlScene.SetSaveToXMLString(0)
    scene = slicer.mrmlScene.GetSceneXMLString()
    assert "MedWatermark.Claim" in scene
    assert PASSWORD not in scene


def test_choices_are_saved_with_the_scene(ready, tmp_path):
    import slicer

    choices = ready.parameters
    chosen = choices.diagnosis, choices.keyFile, choices.restorationFile
    slicer.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
    slicer.mrmlScene.Commit()
    slicer.mrmlScene.Clear()
    assert ready.ui.diagnosisTextEdit.plainText == ""
    slicer.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
    slicer.mrmlScene.Connect()
    ready.initializeParameterNode()
    choices = ready.parameters
    assert (choices.diagnosis, choices.keyFile, choices.restorationFile) == chosen
    assert ready.ui.diagnosisTextEdit.plainText == chosen[0]


def test_a_practice_ledger_ends_with_the_scene_and_can_be_cancelled(panel, key_file, click, finish):
    import slicer

    button = panel.ui.practiceButton
    assert button.toolTip.startswith("Choose the key file of your account")
    panel.parameters.accountFile = str(key_file)
    click(button)
    panel.ui.cancelButton.click()
    finish()
    assert button.enabled, button.toolTip
    assert not panel.parameters.ledgerFile

    click(button)
    finish()
    ledger = Path(panel.parameters.ledgerFile)
    assert ledger.is_file()
    assert button.toolTip.startswith("The practice ledger is running")
    slicer.mrmlScene.Clear()
    assert not ledger.exists()
    assert panel.ui.practiceLabel.isHidden()


def test_closing_the_scene_ends_what_runs_and_empties_the_panel(ready, answer, click, record):
    import slicer

    answer(give_password(PASSWORD))
    click(ready.ui.embedButton)
    slicer.mrmlScene.Clear()
    assert not ready.isRunning()
    assert not record.exists()
    assert ready.ui.inputSelector.currentNode() is None
    assert ready.ui.diagnosisTextEdit.plainText == ""
    assert ready.ui.embedButton.toolTip == "Choose a volume."


def test_a_panel_that_was_left_does_not_follow_the_scene_but_ends_its_work(
    module, ready, answer, click, finish, record
):
    import slicer

    answer(give_password(PASSWORD))
    click(ready.ui.embedButton)
    representation = module.widgetRepresentation()
    representation.exit()
    assert ready.parameters is None
    finish()
    assert record.is_file()
    assert slicer.util.getNode("Head CT marked")
    slicer.mrmlScene.Clear()
    assert ready.parameters is None
    representation.enter()
    assert ready.parameters is not None


def test_the_difference_is_in_the_scene_only_while_it_is_shown(ready, embed):
    import slicer

    embed()
    before = slicer.mrmlScene.GetNumberOfNodes()
    ready.ui.showDifferenceButton.checked = True
    difference = slicer.util.getNode("Head CT marked minus original")
    voxels = slicer.util.arrayFromVolume(difference)
    assert 0 < abs(voxels).max() <= 11
    assert not difference.GetSaveWithScene()
    ready.ui.showOriginalButton.checked = True
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_reload_takes_module_and_library_anew(ready, monkeypatch):
    import slicer

    import MedWatermarkLib.volume as library

    for name in list(sys.modules):
        if name.partition(".")[0] == "MedWatermarkLib":
            monkeypatch.setitem(sys.modules, name, sys.modules[name])
    old_class, old_logic = type(ready), type(ready.logic)
    ready.onReload()
    reloaded = slicer.modules.MedWatermarkWidget
    assert type(reloaded) is not old_class
    assert type(reloaded.logic) is not old_logic
    assert ready.parameters is None
    assert reloaded.ui.diagnosisTextEdit.plainText == reloaded.parameters.diagnosis != ""
    import MedWatermarkLib.volume as reloaded_library

    assert sys.modules["MedWatermarkLib.volume"] is not library
    assert reloaded_library.Volume is not library.Volume
