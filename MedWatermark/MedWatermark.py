import slicer
from MedWatermarkModule import sample_data

# Slicer finds these here by their names.
from MedWatermarkModule.logic import MedWatermarkLogic
from MedWatermarkModule.panel import MedWatermarkWidget
from MedWatermarkModule.self_test import MedWatermarkTest
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import ScriptedLoadableModule

__all__ = ["MedWatermark", "MedWatermarkLogic", "MedWatermarkTest", "MedWatermarkWidget"]


class MedWatermark(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("MedWatermark")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Informatics")]
        self.parent.dependencies = []
        self.parent.contributors = ["The MedWatermark developers"]
        self.parent.helpText = _("""
<p>Puts a signed diagnosis into the voxels of a scan, verifies what was received, takes the mark
out again so that every voxel is as it was, and shares scans between hospitals.</p>
<p>The mark changes voxels within the patient by a few units. What it changed is written to a
<i>restoration record</i>: keep that file to yourself, for it takes the mark out.</p>
<p>After the method of Chen, Bai and Yao, "A Secure and Privacy-Preserving Watermark Based
Medical Image Sharing Method", Chinese Journal of Electronics 29(5), 2020, 819-825,
<a href="https://doi.org/10.1049/cje.2020.07.003">doi 10.1049/cje.2020.07.003</a>.</p>
""")
        self.parent.acknowledgementText = _("""
Builds on the method of Chen, Bai and Yao, "A Secure and Privacy-Preserving Watermark
Based Medical Image Sharing Method", Chinese Journal of Electronics 29(5), 2020, 819-825,
<a href="https://doi.org/10.1049/cje.2020.07.003">doi 10.1049/cje.2020.07.003</a>.
""")
        slicer.app.connect("startupCompleted()", sample_data.register)
