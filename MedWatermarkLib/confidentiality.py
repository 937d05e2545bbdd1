"""What the Basic Application Level Confidentiality Profile asks of each attribute.

The profile is table E.1-1 of DICOM PS3.15, some 650 attributes that change with every release of
the standard, so it is taken from a package that keeps up with it: `dicom-anonymizer
<https://github.com/KitwareMedical/dicom-anonymizer>`_, edition 2026c. Three were compared:

=====================  ==================  ===================  ============================
.                      dicom-anonymizer    idiscore 1.2.0       deid 0.4.13
                       2.1.0
=====================  ==================  ===================  ============================
licence                BSD 3-Clause        GPL 3                MIT
table E.1-1            2026c, by a script  2024, by a script    none; a recipe of its own
options of PS3.15      none                ten                  none
sequences              top level only      all                  all
UIDs                   random, new each    MD5 without a key    a recipe's choice
                       run
pydicom, NumPy         pydicom 3           pydicom 2, NumPy 1   pydicom 3
brings along           tqdm                pytest, Faker, ...   matplotlib
=====================  ==================  ===================  ============================

The table of the first is the only one that is current, free to be used here and installs beside
pydicom 3; where it overlaps the table that Innolitics extracts from the standard (617 attributes),
both say the same. Its engine leaves nested names alone and turns dates to be removed into others,
so the walk is our own (`MedWatermarkLib.deidentify`). ``Testing/Benchmarks/identity.py`` compares
the result with idiscore's.

The columns of the options, which it lacks, are below, after PS3.15 2024e.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cache

from dicomanonymizer.dicomfields_selector import (  # type: ignore[import-untyped]
    dicom_anonymization_database_selector,
)
from pydicom.datadict import dictionary_has_tag, tag_for_keyword
from pydicom.tag import BaseTag

#: Edition of PS3.15 that the profile is taken from.
EDITION = "2026c"


class Action(Enum):
    """What becomes of an attribute; the value says it in a report."""

    KEEP = "kept"
    REMOVE = "removed"
    EMPTY = "emptied"
    DUMMY = "replaced by a dummy"
    UID = "replaced by another UID"
    PSEUDONYM = "replaced by a pseudonym"
    SHIFT = "moved in time"
    CLEAN = "cleaned"
    ITEMS = "kept, its items as listed"
    WAS_EMPTY = "empty already"
    MENTION = "emptied, since it repeats an identifying value"
    MALFORMED = "removed, since its value is none of its kind"
    REWRITTEN = "written anew"
    ADDED = "added"
    ABSENT = "not written"


@dataclass(frozen=True)
class Options:
    """Options of the profile, PS3.15 E.3.

    Attributes
    ----------
    shift_dates : bool
        Retain Longitudinal Temporal Information with Modified Dates: all dates of a patient are
        moved by the same time.
    keep_device : bool
        Retain Device Identity.
    keep_patient_characteristics : bool
        Retain Patient Characteristics: age, sex, size, weight and the like.
    clean_descriptors : bool
        Clean Descriptors: of descriptions and comments the words that name no one are kept.
    """

    shift_dates: bool = False
    keep_device: bool = False
    keep_patient_characteristics: bool = False
    clean_descriptors: bool = False

    @property
    def codes(self) -> tuple[tuple[str, str], ...]:
        """Code values and meanings of profile and options (PS3.16 CID 7050)."""
        chosen = (
            (True, "113100", "Basic Application Confidentiality Profile"),
            (self.clean_descriptors, "113105", "Clean Descriptors Option"),
            (
                self.shift_dates,
                "113107",
                "Retain Longitudinal Temporal Information Modified Dates Option",
            ),
            (self.keep_patient_characteristics, "113108", "Retain Patient Characteristics Option"),
            (self.keep_device, "113109", "Retain Device Identity Option"),
        )
        return tuple((value, meaning) for wanted, value, meaning in chosen if wanted)


def action_for(tag: BaseTag, vr: str, options: Options, conditional: bool) -> Action:
    """Return what becomes of an attribute.

    Parameters
    ----------
    tag : pydicom.tag.BaseTag
    vr : str
        Value representation.
    options : Options
    conditional : bool
        Whether an attribute that may be removed "unless required" (X/D and the like) is to be
        taken as required: within items and in enhanced images, where it often is.
    """
    # Groups below 8 are of commands, file meta and directories, and have no place in a data set;
    # of curves and overlays the profile takes the data, and the rest says nothing without them.
    if tag.is_private or tag.group < 0x0008 or tag.group >> 8 in (0x50, 0x60):
        return Action.REMOVE
    code = _profile().get(tag)
    option = _option(tag, vr, options)
    if option is not None and (code is not None or option is Action.SHIFT):
        return option
    if code is not None:
        return _basic(code, tag, vr, conditional)
    return _unlisted(tag, vr, options)


@cache
def _profile() -> dict[int, str]:
    """Return the action codes of table E.1-1 by tag."""
    table = dicom_anonymization_database_selector(f"dicomfields_{EDITION}")
    return {
        (tag[0] << 16) + tag[1]: category.removesuffix("_TAGS")
        for category, tags in table.items()
        if category != "ALL_TAGS"
        for tag in tags
        if len(tag) == 2
    }


def _basic(code: str, tag: BaseTag, vr: str, conditional: bool) -> Action:
    if tag in _PSEUDONYMS:
        return Action.PSEUDONYM
    if code == "X_Z_U_STAR":
        return Action.ITEMS if vr == "SQ" else Action.REMOVE
    if code.startswith("X_"):
        if not conditional:
            return Action.REMOVE
        return Action.EMPTY if code == "X_Z" else Action.DUMMY
    if code == "D" and vr == "UI":
        return Action.UID
    return {
        "X": Action.REMOVE,
        "Z": Action.EMPTY,
        "D": Action.DUMMY,
        "Z_D": Action.DUMMY,
        "U": Action.UID,
    }[code]


def _option(tag: BaseTag, vr: str, options: Options) -> Action | None:
    """Return what an option makes of an attribute, if it does."""
    kept = (options.keep_device and tag in _OF_DEVICE) or (
        options.keep_patient_characteristics and tag in _OF_PATIENT
    )
    if kept:
        return Action.ITEMS if vr == "SQ" else Action.KEEP
    # PS3.15 E.1.1 note 4: dates and times by their VR rather than by a list.
    if options.shift_dates and vr in ("DA", "DT", "TM") and tag not in _NEVER_SHIFTED:
        return Action.SHIFT
    cleaned = (options.clean_descriptors and tag in _DESCRIPTORS) or (
        options.keep_patient_characteristics and tag in _STATE_OF_PATIENT
    )
    if cleaned and vr in _TEXT:
        return Action.CLEAN
    if cleaned and vr == "SQ":
        return Action.CLEAN if tag in _CODED_DESCRIPTORS else Action.ITEMS
    return None


def _unlisted(tag: BaseTag, vr: str, options: Options) -> Action:
    """Decide on what the profile does not name, after E.1.1 notes 1 and 4: rather too strictly."""
    if not dictionary_has_tag(tag) or tag in _ALSO_REMOVED:
        return Action.REMOVE
    if vr == "SQ":
        return Action.ITEMS
    if vr == "UI":
        return Action.KEEP if tag in _COMMON_UIDS else Action.UID
    if vr in ("OB", "UN"):
        return Action.KEEP if tag in _PIXELS else Action.REMOVE
    if vr in _OPEN:  # Free text, names, addresses and times.
        return Action.REMOVE
    if vr in ("LO", "SH", "UC") and tag not in _TECHNICAL:
        return Action.CLEAN
    return Action.KEEP


def _tags(keywords: str) -> frozenset[int]:
    return frozenset(tag for word in keywords.split() if (tag := tag_for_keyword(word)) is not None)


_TEXT = frozenset({"LO", "LT", "SH", "ST", "UC", "UT", "CS"})
_OPEN = frozenset({"LT", "ST", "UT", "UR", "AE", "PN", "DA", "DT", "TM"})

_PSEUDONYMS = _tags("PatientID PatientName")
_NEVER_SHIFTED = _tags("PatientBirthDate PatientBirthTime GPSTimeStamp GPSDateStamp")
# They name classes and vocabularies, not instances.
_COMMON_UIDS = _tags(
    "SOPClassUID ReferencedSOPClassUID RelatedGeneralSOPClassUID OriginalSpecializedSOPClassUID "
    "CodingSchemeUID ContextUID MappingResourceUID"
)
_PIXELS = _tags("PixelData FloatPixelData DoubleFloatPixelData ICCProfile")
# Nobody can see what is in the first; the second is of a signature that is removed.
_ALSO_REMOVED = _tags("EncryptedAttributesSequence MACParametersSequence")

# Short texts that a scanner writes by itself; codes are looked at with their scheme.
_TECHNICAL = _tags(
    "Manufacturer ManufacturerModelName SoftwareVersions SequenceName PulseSequenceName "
    "ConvolutionKernel FilterType TypeOfFilters ImageFilter ReceiveCoilName TransmitCoilName "
    "MultiCoilElementName ReceiveCoilManufacturerName TransmitCoilManufacturerName ImagedNucleus "
    "CollimatorGridName Radionuclide Radiopharmaceutical RadiopharmaceuticalRoute "
    "ContrastBolusRoute AcquisitionMode PVCRejection ProcessingFunction DetectorManufacturerName "
    "DetectorManufacturerModelName PositionReferenceIndicator StackID RescaleType ModalityLUTType "
    "WindowCenterWidthExplanation LUTExplanation DimensionDescriptionLabel "
    "AttenuationCorrectionMethod ReconstructionMethod ScatterCorrectionMethod "
    "DetectorLinesOfResponseUsed TriggerSourceOrType CardiacFramingType EnergyWindowName "
    "SecondaryCaptureDeviceManufacturer SecondaryCaptureDeviceManufacturerModelName "
    "SecondaryCaptureDeviceSoftwareVersions DigitalImageFormatAcquired AlgorithmName "
    "AlgorithmVersion CodeValue LongCodeValue CodingSchemeDesignator CodingSchemeVersion "
    "CodingSchemeRegistry MappingResourceName"
)

_OF_DEVICE = _tags(
    "BeamHoldTransitionDateTime CalibrationDate CalibrationDateTime CalibrationTime CassetteID "
    "DateOfInstallation DateOfLastCalibration DateOfLastDetectorCalibration DateOfManufacture "
    "DateTimeOfLastCalibration DetectorID DeviceDescription DeviceLabel DeviceSerialNumber "
    "DeviceUID GantryID GeneratorID LensMake LensModel LensSerialNumber LensSpecification "
    "ManufacturerDeviceClassUID ManufacturerDeviceIdentifier ModifyingDeviceID ModifyingSystem "
    "PerformedStationGeographicLocationCodeSequence PerformedStationName "
    "PerformedStationNameCodeSequence PlateID ScheduledProcedureStepLocation "
    "ScheduledStationGeographicLocationCodeSequence ScheduledStationName "
    "ScheduledStationNameCodeSequence ScheduledStudyLocation SourceManufacturer "
    "SourceSerialNumber StationName TimeOfLastCalibration TimeOfLastDetectorCalibration "
    "TransducerIdentificationSequence TreatmentMachineName UDISequence UniqueDeviceIdentifier "
    "XRayDetectorID XRayDetectorLabel XRaySourceID"
)
_OF_PATIENT = _tags(
    "EthnicGroup PatientAge PatientSex PatientSexNeutered PatientSize PatientWeight "
    "PregnancyStatus SelectorASValue SmokingStatus"
)
_STATE_OF_PATIENT = _tags("Allergies PatientState PreMedication SpecialNeeds")
_CODED_DESCRIPTORS = _tags(
    "AdmittingDiagnosesCodeSequence ReasonForRequestedProcedureCodeSequence "
    "ReasonForVisitCodeSequence"
)
_DESCRIPTORS = _CODED_DESCRIPTORS | _tags(
    "AcquisitionComments AcquisitionDeviceProcessingDescription AcquisitionFieldOfViewLabel "
    "AcquisitionProtocolDescription AdditionalPatientHistory AdmittingDiagnosesDescription "
    "Allergies AnnotationGroupDescription AnnotationGroupLabel BeamDescription BolusDescription "
    "ClinicalTrialSeriesDescription ClinicalTrialTimePointDescription CommentsOnRadiationDose "
    "CommentsOnThePerformedProcedureStep CompensatorDescription "
    "ConceptualVolumeCombinationDescription ConceptualVolumeDescription ContainerDescription "
    "ContrastBolusAgent ContributionDescription DecompositionDescription DerivationDescription "
    "DischargeDiagnosisDescription DisplacementReferenceLabel DoseReferenceDescription "
    "EntityDescription EntityLabel EntityLongLabel EntityName "
    "EquipmentFrameOfReferenceDescription FilterLookupTableDescription "
    "FixationDeviceDescription FractionationNotes FractionGroupDescription FrameComments "
    "IdentifyingComments ImageComments ImagingServiceRequestComments Impressions "
    "InterlockDescription InterlockOriginDescription InterpretationDiagnosisDescription "
    "InterpretationText LabelText LongDeviceDescription MedicalAlerts "
    "MultienergyAcquisitionDescription Occupation PatientComments PatientSetupPhotoDescription "
    "PatientState PatientTreatmentPreparationMethodDescription "
    "PatientTreatmentPreparationProcedureParameterDescription PerformedProcedureStepDescription "
    "PositionAcquisitionTemplateDescription PositionAcquisitionTemplateName "
    "PrescriptionDescription PrescriptionNotes PrescriptionNotesSequence "
    "PriorTreatmentDoseDescription ProtocolName PyramidDescription PyramidLabel "
    "RadiationDoseIdentificationLabel RadiationDoseInVivoMeasurementLabel "
    "RadiationGenerationModeDescription RadiationGenerationModeLabel ReasonForOmissionDescription "
    "ReasonForStudy ReasonForSuperseding ReasonForTheAttributeModification "
    "ReasonForTheImagingServiceRequest ReasonForTheRequestedProcedure ReasonForVisit "
    "RequestAttributesSequence RequestedContrastAgent RequestedProcedureComments "
    "RequestedProcedureDescription RequestedSeriesDescription "
    "RespiratoryMotionCompensationTechniqueDescription ResultsComments ROIDescription "
    "ROIGenerationDescription ROIName ROIObservationDescription ROIObservationLabel "
    "RTPhysicianIntentNarrative RTPlanDescription RTPlanLabel RTPlanName RTPrescriptionLabel "
    "RTToleranceSetLabel RTTreatmentApproachLabel ScheduledProcedureStepDescription "
    "SelectorLOValue SelectorLTValue SelectorSHValue SelectorSTValue SelectorUTValue "
    "SeriesDescription ServiceEpisodeDescription SetupTechniqueDescription "
    "ShieldingDeviceDescription SpecimenDetailedDescription SpecimenShortDescription "
    "StructureSetDescription StructureSetLabel StructureSetName StudyComments StudyDescription "
    "TreatmentPositionGroupLabel TreatmentSite TreatmentSites TreatmentTechniqueNotes "
    "TreatmentToleranceViolationDescription UserContentLabel UserContentLongLabel VisitComments "
    "WaveformFilterDescription"
)
