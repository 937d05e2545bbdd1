"""De-identification of DICOM data sets after PS3.15 Annex E.

What becomes of which attribute is said by `MedWatermarkLib.confidentiality`; here it is done, in
every item of every sequence. Stricter than the profile asks: free text, names, dates and binary
data that its table does not name are removed too, and what is kept is searched for the values of
identifying attributes. Voxels and geometry are not touched, so a scan's image hash stays.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag
from pydicom.dataset import FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag

from MedWatermarkLib import __version__
from MedWatermarkLib.confidentiality import EDITION, Action, Options, action_for
from MedWatermarkLib.descriptor import clean_code, cleaned_text, is_common_code, meaning_of
from MedWatermarkLib.dicom_pixels import transfer_syntax
from MedWatermarkLib.identity import identity_of_dicom
from MedWatermarkLib.mention import mentions
from MedWatermarkLib.pseudonym import Pseudonyms

_TEXT = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
# What a value of these kinds may be made of (PS3.5, 6.2).
_FORMS = {
    "AS": re.compile(r"[0-9DWMY\\ ]*"),
    "DS": re.compile(r"[0-9+\-.eE\\ ]*"),
    "IS": re.compile(r"[0-9+\-\\ ]*"),
    "UI": re.compile(r"[0-9.\\ ]*"),
}
_OF_FILE_META = {
    "FileMetaInformationGroupLength": Action.REWRITTEN,
    "FileMetaInformationVersion": Action.REWRITTEN,
    "MediaStorageSOPClassUID": Action.KEEP,
    "MediaStorageSOPInstanceUID": Action.UID,
    "TransferSyntaxUID": Action.KEEP,
    "ImplementationClassUID": Action.REWRITTEN,
    "ImplementationVersionName": Action.REWRITTEN,
}
_CODE_MEANING = Tag("CodeMeaning")
# Kept for the UIDs in them, X/Z/U* in the profile's table.
_REFERENCES = (Tag("ReferencedImageSequence"), Tag("SourceImageSequence"))
_OF_REFERENCE = (
    "ReferencedSOPClassUID",
    "ReferencedSOPInstanceUID",
    "ReferencedFrameNumber",
    "PurposeOfReferenceCodeSequence",
)
_DUMMIES: Mapping[str, object] = {
    "AS": "000Y",
    "DA": "19000101",
    "DT": "19000101000000",
    "TM": "000000",
    "DS": "0",
    "IS": "0",
    "UR": "urn:deidentified",
    **dict.fromkeys(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"), "DEIDENTIFIED"),
    **dict.fromkeys(("FD", "FL"), 0.0),
    **dict.fromkeys(("SS", "US", "SL", "UL", "SV", "UV"), 0),
    **dict.fromkeys(("OB", "OD", "OF", "OL", "OV", "OW", "UN"), bytes(8)),
}


@dataclass(frozen=True)
class Outcome:
    """What became of an attribute, its value left out.

    Attributes
    ----------
    name : str
        DICOM keyword, after those of the sequences that it stands in, parted by ``/``.
    tag : str
        As ``(0010,0010)``.
    action : Action
    count : int
        In how many data sets, or items.
    """

    name: str
    tag: str
    action: Action
    count: int


class Deidentifier:
    """Takes the identity out of the instances of a study, alike in all of them.

    Parameters
    ----------
    options : Options
    key : bytes, optional
        The secret from which UIDs, pseudonyms and the shift of dates are made; with the same key
        they come out the same. By default one is made up and forgotten.
    """

    def __init__(self, options: Options | None = None, key: bytes = b"") -> None:
        self._options = options or Options()
        self._pseudonyms = Pseudonyms(key)
        self._counts: Counter[tuple[int, str, Action]] = Counter()
        self._mentions: dict[tuple[str, tuple[tuple[str, str], ...]], bool] = {}

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """What became of each attribute so far, in the order of tags."""
        counts = sorted(self._counts.items(), key=lambda one: (one[0][0], one[0][1]))
        return tuple(
            Outcome(name, _tag_text(tag), action, count) for (tag, name, action), count in counts
        )

    def deidentify(self, instance: Dataset) -> None:
        """Take the identity out of a DICOM instance, in place; file meta and preamble too.

        Parameters
        ----------
        instance : pydicom.Dataset
            As it was read, and not otherwise used: all of it but its pixel data may change.
        """
        syntax = transfer_syntax(instance)
        walk = _Walk(self, _patient_of(instance), tuple(identity_of_dicom(instance).items()))
        walk.dataset(instance, "", conditional="SharedFunctionalGroupsSequence" in instance)
        self._state_method(instance)
        for tag in getattr(instance, "file_meta", Dataset()).keys():  # noqa: SIM118
            self._count(tag, "", _OF_FILE_META.get(keyword_for_tag(tag), Action.REMOVE))
        # PS3.15 E.1.1, 7: replaced as a whole; what is missing is filled in when it is written.
        instance.file_meta = FileMetaDataset()
        instance.file_meta.TransferSyntaxUID = syntax
        instance.file_meta.MediaStorageSOPClassUID = instance.get("SOPClassUID")
        instance.file_meta.MediaStorageSOPInstanceUID = instance.get("SOPInstanceUID")
        instance.preamble = bytes(128)

    def omit(self, instance: Dataset) -> None:
        """Note that no attribute of an instance is written: the new file has another format."""
        for tag in instance.keys():  # noqa: SIM118 - iterating a Dataset decodes its elements
            self._count(tag, "", Action.ABSENT)

    def state(self, instance: Dataset, keyword: str, value: str) -> None:
        """Say something of the image in its header."""
        setattr(instance, keyword, value)
        self._count(instance[keyword].tag, "", Action.ADDED)

    def _state_method(self, instance: Dataset) -> None:
        modified = "MODIFIED" if self._options.shift_dates else "REMOVED"
        self.state(instance, "PatientIdentityRemoved", "YES")
        self.state(
            instance,
            "DeidentificationMethod",
            f"MedWatermark {__version__}: PS3.15 {EDITION} Annex E, as coded",
        )
        self.state(instance, "LongitudinalTemporalInformationModified", modified)
        methods = []
        for value, meaning in self._options.codes:
            method = Dataset()
            method.CodeValue = value
            method.CodingSchemeDesignator = "DCM"
            method.CodeMeaning = meaning
            methods.append(method)
        ours = {value for value, _ in self._options.codes}
        earlier = [
            item
            for item in instance.get("DeidentificationMethodCodeSequence") or []
            if item.get("CodeValue") not in ours
        ]
        instance.DeidentificationMethodCodeSequence = [*earlier, *methods]
        tag = instance["DeidentificationMethodCodeSequence"].tag
        self._count(tag, "", Action.ADDED)

    def _count(self, tag: BaseTag, path: str, action: Action) -> None:
        self._counts[tag, path + _name(tag), action] += 1


class _Walk:
    """One instance on its way through a `Deidentifier`."""

    def __init__(
        self, deidentifier: Deidentifier, patient: str, identity: tuple[tuple[str, str], ...]
    ) -> None:
        self._to = deidentifier
        self._pseudonyms = deidentifier._pseudonyms
        self._patient = patient
        self._identity = identity

    def dataset(self, dataset: Dataset, path: str, conditional: bool) -> None:
        """Go through a data set and the items in it."""
        times = _times_of(dataset)
        for tag in sorted(dataset.keys()):
            vr = _vr(dataset, tag)
            action = action_for(tag, vr, self._to._options, conditional)
            if action is not Action.REMOVE:
                action = self._carry_out(dataset, tag, vr, action, path, times)
            if action in (Action.REMOVE, Action.MALFORMED):
                del dataset[tag]
            self._to._count(tag, path, action)

    def _carry_out(
        self,
        dataset: Dataset,
        tag: BaseTag,
        vr: str,
        action: Action,
        path: str,
        times: Mapping[str, str],
    ) -> Action:
        """Do to an attribute what shall become of it; return what became of it instead."""
        if vr == "SQ":
            return self._sequence(dataset, tag, action, path)
        if tag == _CODE_MEANING and action is Action.CLEAN:
            return self._mean(dataset)
        if action is Action.KEEP:
            return self._keep(dataset, tag, vr)
        values = _values(dataset, tag, vr)
        if not any(values):
            dataset[tag] = DataElement(tag, vr, None)
            return Action.WAS_EMPTY
        if action is Action.EMPTY:
            dataset[tag] = DataElement(tag, vr, None)
        elif action is Action.DUMMY:
            _set(dataset, tag, vr, [_DUMMIES.get(vr, b"")])
        elif action is Action.UID:
            if vr != "UI":
                return Action.REMOVE
            _set(dataset, tag, vr, [self._pseudonyms.uid(value) for value in values])
        elif action is Action.PSEUDONYM:
            _set(dataset, tag, vr, [self._pseudonyms.patient(self._patient)])
        elif action is Action.SHIFT:
            moved = [self._moved(tag, vr, value, times) for value in values]
            if not all(moved):
                return Action.MALFORMED
            _set(dataset, tag, vr, moved)
        elif action is Action.CLEAN:
            return self._clean(dataset, tag, vr, values)
        return action

    def _sequence(self, dataset: Dataset, tag: BaseTag, action: Action, path: str) -> Action:
        items = dataset[tag].value or []
        if action is Action.EMPTY:
            dataset[tag] = DataElement(tag, "SQ", [])
        elif action is Action.DUMMY:
            dataset[tag] = DataElement(tag, "SQ", [self._dummy(item) for item in items[:1]])
        elif action is Action.CLEAN:
            common = [item for item in items if is_common_code(item)]
            if not common:
                return Action.REMOVE
            for item in common:
                clean_code(item)
                if self._names_someone(str(item.CodeMeaning)):
                    item.CodeMeaning = item.CodeValue
            dataset[tag] = DataElement(tag, "SQ", common)
        else:
            for item in items:
                if tag in _REFERENCES:
                    self._strip(item, f"{path}{_name(tag)}/")
                self.dataset(item, f"{path}{_name(tag)}/", conditional=True)
            return Action.ITEMS
        return action

    def _strip(self, item: Dataset, path: str) -> None:
        """Leave of a reference to an image what refers to it."""
        for tag in list(item.keys()):
            if keyword_for_tag(tag) not in _OF_REFERENCE:
                del item[tag]
                self._to._count(tag, path, Action.REMOVE)

    def _dummy(self, item: Dataset) -> Dataset:
        """Return an item of the same attributes that says nothing."""
        dummy = Dataset()
        for tag in item.keys():  # noqa: SIM118 - iterating a Dataset decodes its elements
            vr = _vr(item, tag)
            if tag.is_private or vr not in (*_DUMMIES, "SQ", "UI"):
                continue
            if vr == "SQ":
                items = [self._dummy(one) for one in (item[tag].value or [])[:1]]
                dummy[tag] = DataElement(tag, "SQ", items)
            elif vr == "UI":
                uids = [self._pseudonyms.uid(value) for value in _values(item, tag, vr)]
                _set(dummy, tag, vr, uids)
            else:
                _set(dummy, tag, vr, [_DUMMIES[vr]])
        return dummy

    def _keep(self, dataset: Dataset, tag: BaseTag, vr: str) -> Action:
        if dataset.get_item(tag).VR is None:
            # Of a data set without VRs in a file that should have them; it could not be written.
            _ = dataset[tag]
        if vr in _FORMS and not _FORMS[vr].fullmatch("\\".join(_values(dataset, tag, vr))):
            return Action.MALFORMED
        if vr in _TEXT and any(map(self._names_someone, _values(dataset, tag, vr))):
            dataset[tag] = DataElement(tag, vr, None)
            return Action.MENTION
        return Action.KEEP

    def _clean(self, dataset: Dataset, tag: BaseTag, vr: str, values: list[str]) -> Action:
        cleaned = [cleaned_text(value) for value in values]
        if vr == "CS":
            cleaned = [value.upper().replace(".", "")[:16] for value in cleaned]
        cleaned = [value for value in cleaned if value and not self._names_someone(value)]
        if not cleaned:
            return self._uncleaned(dataset, tag, vr)
        _set(dataset, tag, vr, cleaned)
        return Action.CLEAN

    def _mean(self, item: Dataset) -> Action:
        """Let a code say what it means by the standard."""
        before = str(item.CodeMeaning or "")
        meaning = meaning_of(item)
        if not meaning or self._names_someone(meaning):
            meaning = str(_DUMMIES["LO"])
        item.CodeMeaning = meaning[:64]
        return Action.KEEP if meaning == before else Action.CLEAN

    def _uncleaned(self, dataset: Dataset, tag: BaseTag, vr: str) -> Action:
        """Do what the profile asks for without the option: nothing of a text could be kept."""
        basic = action_for(tag, vr, Options(), conditional=True)
        if basic is Action.CLEAN:  # no attribute of the profile's
            basic = Action.DUMMY
        if basic is Action.REMOVE:
            return basic
        return self._carry_out(dataset, tag, vr, basic, "", {})

    def _moved(self, tag: BaseTag, vr: str, value: str, times: Mapping[str, str]) -> str:
        if vr == "DA":
            time = times.get(keyword_for_tag(tag).replace("Date", "Time"), "")
            return self._pseudonyms.date(value, time, self._patient)
        if vr == "TM":
            return self._pseudonyms.time(value, self._patient)
        return self._pseudonyms.date_time(value, self._patient)

    def _names_someone(self, text: str) -> bool:
        """Tell whether a text holds a value of an identifying attribute.

        The slices of a series say the same, and looking for mentions is slow, so what was found
        is remembered.
        """
        known = self._to._mentions
        if (text, self._identity) not in known:
            known[text, self._identity] = any(
                mentions(text, keyword, value)
                for keyword, values in self._identity
                for value in values.split("\\")
            )
        return known[text, self._identity]


def _patient_of(instance: Dataset) -> str:
    """Return what tells a patient from others, as far as an instance says it."""
    for keywords in (("PatientID",), ("PatientName", "PatientBirthDate"), ("StudyInstanceUID",)):
        found = "\0".join(str(instance.get(keyword) or "").strip() for keyword in keywords)
        if found.strip("\0"):
            return found
    return ""


def _times_of(dataset: Dataset) -> dict[str, str]:
    """Return the times of day in a data set by keyword, to be joined to their dates."""
    return {
        keyword_for_tag(tag): values[0]
        for tag in dataset.keys()  # noqa: SIM118
        if _vr(dataset, tag) == "TM" and not tag.is_private
        if (values := _values(dataset, tag, "TM"))
    }


def _vr(dataset: Dataset, tag: BaseTag) -> str:
    """VR of an element, without decoding its value; that of the dictionary where it is unknown."""
    vr = dataset.get_item(tag).VR
    if vr in (None, "UN") and not tag.is_private and dictionary_has_tag(tag):
        vr = dictionary_VR(tag)
    return vr or "UN"


def _values(dataset: Dataset, tag: BaseTag, vr: str) -> list[str]:
    """Return the values of an element as texts; of numbers in text those that stand there."""
    stored = dataset.get_item(tag).value
    if vr in _FORMS and isinstance(stored, bytes):
        return stored.decode("latin-1").strip("\0 ").split("\\")
    value = dataset[tag].value
    values = value if isinstance(value, MultiValue | list) else [value]
    return ["" if one is None else str(one).strip("\0 ") for one in values]


def _set(dataset: Dataset, tag: BaseTag, vr: str, values: list[object] | list[str]) -> None:
    dataset[tag] = DataElement(tag, vr, values[0] if len(values) == 1 else list(values))


def _name(tag: BaseTag) -> str:
    if tag.is_private:
        return "private"
    return keyword_for_tag(tag) or "unknown"


def _tag_text(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
