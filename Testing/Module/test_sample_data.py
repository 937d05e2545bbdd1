"""The samples that the module offers in Slicer's Sample Data."""

from pathlib import Path

import fresh_slicer
import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def samples(module, host):
    """Make a sample as a click on its picture does: ``samples[name]()``."""
    import slicer

    slicer.mrmlScene.Clear()
    slicer.app.startupCompleted.emit()
    sources = slicer.modules.sampleDataSources["MedWatermark"]
    yield {
        source.sampleName: (lambda source=source: source.customDownloader(source))
        for source in sources
    }
    slicer.mrmlScene.Clear()


def test_samples_are_offered_once_slicer_has_started_with_a_picture_each(samples, module):
    import slicer

    slicer.app.startupCompleted.emit()  # as after a reload
    sources = slicer.modules.sampleDataSources["MedWatermark"]
    assert [source.sampleName for source in sources] == ["Head CT", "Head CT marked, altered"]
    for source in sources:
        assert Path(source.thumbnailFileName).is_file()


def test_the_plain_sample_is_a_scan_in_hounsfield_units(samples):
    (node,) = samples["Head CT"]()
    assert node.GetVoxelValueUnits().GetCodeValue() == "[hnsf'U]"
    assert node.GetImageData().GetDimensions()[0] >= 256


def test_the_altered_sample_reads_and_shows_where_it_was_altered(samples, module):
    import slicer
    from MedWatermarkModule.sample_data import ALTERED

    (node,) = samples["Head CT marked, altered"]()
    assert [each.GetID() for each in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")] == [
        node.GetID()
    ]
    logic = module.widgetRepresentation().self().logic
    verification = logic.verify(node).wait()
    assert "no diagnosis" in verification.facts["claim"]["diagnosis"]
    altered = verification.labels == 1
    assert altered[ALTERED].mean() > 0.5
    altered[ALTERED] = False
    assert altered.mean() < 0.01


def test_the_plain_sample_needs_no_packages(host, tmp_path):
    fresh_slicer.link_packages(tmp_path)
    fresh_slicer.run(
        f"""
application.load_module({str(REPOSITORY / "MedWatermark" / "MedWatermark.py")!r})
slicer.app.startupCompleted.emit()
source = slicer.modules.sampleDataSources["MedWatermark"][0]
(node,) = source.customDownloader(source)
assert node.GetName().startswith("Head CT")
""",
        tmp_path,
    )
