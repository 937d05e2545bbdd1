"""De-identification of DICOM: what must not be left, and what must."""

from __future__ import annotations

import datetime
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.dataset import FileDataset
from pydicom.sr.codedict import codes as codes_of_the_standard
from pydicom.tag import Tag
from pydicom.uid import UID, CTImageStorage, generate_uid

from MedWatermarkLib.burned_in import BurnedInIdentityError
from MedWatermarkLib.confidentiality import Action, Options
from MedWatermarkLib.deidentified import Deidentified, Request, deidentify
from MedWatermarkLib.deidentify import Deidentifier
from MedWatermarkLib.descriptor import cleaned_text
from MedWatermarkLib.header_text import IdentifyingNameError
from MedWatermarkLib.imageio import ImageReadError, read_volume
from MedWatermarkLib.pseudonym import Pseudonyms
from MedWatermarkLib.volume import image_hash

sys.path.append(str(Path(__file__).parents[1]))
from instances import ct_instance
from plants import Plants, found_below, plant, word

KEY = b"0123456789abcdef"
ALL = Options(True, True, True, True)


def clean(instance: FileDataset, options: Options | None = None, key: bytes = KEY) -> Deidentifier:
    deidentifier = Deidentifier(options, key)
    deidentifier.deidentify(instance)
    return deidentifier


def an_instance(index: int = 0, **values: object) -> FileDataset:
    instance = ct_instance(np.zeros((8, 8), np.int16), index)
    instance.StudyInstanceUID, instance.SeriesInstanceUID = "1.2.3.1", "1.2.3.2"
    for keyword, value in values.items():
        setattr(instance, keyword, value)
    return instance


def run(
    source: Path, output: Path, options: Options | None = None, **request: object
) -> Deidentified:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = Request(options or Options(), **request)
        return deidentify(source, output, wanted, None, lambda share: None)


def quiet_hash(path: Path) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return image_hash(read_volume(path)).digest


@pytest.mark.parametrize(
    "options",
    [Options(), Options(shift_dates=True), Options(clean_descriptors=True)],
    ids=["basic", "dates", "descriptors"],
)
def test_no_byte_written_holds_any_of_two_thousand_planted_identities(
    make_series: Callable[..., Path], tmp_path: Path, options: Options
) -> None:
    plants = Plants()

    def edit(instance: FileDataset, index: int) -> None:
        if index == 0:
            plant(instance, plants)
            instance.ImagePositionPatient = [-80.0, -75.5, 10.0]
            # None of the plants' dates may be hit by another's moved date.
            instance.PatientID = "PID-1"
        else:
            for keyword in ("StudyInstanceUID", "PatientID"):
                setattr(instance, keyword, "1.2.3" if "UID" in keyword else "PID-1")

    source = make_series(None, edit, folder=word(99999))
    # One study of one series, whatever was planted.
    for path in source.iterdir():
        instance = pydicom.dcmread(path)
        instance.SeriesInstanceUID = "1.2.3.4"
        instance.save_as(path)
    assert len(plants.places) > 2000
    assert len(found_below(source)) > 2000
    key = next(
        key
        for number in range(1000)
        if (key := f"key of the test {number:04d}".encode())
        and Pseudonyms(key).date("20200101", "", "PID-1") < "20120101"
    )

    run(source, tmp_path / "out", options, key=key)

    found = {plants.places.get(number, number) for number in found_below(tmp_path / "out")}
    assert not found
    assert quiet_hash(tmp_path / "out") == quiet_hash(source)


def test_the_header_says_that_and_how_it_was_deidentified() -> None:
    instance = an_instance()
    clean(instance, ALL)
    assert instance.PatientIdentityRemoved == "YES"
    assert instance.DeidentificationMethod.startswith("MedWatermark")
    assert instance.LongitudinalTemporalInformationModified == "MODIFIED"
    codes = {
        item.CodeValue: item.CodeMeaning for item in instance.DeidentificationMethodCodeSequence
    }
    cid = codes_of_the_standard.cid7050
    defined = {code.value: code.meaning for code in cid.concepts.values()}
    assert codes == {value: defined[value] for value in codes}
    assert set(codes) == {"113100", "113105", "113107", "113108", "113109"}


def test_without_options_only_the_basic_profile_is_named_and_dates_are_gone() -> None:
    instance = an_instance(StudyDate="20200229", SeriesDate="20200229", AcquisitionTime="101112")
    clean(instance)
    assert [one.CodeValue for one in instance.DeidentificationMethodCodeSequence] == ["113100"]
    assert instance.LongitudinalTemporalInformationModified == "REMOVED"
    assert "StudyDate" in instance  # of type 2
    assert not instance.StudyDate
    assert "SeriesDate" not in instance
    assert "AcquisitionTime" not in instance


def test_deidentifying_twice_changes_only_uids_and_pseudonyms() -> None:
    instance = an_instance()
    clean(instance, ALL)
    first = [element.tag for element in instance]
    clean(instance, ALL)
    assert [element.tag for element in instance] == first
    assert len(instance.DeidentificationMethodCodeSequence) == 5


def test_file_meta_and_preamble_are_written_anew() -> None:
    instance = an_instance()
    instance.preamble = b"II*\0 Miller".ljust(128, b"\0")
    instance.file_meta.SourceApplicationEntityTitle = "CT_MILLER"
    instance.file_meta.ImplementationVersionName = "CLINIC_7"
    syntax = instance.file_meta.TransferSyntaxUID
    clean(instance)
    assert instance.preamble == bytes(128)
    assert "SourceApplicationEntityTitle" not in instance.file_meta
    assert "ImplementationVersionName" not in instance.file_meta
    assert instance.file_meta.TransferSyntaxUID == syntax
    assert instance.file_meta.MediaStorageSOPInstanceUID == instance.SOPInstanceUID


# --- UIDs ----------------------------------------------------------------------------------------


def test_references_still_meet_their_instances() -> None:
    first, second = an_instance(0), an_instance(1)
    reference = Dataset()
    reference.ReferencedSOPClassUID = CTImageStorage
    reference.ReferencedSOPInstanceUID = first.SOPInstanceUID
    reference.CodeMeaning = "Ada Grünwald"
    second.ReferencedImageSequence = [reference]
    deidentifier = Deidentifier(Options(), KEY)
    deidentifier.deidentify(first)
    deidentifier.deidentify(second)
    (kept,) = second.ReferencedImageSequence
    assert kept.ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert kept.ReferencedSOPClassUID == CTImageStorage
    assert "CodeMeaning" not in kept
    assert first.StudyInstanceUID == second.StudyInstanceUID != "1.2.3.1"


def test_the_same_key_gives_the_same_uids_and_another_key_others() -> None:
    uid = generate_uid()
    assert Pseudonyms(KEY).uid(uid) == Pseudonyms(KEY).uid(uid)
    assert Pseudonyms(KEY).uid(uid) != Pseudonyms(b"another key 4567").uid(uid)
    assert Pseudonyms().uid(uid) != Pseudonyms().uid(uid)


@given(st.from_regex(r"[12]\.[1-9]\d{0,20}(\.[1-9]\d{0,10}){0,3}", fullmatch=True))
def test_every_uid_becomes_a_valid_one(uid: str) -> None:
    new = Pseudonyms(KEY).uid(uid)
    assert UID(new).is_valid
    assert new.startswith("2.25.")
    assert len(new) <= 64


def test_uids_of_the_standard_are_kept_and_others_under_its_root_are_not() -> None:
    assert Pseudonyms(KEY).uid(CTImageStorage) == CTImageStorage
    assert Pseudonyms(KEY).uid("1.2.840.10008.99.4711").startswith("2.25.")


# --- Dates ---------------------------------------------------------------------------------------

moments = st.datetimes(datetime.datetime(1950, 1, 1), datetime.datetime(2035, 1, 1))


@given(moments, moments)
def test_moved_dates_keep_the_time_between_them(
    one: datetime.datetime, other: datetime.datetime
) -> None:
    pseudonyms = Pseudonyms(KEY)

    def moved(moment: datetime.datetime) -> datetime.datetime:
        text = pseudonyms.date_time(f"{moment:%Y%m%d%H%M%S.%f}", "PID")
        return datetime.datetime.strptime(text, "%Y%m%d%H%M%S.%f")

    assert moved(one) - moved(other) == one - other
    assert datetime.timedelta(days=29) < one - moved(one) < datetime.timedelta(days=3682)


@given(moments)
def test_a_date_and_its_time_move_as_one_moment_does(moment: datetime.datetime) -> None:
    pseudonyms = Pseudonyms(KEY)
    date, time = f"{moment:%Y%m%d}", f"{moment:%H%M%S.%f}"
    whole = pseudonyms.date_time(date + time, "PID")
    assert pseudonyms.date(date, time, "PID") + pseudonyms.time(time, "PID") == whole


def test_dates_of_two_patients_move_differently_and_birth_dates_never_stay() -> None:
    pseudonyms = Pseudonyms(KEY)
    assert pseudonyms.date("20200101", "", "A") != pseudonyms.date("20200101", "", "B")
    instance = an_instance(StudyDate="20200101", PatientBirthDate="19440229")
    clean(instance, Options(shift_dates=True))
    assert not instance.PatientBirthDate
    assert instance.StudyDate not in ("", "20200101")


@pytest.mark.parametrize("value", ["20201399", "Grünwald", "2020", "20200101-20200201"])
def test_what_is_no_date_is_removed_and_not_kept(value: str) -> None:
    instance = an_instance()
    with pydicom.config.disable_value_validation():
        instance.SeriesDate = value
        clean(instance, Options(shift_dates=True))
    assert "SeriesDate" not in instance


# --- Options -------------------------------------------------------------------------------------


def test_options_keep_what_they_say_and_nothing_else() -> None:
    values = {
        "PatientAge": "075Y",
        "PatientSex": "F",
        "PatientWeight": "61.5",
        "StationName": "CT-WARD-3",
        "DeviceSerialNumber": "4711-A",
    }
    device, patient, basic = (an_instance(**values) for _ in range(3))
    clean(device, Options(keep_device=True))
    clean(patient, Options(keep_patient_characteristics=True))
    clean(basic)
    assert (device.StationName, device.DeviceSerialNumber) == ("CT-WARD-3", "4711-A")
    assert "PatientAge" not in device
    assert (patient.PatientAge, patient.PatientSex) == ("075Y", "F")
    assert patient.PatientWeight == 61.5
    assert "StationName" not in patient
    assert not {"PatientAge", "PatientWeight", "StationName"} & set(basic.dir())
    assert not basic.PatientSex


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("T1_mprage SAG 1.0mm, Mr. Miller 4711", "T1 mprage SAG 1.0mm"),
        ("CT Head without contrast (Dr. Grünwald, ward 3)", "CT Head without contrast"),
        ("Ada", ""),
        ("", ""),
        ("born 29.2.1944", ""),
        ("AXIAL 5 MM BONE", "AXIAL 5 MM BONE"),
    ],
)
def test_descriptions_keep_the_words_of_anatomy_and_technique(text: str, kept: str) -> None:
    assert cleaned_text(text) == kept


@given(st.text(max_size=60))
def test_a_cleaned_description_cleans_to_itself(text: str) -> None:
    assert cleaned_text(cleaned_text(text)) == cleaned_text(text)


def test_a_cleaned_description_does_not_keep_a_name_that_is_a_word() -> None:
    instance = an_instance(PatientName="Stern^Temporal", SeriesDescription="temporal axial")
    clean(instance, Options(clean_descriptors=True))
    assert "emporal" not in str(instance.get("SeriesDescription", ""))


def test_local_codes_are_not_kept_and_a_code_means_what_the_standard_says() -> None:
    instance = an_instance()
    codes = []
    for scheme, value, meaning in (
        ("99CLINIC", "MILLER1", "Miller"),
        ("SCT", "69536005", "Head of Ada Grünwald"),
    ):
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
        codes.append(code)
    instance.AdmittingDiagnosesCodeSequence = codes
    clean(instance, Options(clean_descriptors=True))
    (kept,) = instance.AdmittingDiagnosesCodeSequence
    assert kept.CodeValue == "69536005"
    assert kept.CodeMeaning == "Head"


# --- What the table does not name ----------------------------------------------------------------


def test_a_kept_attribute_that_repeats_the_patients_name_is_emptied_and_told_of() -> None:
    instance = an_instance(ConvolutionKernel="Grunwald sharp")
    told = clean(instance).outcomes
    assert not instance.ConvolutionKernel
    assert Action.MENTION in {one.action for one in told if one.name == "ConvolutionKernel"}


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PlacerOrderNumberProcedure", "4711"),
        ("PatientBirthDateInAlternativeCalendar", "29 Rajab"),
        ("DocumentAuthorTrial", "Miller^Ada"),
        ("RetrieveURL", "https://clinic.example.org/4711"),
        ("CommentsOnTheScheduledProcedureStep", "call Dr Miller"),
        ("ExpiryDate", "20200101"),
    ],
)
def test_identities_that_the_table_forgot_are_not_kept(keyword: str, value: str) -> None:
    instance = an_instance()
    setattr(instance, keyword, value)
    clean(instance)
    assert value not in str(instance.get(keyword, ""))


def test_names_in_places_for_numbers_are_not_kept() -> None:
    instance = an_instance()
    with pydicom.config.disable_value_validation():
        instance[Tag("SliceLocation")] = pydicom.dataelem.RawDataElement(
            Tag("SliceLocation"), "DS", 6, b"Miller", 0, False, True
        )
        clean(instance)
    assert "SliceLocation" not in instance


def test_overlays_and_what_lies_in_unused_bits_are_gone(
    make_series: Callable[..., Path], tmp_path: Path
) -> None:
    voxels = np.random.default_rng(1).integers(0, 2000, (2, 64, 64)).astype(np.uint16)
    drawn = np.random.default_rng(2).integers(0, 2, voxels.shape).astype(np.uint16) << 15

    def edit(instance: FileDataset, index: int) -> None:
        instance.BitsStored, instance.HighBit = 12, 11
        instance[Tag(0x60000010)] = pydicom.DataElement(0x60000010, "US", 64)
        instance[Tag(0x60003000)] = pydicom.DataElement(0x60003000, "OB", b"overlay ")

    source = make_series(voxels | drawn, edit)
    run(source, tmp_path / "out")
    for path in (tmp_path / "out").iterdir():
        instance = pydicom.dcmread(path)
        assert not [tag for tag in instance.keys() if tag.group == 0x6000]  # noqa: SIM118
        words = np.frombuffer(instance.PixelData, np.uint16)
        assert words.max() < 1 << 12
    assert quiet_hash(tmp_path / "out") == quiet_hash(source)


# --- Files ---------------------------------------------------------------------------------------


def test_the_report_names_every_attribute_and_no_value(
    make_series: Callable[..., Path], tmp_path: Path
) -> None:
    source = make_series()
    told = run(source, tmp_path / "out")
    names = {one.name for one in told.outcomes}
    original = pydicom.dcmread(next(source.iterdir()))
    assert {element.keyword for element in original} <= names
    assert not any("4711" in str(one) or "Ada" in str(one) for one in told.outcomes)
    assert {one.name for one in told.outcomes if one.action is Action.PSEUDONYM} == {
        "PatientName",
        "PatientID",
    }


@pytest.mark.parametrize("name", ["clean", "clean.nrrd", "clean.nii.gz", "clean.mha"])
def test_the_image_hash_does_not_change(
    make_series: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    source = make_series()
    run(source, tmp_path / name)
    assert quiet_hash(tmp_path / name) == quiet_hash(source)


def test_every_series_of_a_folder_gets_a_folder_and_reports_are_left_out(
    make_series: Callable[..., Path], tmp_path: Path
) -> None:
    make_series(folder="study/one")
    make_series(folder="study/two")
    report = an_instance(Modality="SR", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11")
    del report.PixelData, report.Rows, report.Columns
    report.save_as(tmp_path / "study" / "report", enforce_file_format=True)
    told = run(tmp_path / "study", tmp_path / "out")
    assert told.series == 2
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["01", "02"]
    assert any("1 other DICOM file" in remark for remark in told.remarks)
    ids = {pydicom.dcmread(path).PatientID for path in (tmp_path / "out").rglob("*.dcm")}
    assert len(ids) == 1


def test_a_name_for_the_output_that_names_the_patient_is_refused(
    make_series: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(IdentifyingNameError, match="PatientName") as caught:
        run(make_series(), tmp_path / "scan_of_ada_gruenwald")
    assert "gruenwald" not in str(caught.value).lower()


def test_an_image_that_says_it_has_a_burnt_in_identity_needs_a_person_who_looked(
    make_series: Callable[..., Path], tmp_path: Path
) -> None:
    def edit(instance: FileDataset, index: int) -> None:
        instance.BurnedInAnnotation = "YES" if index == 2 else "NO"

    source = make_series(None, edit)
    with pytest.raises(BurnedInIdentityError, match="Burned In Annotation"):
        run(source, tmp_path / "out")
    run(source, tmp_path / "looked", pixels_checked=True)
    written = [pydicom.dcmread(path) for path in (tmp_path / "looked").iterdir()]
    assert {one.BurnedInAnnotation for one in written} == {"NO"}


def test_within_an_enhanced_image_what_may_be_required_becomes_a_dummy() -> None:
    plain = an_instance(AcquisitionDateTime="20200229101112", DeviceSerialNumber="4711-A")
    enhanced = an_instance(AcquisitionDateTime="20200229101112", DeviceSerialNumber="4711-A")
    group = Dataset()
    group.FrameAcquisitionDateTime = "20200229101112"
    enhanced.SharedFunctionalGroupsSequence = [group]
    clean(plain)
    clean(enhanced)
    assert "DeviceSerialNumber" not in plain
    assert enhanced.DeviceSerialNumber == "DEIDENTIFIED"
    assert enhanced.AcquisitionDateTime == "19000101000000"
    assert enhanced.SharedFunctionalGroupsSequence[0].FrameAcquisitionDateTime == "19000101000000"


@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_RLE.dcm",
        "693_J2KI.dcm",
        "image_dfl.dcm",
        "SC_rgb_jpeg.dcm",
        "rtplan.dcm",
    ],
)
def test_files_of_every_syntax_are_written_with_the_pixels_they_had(
    pydicom_file: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    source = pydicom_file(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one says that it has VRs, and has none
        original = pydicom.dcmread(source, force=True)
    if "Rows" not in original:
        with pytest.raises(ImageReadError):
            run(source, tmp_path / "out", pixels_checked=True)
        return
    run(source, tmp_path / "out", ALL, pixels_checked=True)
    written = pydicom.dcmread(tmp_path / "out" / "00001.dcm")
    assert written.PixelData == original.PixelData
    assert written.file_meta.TransferSyntaxUID == original.file_meta.TransferSyntaxUID
    for keyword in ("PatientName", "PatientID"):
        if value := str(original.get(keyword, "")):
            assert value not in str(written)
