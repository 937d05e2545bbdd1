"""Samples that modules offer; mirrors Slicer's ``Modules/Scripted/SampleData/SampleData.py``."""

import slicer


class SampleDataSource:
    """A sample, and where it comes from."""

    def __init__(self, sampleName, uris, fileNames, nodeNames, customDownloader, thumbnailFileName):
        lists = [[each] if isinstance(each, str) else each for each in (uris, fileNames, nodeNames)]
        if len({len(each) for each in lists}) != 1:
            raise ValueError("All fields of sample data source must have the same length")
        self.uris, self.fileNames, self.nodeNames = lists
        self.sampleName = self.sampleDescription = sampleName
        self.customDownloader = customDownloader
        self.thumbnailFileName = thumbnailFileName

    def __eq__(self, other):
        return str(self) == str(other)

    def __str__(self):
        return f"{self.sampleName} {self.customDownloader} {self.uris} {self.nodeNames}"


class SampleDataLogic:
    """Keeps the sources by their categories; the panel's button calls a source's downloader."""

    @staticmethod
    def registerCustomSampleDataSource(
        category="Custom",
        sampleName=None,
        uris=None,
        fileNames=None,
        nodeNames=None,
        customDownloader=None,
        thumbnailFileName=None,
    ):
        if not hasattr(slicer.modules, "sampleDataSources"):
            slicer.modules.sampleDataSources = {}
        sources = slicer.modules.sampleDataSources.setdefault(category, [])
        source = SampleDataSource(
            sampleName, uris, fileNames, nodeNames, customDownloader, thumbnailFileName
        )
        if source not in sources:
            sources.append(source)
