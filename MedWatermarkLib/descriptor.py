"""Descriptions of studies and series without what could name someone.

No list of names is ever whole, so what is kept is what is known: words of anatomy, technique and
position, and numbers with a unit. All else goes, misspelt words and foreign languages with it.
"""

from __future__ import annotations

import re
from functools import cache

from pydicom import Dataset
from pydicom.sr.codedict import codes

_VOCABULARY = (
    # Anatomy.
    "abdomen abdominal adrenal ankle aorta aortic arch arm arterial artery axilla biliary bladder "
    "body bone bones bowel brain brainstem breast bronchi cardiac carotid cerebellum cerebral "
    "cervical chest clavicle coccyx colon cord coronary cranial cranium ear elbow esophagus "
    "extremity eye face facial femur fibula finger foot forearm hand head heart hip humerus iac "
    "jaw joint kidney knee larynx leg limb liver lower lumbar lung lungs mandible maxilla "
    "mediastinum nasal neck orbit orbits pancreas parotid pelvis petrous pharynx pituitary "
    "prostate pulmonary radius renal rib ribs sacrum scapula sella shoulder sinus sinuses skull "
    "spinal spine spleen sternum stomach temporal thigh thoracic thorax thyroid tibia tmj toe "
    "trachea ulna upper ureter uterus vascular vein venous ventricle vessel vessels wrist "
    # Position and planes.
    "anterior ax axial bilateral cor coronal decubitus feet first inferior lateral left medial "
    "oblique posterior prone right sag sagittal superior supine tra trans transversal transverse "
    # Modalities and technique.
    "3d 2d adc angio angiogram angiography arterial asl attenuation attenuated average averaged "
    "bold breath calibration cbct cine contrast corrected ct cta ctp delayed diffusion dixon dose "
    "dsa dti dual dwi dynamic ecg echo enhanced ep epi fast fat fatsat field fiesta fl2d fl3d "
    "flair flash fmri fse gadolinium gated gd ge gradient gre haste helical high hires hold "
    "hr hrct inversion iodine ir iv kernel kv low mag magnitude map mapping mip minip mp2rage mpr "
    "mprage mr mra mri mrs mrv multiphase native nac noncontrast nuclear oral perfusion pet phase "
    "plain planning portal post pre proton pd pdw radiography recon reconstruction reformat "
    "reformatted resolution rest resting routine sat scan screening se sequence series sharp "
    "single slab smooth soft space spair spgr spect spectroscopy spin spiral spectral spir "
    "standard std stir stress suppressed suppression survey susceptibility swi t1 t1w t2 t2w "
    "t2star technique test thick thin time tirm tissue tof tomography topogram trufi tse turbo "
    "ultrasound us venography vibe view volume volumetric weighted whole window with without wo "
    "w x xray "
    # Kinds of image.
    "acquisition color colour derived fusion image images localiser localizer mask monitoring "
    "original overview phantom primary report scout screen secondary segmentation slice slices "
    "smartprep scanogram subtracted subtraction summary "
    # Findings and procedures, in the plainest words.
    "acute aneurysm baseline biopsy bleeding cancer chronic control cyst dementia edema "
    "embolism emergency exam examination fever follow followup fracture headache hemorrhage "
    "infarct infection infarction intervention ischemia lesion lesions mass meningioma "
    "metastases metastasis nodule normal pain pneumonia preoperative postoperative protocol "
    "restaging seizure seizures staging stenosis stroke study surgery surgical therapy "
    "thrombosis trauma treatment tumor tumour up vertigo "
    # What joins them.
    "and after at before during for from in no not of off on or per the to via"
)
_WORDS = frozenset(_VOCABULARY.split())
_NUMBER_WITH_UNIT = re.compile(
    r"(?<![\w.])\d{1,3}(?:\.\d{1,3})? ?(?:mm|cm|ms|kv|kvp|mas|ma|hu|mm2|mm3|deg|%|hz|tesla)(?!\w)",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]+")

# Codes of schemes whose form cannot hold a name (PS3.16 section 8).
_CODE_FORMS = {
    "DCM": r"\d{5,6}",
    "SCT": r"\d{6,18}",
    "SRT": r"[A-Z]\d?-[0-9A-F]{4,6}",
    "SNM3": r"[A-Z]\d?-[0-9A-F]{4,6}",
    "LN": r"\d{1,5}-\d",
    "RADLEX": r"RID\d{1,6}",
    "I10": r"[A-Z]\d[0-9A-Z](\.[0-9A-Z]{1,4})?",
    "I10C": r"[A-Z]\d[0-9A-Z](\.[0-9A-Z]{1,4})?",
    "I9C": r"[0-9EV]\d{2}(\.\d{1,2})?",
}


def cleaned_text(text: str) -> str:
    """Return the words of a description that name no one.

    Parameters
    ----------
    text : str
        A description or comment, such as Series Description.

    Returns
    -------
    str
        Words of anatomy and technique, and numbers with a unit, in their order; perhaps none.

    Examples
    --------
    >>> cleaned_text("T1_mprage SAG 1.0mm, Mr. Miller 4711")
    'T1 mprage SAG 1.0mm'
    """
    kept: list[str] = []
    position = 0
    for number in [*_NUMBER_WITH_UNIT.finditer(text), None]:
        end = len(text) if number is None else number.start()
        kept += [word for word in _WORD.findall(text[position:end]) if _is_harmless(word)]
        if number is not None:
            kept.append(number[0])
            position = number.end()
    return " ".join(kept)


def _is_harmless(word: str) -> bool:
    return word.lower() in _WORDS and word != "Mr"


def is_common_code(item: Dataset) -> bool:
    """Tell whether an item of a code sequence is of a scheme whose codes cannot hold a name."""
    form = _CODE_FORMS.get(str(item.get("CodingSchemeDesignator", "")))
    return form is not None and re.fullmatch(form, str(item.get("CodeValue", ""))) is not None


def meaning_of(item: Dataset) -> str:
    """Return what a code means without what could name someone.

    Parameters
    ----------
    item : pydicom.Dataset
        Of a code sequence.

    Returns
    -------
    str
        The standard's meaning of its code where that is known; else of the meaning that it gives
        the words that name no one, or the code itself, if its scheme leaves no room for a name;
        else "".
    """
    scheme, value = str(item.get("CodingSchemeDesignator", "")), str(item.get("CodeValue", ""))
    if meaning := _meanings(scheme).get(value):
        return meaning
    cleaned = cleaned_text(str(item.get("CodeMeaning", "")))
    return cleaned or (value if is_common_code(item) else "")


@cache
def _meanings(scheme: str) -> dict[str, str]:
    """Return the meanings of the codes of a scheme that PS3.16 uses."""
    try:
        concepts = getattr(codes, scheme).concepts
    except AttributeError:
        return {}
    longest_first = sorted(concepts.values(), key=lambda code: -len(code.meaning))
    return {code.value: code.meaning for code in longest_first}


def clean_code(item: Dataset) -> None:
    """Leave of an item of a code sequence the code, and of its meaning what names no one."""
    for element in list(item):
        if element.keyword not in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning"):
            del item[element.tag]
    item.CodeMeaning = meaning_of(item)
