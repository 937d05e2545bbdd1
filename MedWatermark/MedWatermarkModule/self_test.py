# ruff: noqa: PT009, PT027 (Slicer's self-tests use unittest: pytest is not among its packages)
"""The module's self-test: each section as a user works it, and the logic as a script calls it."""

import os
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np
import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleTest

from MedWatermarkModule import dependencies, phantom
from MedWatermarkModule.child import CommandError
from MedWatermarkModule.logic import MedWatermarkLogic, RecordExistsError
from MedWatermarkModule.volumes import CLAIM_ATTRIBUTE, SIGNER_ATTRIBUTE, VolumeNodeError

DIAGNOSIS = "Acute infarct, left MCA territory; no haemorrhage."
PASSWORD = "correct horse"
# The first use on a machine compiles the kernels.
PATIENCE_S = 300


class MedWatermarkTest(ScriptedLoadableModuleTest):
    """Makes its own scans and downloads nothing; runs in Slicer and under pytest alike."""

    def setUp(self):
        if slicer.app.testingEnabled() and (lacking := dependencies.missingPackages()):
            self.skipTest(f"tests install nothing, and these are missing: {', '.join(lacking)}")
        slicer.mrmlScene.Clear()
        phantom.ensureSliceView()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.record = self.folder / "head.restoration"
        # What is kept of the ledger's transactions goes with the folder.
        state = patch.dict(os.environ, XDG_STATE_HOME=str(self.folder / "state"))
        state.start()
        self.addCleanup(state.stop)
        self.logic = MedWatermarkLogic()
        self.logic.installDependencies()
        self.keyFile = self.folder / "doctor.json"
        self.signer = phantom.writeKeyFile(self.keyFile, PASSWORD)

    def runTest(self):
        tests = [name for name in dir(self) if name.startswith("test_")]
        for name in tests:
            self.delayDisplay(name.removeprefix("test_").replace("_", " "))
            try:
                self.setUp()
                getattr(self, name)()
            finally:  # Else a failure would leave Slicer with the test's DICOM database.
                self.doCleanups()
        self.delayDisplay("Test passed")

    # Through the panel

    def test_a_ct_is_signed_verified_and_restored_in_the_panel(self):
        self.signVerifyAndRestore(phantom.ct())

    def test_an_mr_is_signed_verified_and_restored_in_the_panel(self):
        self.signVerifyAndRestore(phantom.mr())

    def test_the_panel_shows_where_a_scan_was_altered(self):
        panel = self.panel()
        scan = phantom.ct()
        marked = self.mark(scan)
        voxels = slicer.util.arrayFromVolume(marked)
        voxels[3, 96:152, 88:144] = 60
        slicer.util.arrayFromVolumeModified(marked)
        panel.parameters.receivedVolume = marked
        self.click(panel, panel.ui.verifyButton)
        self.assertIn("failed", panel.ui.checkIcon4.toolTip)
        self.assertTrue(panel.ui.showAlterationsButton.enabled)
        panel.ui.showAlterationsButton.click()
        (segmentation,) = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
        altered = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "altered", marked)
        self.assertTrue(altered[3, 104:144, 96:136].any())
        offset = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSliceNode").GetSliceOffset()
        self.assertNotEqual(offset, 0)

    def signVerifyAndRestore(self, scan):
        panel = self.panel()
        choices = panel.parameters
        original = slicer.util.arrayFromVolume(scan).copy()
        choices.inputVolume = scan
        panel.ui.diagnosisTextEdit.setPlainText(DIAGNOSIS)
        panel.ui.keyFilePathLineEdit.setCurrentPath(str(self.keyFile))
        panel.ui.restorationPathLineEdit.setCurrentPath(str(self.record))
        self.click(panel, panel.ui.embedButton)
        marked = choices.receivedVolume
        self.assertIsNot(marked, scan)
        self.assertFalse(panel.ui.markedQRLabel.pixmap.isNull())
        self.assertEqual(panel.ui.qualityLabel.toolTip, self.signer)
        for button, shown in (
            (panel.ui.showOriginalButton, scan.GetName()),
            (panel.ui.showDifferenceButton, f"{marked.GetName()} minus original"),
            (panel.ui.showMarkedButton, marked.GetName()),
        ):
            button.checked = True
            self.assertEqual(self.shownName(), shown)

        self.click(panel, panel.ui.verifyButton)
        for number in (1, 2, 5):
            self.assertEqual(getattr(panel.ui, f"checkIcon{number}").toolTip, "passed")
        self.assertEqual(panel.ui.claimDiagnosisTextEdit.plainText, DIAGNOSIS)
        self.assertEqual(panel.ui.claimSignerLineEdit.text, self.signer)
        self.assertFalse(panel.ui.showAlterationsButton.enabled)

        self.click(panel, panel.ui.restoreButton)
        restored = slicer.util.getNode(f"{marked.GetName()} restored")
        self.assertEqual(slicer.util.arrayFromVolume(restored).tobytes(), original.tobytes())
        self.assertEqual(self.shownName(), restored.GetName())

    def test_a_scan_is_sold_and_received_in_the_panel(self):
        panel = self.panel()
        choices = panel.parameters
        parties = self.parties()
        marked = self.mark(phantom.ct())
        original = slicer.util.arrayFromVolume(marked).copy()
        self.become(panel, parties["hospital"])
        self.click(panel, panel.ui.practiceButton)
        self.assertTrue(os.path.isfile(choices.ledgerFile))
        choices.sharedVolume = marked
        self.assertIn("what would leave", panel.ui.shareButton.toolTip)
        self.click(panel, panel.ui.previewButton)
        self.assertTrue(panel.ui.previewTextEdit.plainText)
        choices.recipientKey = parties["clinic"]["key"]
        choices.recipient = parties["clinic"]["address"]
        choices.price = "0.5"
        self.assertIn("0.5 ether", panel.ui.shareWhatLabel.text)
        self.click(panel, panel.ui.shareButton)
        self.assertEqual(panel.ui.exchangesTable.item(0, 1).text(), "offered")

        self.become(panel, parties["clinic"])
        self.click(panel, panel.ui.offersButton)
        self.assertIn("0.5 ether", panel.ui.offersTable.item(0, 0).text())
        self.click(panel, self.step(panel.ui.offersTable, "Accept"))

        self.become(panel, parties["hospital"])
        self.click(panel, panel.ui.refreshExchangesButton)
        self.click(panel, self.step(panel.ui.exchangesTable, "Reveal key"))

        self.become(panel, parties["clinic"])
        self.click(panel, panel.ui.offersButton)
        self.click(panel, self.step(panel.ui.offersTable, "Receive"))
        received = choices.receivedVolume
        self.assertEqual(slicer.util.arrayFromVolume(received).tobytes(), original.tobytes())
        self.assertEqual(received.GetAttribute(SIGNER_ATTRIBUTE), self.signer)
        self.click(panel, panel.ui.verifyButton)
        for number in (1, 2, 3, 4):
            tip = getattr(panel.ui, f"checkIcon{number}").toolTip
            self.assertEqual(tip, "passed", getattr(panel.ui, f"checkLabel{number}").text)

    def test_an_mr_is_given_away_and_received_in_the_panel(self):
        panel = self.panel()
        choices = panel.parameters
        parties = self.parties()
        marked = self.mark(phantom.mr())
        self.become(panel, parties["hospital"])
        self.click(panel, panel.ui.practiceButton)
        choices.sharedVolume = marked
        self.click(panel, panel.ui.previewButton)
        choices.recipientKey = parties["clinic"]["key"]
        self.assertIn("It is free", panel.ui.shareWhatLabel.text)
        self.click(panel, panel.ui.shareButton)

        self.become(panel, parties["clinic"])
        self.click(panel, panel.ui.offersButton)
        self.click(panel, self.step(panel.ui.offersTable, "Receive"))
        received = slicer.util.arrayFromVolume(choices.receivedVolume)
        np.testing.assert_array_equal(received, slicer.util.arrayFromVolume(marked))
        self.verifyPackage(panel, os.path.dirname(choices.leavesFile))

    def test_a_scan_from_dicom_is_shared_and_exported_as_dicom_in_the_panel(self):
        panel = self.panel()
        choices = panel.parameters
        choices.inputVolume = self.scanFromDICOM()
        choices.diagnosis, choices.keyFile = DIAGNOSIS, str(self.keyFile)
        choices.restorationFile = str(self.record)
        self.click(panel, panel.ui.embedButton)
        marked = choices.receivedVolume
        voxels = slicer.util.arrayFromVolume(marked).copy()

        panel.askFolder = lambda title: str(self.folder)
        self.addCleanup(delattr, panel, "askFolder")
        self.click(panel, panel.ui.exportButton)
        (exported,) = self.folder.glob("marked-*")
        again = phantom.readDICOM(exported)
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(again), voxels)
        facts = self.logic.verify(again, record=self.record).wait().facts
        self.assertEqual(facts["checks"][4]["outcome"], "passed")

        parties = self.parties()
        self.become(panel, parties["hospital"])
        self.click(panel, panel.ui.practiceButton)
        choices.sharedVolume = marked
        panel.ui.keepDeviceCheckBox.checked = True
        self.click(panel, panel.ui.previewButton)
        told = panel.ui.previewTextEdit.plainText
        self.assertIn("leaves as DICOM", told)
        self.assertIn("Retain Device Identity Option", told)
        self.assertIn("StationName: kept", told)
        choices.recipientKey = parties["clinic"]["key"]
        self.click(panel, panel.ui.shareButton)

        self.become(panel, parties["clinic"])
        self.click(panel, panel.ui.offersButton)
        self.click(panel, self.step(panel.ui.offersTable, "Receive"))
        received = slicer.util.arrayFromVolume(choices.receivedVolume)
        np.testing.assert_array_equal(received, voxels)
        package = os.path.dirname(choices.leavesFile)
        files = list(Path(package).rglob("*.dcm"))
        self.assertEqual(len(files), len(voxels))
        for file in files:
            self.assertNotIn(b"Roentgen", file.read_bytes())
        self.verifyPackage(panel, os.path.join(package, "manifest.json"))

    def scanFromDICOM(self):
        """A CT of a patient, whose files Slicer's DICOM database has as long as the test lasts."""
        from DICOMLib.DICOMUtils import TemporaryDICOMDatabase, importDicom

        series = self.folder / "series"
        phantom.writeDICOM(phantom.ct(), series, "Roentgen^Anna")
        database = TemporaryDICOMDatabase(str(self.folder / "database"))
        database.__enter__()
        self.addCleanup(database.__exit__, None, None, None)
        importDicom(str(series))
        return phantom.readDICOM(series)

    def verifyPackage(self, panel, package):
        """Choose a package, click Verify, and have its scan loaded and checked."""
        choices = panel.parameters
        slicer.mrmlScene.RemoveNode(choices.receivedVolume)
        choices.leavesFile = ""
        choices.packageFile = str(package)
        self.click(panel, panel.ui.verifyButton)
        self.assertEqual(choices.packageFile, "")
        self.assertEqual(choices.receivedVolume.GetAttribute(SIGNER_ATTRIBUTE), self.signer)
        self.assertEqual(self.shownName(), choices.receivedVolume.GetName())
        for number in (1, 2, 3, 4):
            tip = getattr(panel.ui, f"checkIcon{number}").toolTip
            self.assertEqual(tip, "passed", getattr(panel.ui, f"checkLabel{number}").text)

    def parties(self):
        """A hospital and a clinic: files and addresses of each."""
        (self.folder / "store").mkdir()
        parties = {}
        for name in ("hospital", "clinic"):
            (self.folder / name).mkdir()
            account, identity = (self.folder / f"{name}{suffix}" for suffix in (".json", ".age"))
            parties[name] = {
                "account": str(account),
                "address": phantom.writeKeyFile(account, PASSWORD),
                "identity": str(identity),
                "key": phantom.writeIdentity(identity, PASSWORD),
                "folder": str(self.folder / name),
            }
        return parties

    def become(self, panel, party):
        """Go on as the other party, which would sit at another computer."""
        choices = panel.parameters
        choices.accountFile = party["account"]
        choices.identityFile = party["identity"]
        choices.exchangesFolder = party["folder"]
        choices.store = str(self.folder / "store")

    def step(self, table, text):
        """The button of this step in the table's first row."""
        button = table.cellWidget(0, 2)
        self.assertEqual(button.text, text)
        return button

    # By script

    def test_a_scan_is_restored_bit_for_bit(self):
        for dtype in (np.int16, np.float32):
            scan = phantom.ct(dtype)
            original = slicer.util.arrayFromVolume(scan).copy()
            marked = self.mark(scan)
            np.testing.assert_array_equal(slicer.util.arrayFromVolume(scan), original)
            self.assertTrue((slicer.util.arrayFromVolume(marked) != original).any())
            restored = self.logic.restore(marked, self.record).wait()
            voxels = slicer.util.arrayFromVolume(restored.node)
            self.assertEqual(voxels.dtype, original.dtype)
            self.assertEqual(voxels.tobytes(), original.tobytes())
            self.assertEqual(restored.facts["claim"]["diagnosis"], DIAGNOSIS)
            self.assertIsNone(restored.node.GetAttribute(CLAIM_ATTRIBUTE))
            self.record.unlink()

    def test_a_marked_scan_is_like_the_scan(self):
        scan = phantom.ct()
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        transform.SetMatrixTransformToParent(phantom.shear())
        scan.SetAndObserveTransformNodeID(transform.GetID())
        scan.GetDisplayNode().SetAndObserveColorNodeID("vtkMRMLColorTableNodeRed")
        scan.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")
        hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
        study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Study")
        hierarchy.SetItemParent(hierarchy.GetItemByDataNode(scan), study)

        marked = self.mark(scan)
        restored = self.logic.restore(marked, self.record).wait().node
        for node in (marked, restored):
            np.testing.assert_array_equal(phantom.ijkToRAS(node), phantom.ijkToRAS(scan))
            self.assertEqual(node.GetTransformNodeID(), transform.GetID())
            self.assertEqual(hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)), study)
            display = node.GetDisplayNode()
            self.assertIsNot(display, scan.GetDisplayNode())
            self.assertEqual((display.GetWindow(), display.GetLevel()), (80, 40))
            self.assertEqual(display.GetColorNodeID(), "vtkMRMLColorTableNodeRed")
            self.assertEqual(node.GetAttribute("DICOM.instanceUIDs"), "1.2.3 1.2.4")
            self.assertEqual(node.GetVoxelValueUnits().GetCodeValue(), "[hnsf'U]")

    def test_a_parent_transform_does_not_change_what_is_signed(self):
        scan = phantom.ct()
        marked = self.mark(scan)
        claim = self.logic.verify(marked).wait().facts["claim"]
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        transform.SetMatrixTransformToParent(phantom.shear())
        marked.SetAndObserveTransformNodeID(transform.GetID())
        facts = self.logic.verify(marked, record=self.record).wait().facts
        self.assertEqual(facts["claim"], claim)
        self.assertEqual(facts["checks"][4]["outcome"], "passed")

    def test_a_given_output_volume_is_filled(self):
        output = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Output")
        marked = self.mark(phantom.ct(), outputVolume=output)
        self.assertIs(marked, output)
        self.assertEqual(output.GetName(), "Output")
        self.assertEqual(output.GetAttribute(SIGNER_ATTRIBUTE), self.signer)

    def test_a_refusal_leaves_scene_and_disk_alone(self):
        scan = phantom.ct()
        phantom.nameThePatient(scan, "Roentgen^Anna")
        labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Labels")
        vectors = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "Vectors")
        empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Empty")
        constant = slicer.util.addVolumeFromArray(np.zeros((3, 64, 64), np.int16), name="Air")
        before = slicer.mrmlScene.GetNumberOfNodes()
        for node in (None, labels, vectors, empty):
            with self.assertRaises(VolumeNodeError):
                self.mark(node)
        with self.assertRaises(VolumeNodeError):
            self.mark(scan, outputVolume=scan)
        with self.assertRaises(FileNotFoundError):
            self.mark(scan, record=self.folder / "missing" / "record")
        for node, diagnosis, kind in (
            (constant, DIAGNOSIS, "WatermarkError"),
            (scan, "Mrs. Roentgen has an infarct.", "IdentifyingDiagnosisError"),
            (scan, "", "DiagnosisError"),
        ):
            with self.assertRaises(CommandError) as refused:
                self.mark(node, diagnosis)
            self.assertTrue(
                refused.exception.kind.endswith("Error"), (refused.exception.kind, kind)
            )
            self.assertNotIn("Roentgen", str(refused.exception))
        self.record.write_bytes(b"kept")
        with self.assertRaises(RecordExistsError):
            self.mark(scan)
        with self.assertRaises(CommandError):
            self.logic.restore(scan, self.record).wait()
        self.assertEqual(self.record.read_bytes(), b"kept")
        self.assertEqual(set(os.listdir(self.folder)), {self.record.name, self.keyFile.name})
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodes(), before)

    # As a user does it

    def panel(self):
        """The panel, as it is when its module was chosen."""
        panel = slicer.modules.medwatermark.widgetRepresentation().self()
        panel.enter()
        # "Reload and Test" leaves the module open.
        self.addCleanup(panel.enter if panel.parent.isEntered else panel.exit)
        panel.askPassword = lambda keyFile: PASSWORD
        self.addCleanup(delattr, panel, "askPassword")
        return panel

    def click(self, panel, button):
        """Click a button that starts something, and wait until it is done."""
        self.assertTrue(button.enabled, button.toolTip)
        button.click()
        self.assertTrue(panel.isRunning())
        end = time.monotonic() + PATIENCE_S
        while panel.isRunning():
            slicer.app.processEvents()
            time.sleep(0.02)
            self.assertLess(time.monotonic(), end, "It takes too long.")

    def shownName(self):
        composite = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
        return slicer.mrmlScene.GetNodeByID(composite.GetBackgroundVolumeID()).GetName()

    def mark(self, scan, diagnosis=DIAGNOSIS, record=None, **options):
        task = self.logic.embed(
            scan, diagnosis, self.keyFile, PASSWORD, record or self.record, **options
        )
        return task.wait().node
