import contextlib
import json
import os
import stat
from pathlib import Path

import base45
import cbor2
import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from MedWatermarkLib import claim as claims
from MedWatermarkLib import qr
from MedWatermarkLib.account import (
    KeyFileError,
    KeyFileExistsError,
    KeyFileVersionError,
    WrongPasswordError,
    create_key_file,
    load_account,
)
from MedWatermarkLib.claim import (
    Claim,
    ClaimError,
    DamagedClaimError,
    DiagnosisError,
    ForeignTextError,
    FutureVersionError,
    IdentifyingDiagnosisError,
    InvalidClaimError,
    TruncatedClaimError,
    check_diagnosis,
    sign,
)
from MedWatermarkLib.mention import _folded

# The vectors of Docs/formats.md.
AUTHORITY = Account.from_key(bytes.fromhex("46" * 32))
DIAGNOSIS = "Pulmonary nodule, 7 mm, left upper lobe; follow-up in 6 mon."
IMAGE_HASH = bytes(range(32))
SALT = bytes(range(16))
ISSUED_AT = 1_760_000_000
TEXT = (
    "MW1:C:G224X507H0QS00+0J61%H1CT1V+1572OI2/T2H-2 73AJ3TU31:35S70%EP$D..DALEM44V3E0%EPZCC34L443 "
    "DK44% CSUE4%EI9EBJE*VDYJCGL7X.C VD54ERX5*7EZEDB34L44-3EL%5100KB0*M0DY0W016C1PN1:Y1AF3 BT/10C9"
    "8+UOWZCIPH:Y0Q$9N/O.9V6+GYJO08P%X1JAQUG8T9K3SFO241KUDWPFW1Q L08M+LUIZ2DJSV%7*WESPL9+QL9R2UQWO"
    "1%-1A/DB/B"
)
COMMITMENT = "467dc03a8c17c6e79c2578140999863f48b8d63fe68dfde44cc17c26d4e2f8da"
SIGNATURE = (
    "e9c34665338af006264dccc57ef6f6859ec151c7290ddccf7f42369fe67b9620"
    "16f0d3cb6e0d98ac8baf6ef127160be0e03e2c7485aa9ed4bbd73dd2f20c410f"
)
DIGEST = "b6d4fb0da5bdefb0d40d0d98bcdd8d138efd31733c99eab6dc9d207ed04083f8"
SIGNER = "0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F"

# The second: parity 1, letters beyond ASCII, the earliest time.
UNICODE_DIAGNOSIS = "Größe 7 mm, 左肺上葉"
UNICODE_TEXT = (
    "MW1:C:G224X507H0QS00+0J61%H1CT1V+1572OI2/T2H-2 73AJ3TU31:3ME3*MEW4NZ6KC34L443 D674Y9NWHT9SN$E"
    "N2IT7GH100KB0*M0DY0W016C1PN1:Y1/10+48AIRWYB495U2W6YS.YKKUF TL7OQVWC4NMWRCD5I:T2GM2/19EJOLJ9L*P"
    "E.R$M19IJF:L8N6+WJU+V0PQDSJLWK/$IB I%UO93QXQR"
)

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
plain_texts = (
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=60)
    .map(lambda text: "".join(c for c in text if c not in claims._BIDI))
    .filter(str.strip)
)


@pytest.fixture(scope="module")
def claim():
    return sign(IMAGE_HASH, DIAGNOSIS, AUTHORITY, issued_at=ISSUED_AT, salt=SALT)


def text_of(items: list) -> str:
    """Write a claim's text around any items, with a checksum that agrees."""
    payload = cbor2.dumps([*items, bytes(4)])[:-4]
    return "MW1:" + base45.b45encode(payload + claims._checksum(payload)).decode()


def test_the_vectors_of_the_format_hold(claim):
    assert claim.to_text() == TEXT
    assert claim.commitment.hex() == COMMITMENT
    assert claim.signature.hex() == SIGNATURE
    assert claim.signer == SIGNER == AUTHORITY.address
    assert Claim.from_text(TEXT) == claim

    other = sign(IMAGE_HASH, UNICODE_DIAGNOSIS, AUTHORITY, issued_at=0, salt=SALT)
    assert other.to_text() == UNICODE_TEXT
    assert other.signature[32] >> 7 == 1
    assert Claim.from_text(UNICODE_TEXT) == other


def test_the_vectors_are_written_out_in_the_page_on_formats():
    page = (Path(__file__).parents[2] / "Docs" / "formats.md").read_text("utf-8")
    for text in (TEXT, UNICODE_TEXT):
        assert f"    {text}\n" in page
    joined = "".join(page.split())
    for vector in (COMMITMENT, SIGNATURE, DIGEST, SIGNER, base45.b45decode(TEXT[4:]).hex()):
        assert vector in joined


def test_the_commitment_is_what_a_contract_computes(claim):
    assert claim.commitment == keccak(SALT + IMAGE_HASH + keccak(DIAGNOSIS.encode()))


def test_the_signature_is_eip_712_by_the_standards_own_steps(claim):
    domain = keccak(
        keccak(b"EIP712Domain(string name,string version)") + keccak(b"MedWatermark") + keccak(b"1")
    )
    struct = keccak(
        keccak(b"Claim(bytes32 commitment,uint64 issuedAt)")
        + claim.commitment
        + ISSUED_AT.to_bytes(32)
    )
    digest = keccak(b"\x19\x01" + domain + struct)
    assert digest.hex() == DIGEST
    parity, s = divmod(int.from_bytes(claim.signature[32:]), 2**255)
    signature = claim.signature[:32] + s.to_bytes(32) + bytes([27 + parity])
    assert Account._recover_hash(digest, signature=signature) == SIGNER


def test_a_claim_of_a_usual_diagnosis_is_289_characters_that_a_qr_code_packs(claim):
    assert len(DIAGNOSIS) == 60
    assert len(claim.to_text()) == 289
    assert set(claim.to_text()) <= set(ALPHABET)
    assert len(qr.data_codewords(claim.to_text().encode())) == 201


@pytest.mark.parametrize("reader", ["zbar", "zxing"])
def test_the_qr_code_of_a_claim_is_read_by_either_reader(claim, reader):
    if reader == "zbar" and qr._zbar() is None:
        pytest.skip("ZBar's shared library is not installed (Debian: libzbar0)")
    read = {"zbar": qr._read_by_zbar, "zxing": qr._read_by_zxing}[reader]
    picture = qr.picture(qr.encode(claim.to_text().encode()).modules)
    message = read(qr._grey(picture))
    assert Claim.from_text(message.decode()) == claim


@given(plain_texts, st.integers(0, 2**64 - 1), st.binary(min_size=16, max_size=16))
@settings(max_examples=50, deadline=None)
def test_any_claim_reads_back_from_its_text(diagnosis, issued_at, salt):
    claim = sign(IMAGE_HASH, diagnosis, AUTHORITY, issued_at=issued_at, salt=salt)
    assert claim.signer == SIGNER
    assert Claim.from_text(claim.to_text()) == claim
    assert Claim.from_text(f" {claim.to_text()}\r\n") == claim


def test_two_claims_of_the_same_diagnosis_have_commitments_that_differ():
    first, second = (sign(IMAGE_HASH, DIAGNOSIS, AUTHORITY) for _ in range(2))
    assert first.salt != second.salt
    assert first.commitment != second.commitment


def test_what_looks_the_same_on_two_keyboards_is_signed_the_same():
    composed, decomposed = (
        sign(IMAGE_HASH, text, AUTHORITY, issued_at=ISSUED_AT, salt=SALT)
        for text in ("Gr\u00f6\u00dfe 7 mm", " Gro\u0308\u00dfe 7 mm\n")
    )
    assert composed == decomposed


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_damage_to_any_character_is_noticed(data):
    place = data.draw(st.integers(0, len(TEXT) - 1))
    other = data.draw(st.sampled_from(ALPHABET + "a~é€").filter(lambda c: c != TEXT[place]))
    expected = DamagedClaimError
    if place < 4:
        expected = (ForeignTextError, FutureVersionError)
    elif cbor_head_is_at(place) or other == " ":
        # A length that grew: the rest seems to be missing. Or a last character that is white.
        expected = (DamagedClaimError, TruncatedClaimError)
    with pytest.raises(expected):
        Claim.from_text(TEXT[:place] + other + TEXT[place + 1 :])


def cbor_head_is_at(place: int) -> bool:
    """Tell whether a character of the text touches a head of the CBOR's items."""
    heads = {0, 1, 2, 35, 36, 97, 114, 115, 116, 117, 118, 119, 120, 185}
    return not heads.isdisjoint({(place - 4) // 3 * 2, (place - 4) // 3 * 2 + 1})


@pytest.mark.parametrize("length", range(2, len(TEXT)))
def test_a_text_cut_anywhere_is_called_truncated(length):
    with pytest.raises(TruncatedClaimError):
        Claim.from_text(TEXT[:length])


@given(st.integers(4, len(TEXT) - 1), st.text(ALPHABET, min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_characters_put_in_are_noticed(place, more):
    with pytest.raises((DamagedClaimError, TruncatedClaimError)):
        Claim.from_text(TEXT[:place] + more + TEXT[place:])


@pytest.mark.parametrize("more", ["0", "AB", "C:G", "0000"])
def test_characters_after_the_end_are_damage(more):
    with pytest.raises(DamagedClaimError):
        Claim.from_text(TEXT + more)


@pytest.mark.parametrize(
    "text", ["", "M", "https://example.org", "mw1:C:G", "HC1:6BF", "MW:", "MW0:AB", "MW01:AB", "é"]
)
def test_another_text_is_called_foreign(text):
    with pytest.raises(ForeignTextError):
        Claim.from_text(text)


@pytest.mark.parametrize("version", [2, 10, 9999])
def test_a_later_versions_text_says_its_version(version):
    with pytest.raises(FutureVersionError, match=str(version)) as refused:
        Claim.from_text(f"MW{version}:WHATEVER")
    assert refused.value.version == version


@given(st.text(ALPHABET, max_size=300).map("MW1:".__add__) | st.text(max_size=40))
@settings(max_examples=300, deadline=None)
def test_no_text_raises_anything_but_a_claim_error(text):
    with pytest.raises(ClaimError):
        Claim.from_text(text)


@given(st.recursive(st.none() | st.integers() | st.binary() | st.text(), st.lists, max_leaves=9))
@settings(max_examples=100, deadline=None)
def test_other_cbor_under_a_right_checksum_is_invalid(content):
    payload = cbor2.dumps(content)
    with pytest.raises(ClaimError):
        Claim.from_text("MW1:" + base45.b45encode(payload + claims._checksum(payload)).decode())
    if isinstance(content, list):
        with pytest.raises(InvalidClaimError):
            Claim.from_text(text_of(content))


def test_a_forged_claim_reads_and_recovers_to_its_forger(claim):
    forger = Account.from_key(bytes.fromhex("66" * 32))
    forged = sign(IMAGE_HASH, "No finding.", forger, issued_at=ISSUED_AT, salt=SALT)
    assert Claim.from_text(forged.to_text()).signer == forger.address

    # Somebody's signature put under another diagnosis is nobody's that anyone knows.
    items = [IMAGE_HASH, "No finding.", SALT, ISSUED_AT, claim.signature]
    assert Claim.from_text(text_of(items)).signer not in (SIGNER, forger.address)


@pytest.mark.parametrize(
    "change",
    [
        {0: bytes(31)},
        {0: "x" * 32},
        {1: ""},
        {1: b"Nodule"},
        {1: "Nodule\n"},
        {2: bytes(15)},
        {3: -1},
        {3: 2**64},
        {3: 1.76e9},
        {3: True},
        {4: bytes(64)},
        {4: bytes(65)},
        {4: b"\xff" * 64},
    ],
)
def test_a_field_that_is_none_is_refused_under_a_right_checksum(claim, change):
    items = [IMAGE_HASH, DIAGNOSIS, SALT, ISSUED_AT, claim.signature]
    for place, value in change.items():
        items[place] = value
    with pytest.raises((InvalidClaimError, DiagnosisError)):
        Claim.from_text(text_of(items))


def test_the_same_claim_written_otherwise_is_refused(claim):
    items = [IMAGE_HASH, DIAGNOSIS, SALT, ISSUED_AT, claim.signature]
    payload = cbor2.dumps([*items, bytes(4)])[:-4]
    loose = b"\x9f" + payload[1:]  # An array of indefinite length.
    rest = claims._checksum(loose) + b"\xff"
    longer = payload.replace(b"\x1a\x68", b"\x1b\0\0\0\0\x68")  # Eight bytes for a time of four.
    assert longer != payload
    for text in (
        base45.b45encode(loose + rest),
        base45.b45encode(longer + claims._checksum(longer)),
    ):
        with pytest.raises(ClaimError):
            Claim.from_text("MW1:" + text.decode())


def test_the_second_signature_of_a_signature_is_refused(claim):
    # (r, n - s) with the other parity signs the same; it fits 255 bits only where s > n - 2^255.
    order = (
        0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141  # SEC 2, 2.4.1
    )
    s = 2**255 - 1
    assert order // 2 < s < order
    with pytest.raises(InvalidClaimError, match="canonical"):
        Claim(IMAGE_HASH, DIAGNOSIS, SALT, ISSUED_AT, claim.signature[:32] + s.to_bytes(32))


@pytest.mark.parametrize(
    "diagnosis",
    ["", "  ", "a\0b", "two\nlines", "tab\tbed", "\x85", "\ud800", "a\u2028b", "\u202eevah"],
)
def test_a_diagnosis_that_cannot_be_shown_as_it_is_is_refused(diagnosis):
    with pytest.raises(DiagnosisError):
        sign(IMAGE_HASH, diagnosis, AUTHORITY)


@pytest.mark.parametrize(
    "diagnosis", ["左肺上葉に結節", "گره ریوی می‌شود", "فحص طبيعي", "गाँठ", "👩‍⚕️ ok", "a \U0010fffd"]
)
def test_a_diagnosis_of_any_script_is_signed(diagnosis):
    claim = sign(IMAGE_HASH, diagnosis, AUTHORITY)
    assert Claim.from_text(claim.to_text()).diagnosis == diagnosis


def test_neither_hash_nor_diagnosis_is_in_a_claims_repr(claim):
    assert DIAGNOSIS not in repr(claim)
    assert "\\x00\\x01" not in repr(claim)


def test_another_domain_or_chain_recovers_to_somebody_else(claim):
    message = encode_typed_data(
        {"name": "MedWatermark", "version": "1", "chainId": 1},
        {
            "Claim": [
                {"name": "commitment", "type": "bytes32"},
                {"name": "issuedAt", "type": "uint64"},
            ]
        },
        {"commitment": claim.commitment, "issuedAt": ISSUED_AT},
    )
    signed = AUTHORITY.sign_message(message)
    signature = signed.r.to_bytes(32) + (signed.s | (signed.v - 27) << 255).to_bytes(32)
    assert Claim(IMAGE_HASH, DIAGNOSIS, SALT, ISSUED_AT, signature).signer != SIGNER


NAMED = {
    "PatientName": "Müller-Lüdenscheidt^Ánna Maria^^Dr.^",
    "PatientID": "0012-345 678",
    "PatientBirthDate": "19700131",
    "ReferringPhysicianName": "O'Brien^Séamus",
    "OtherPatientNames": "Li^Wu\\Łukasz^Jan",
    "InstitutionName": "St. Mary's Hospital",
    "PatientAddress": "12 Elm Street, Springfield\nUSA",
    "PatientTelephoneNumbers": "+1 (555) 010-4477",
    "AccessionNumber": "ACC4711",
    "PatientSex": "M",
    "PatientAge": "047Y",
    "StudyTime": "120000",
}


@pytest.mark.parametrize(
    ("keyword", "diagnosis"),
    [
        ("PatientName", "Nodule; Mrs. Müller-Lüdenscheidt was told."),
        ("PatientName", "MULLER LUDENSCHEIDT"),
        ("PatientName", "nodule, muellerluedenscheidt"),
        ("PatientName", "nodule of anna, 7 mm"),
        ("PatientName", "ANNA-MARIA: no finding"),
        ("PatientName", "a_n_n_a"),
        ("PatientName", "A\u0301nna"),
        ("PatientName", "Mueller: no finding"),
        ("ReferringPhysicianName", "as said by obrien"),
        ("ReferringPhysicianName", "as said by O\u2019BRIEN"),
        ("ReferringPhysicianName", "Dr Seamus"),
        ("OtherPatientNames", "Wu Li, no finding"),
        ("OtherPatientNames", "LI, WU: no finding"),
        ("OtherPatientNames", "Lukasz has a nodule"),
        ("PatientID", "ID 0012345678"),
        ("PatientID", "(12345678)"),
        ("PatientID", "00-12-34-56-78"),
        ("InstitutionName", "st marys hospital, ward 3"),
        ("PatientAddress", "lives at 12, Elm Street"),
        ("PatientTelephoneNumbers", "call +1 555 / 0104477"),
        ("AccessionNumber", "acc 4711"),
        ("PatientBirthDate", "born 1970-01-31"),
        ("PatientBirthDate", "born 19700131"),
        ("PatientBirthDate", "born 31.01.1970, nodule"),
        ("PatientBirthDate", "* 31.1.70"),
        ("PatientBirthDate", "01/31/1970"),
        ("PatientBirthDate", "1/31/70"),
        ("PatientBirthDate", "31 January 1970"),
        ("PatientBirthDate", "31-JAN-1970"),
        ("PatientBirthDate", "January 31st, 1970"),
        ("PatientBirthDate", "31. Januar 1970"),
        ("PatientBirthDate", "31 de enero de 1970"),
        ("PatientBirthDate", "1970年1月31日"),
        ("PatientBirthDate", "31011970"),
    ],
)
def test_a_diagnosis_that_names_somebody_is_refused_by_attribute_and_without_value(
    keyword, diagnosis
):
    with pytest.raises(IdentifyingDiagnosisError, match=keyword) as refused:
        check_diagnosis(diagnosis, NAMED)
    assert refused.value.keyword == keyword
    message = _folded(str(refused.value), False)
    for value in (
        "muller",
        "anna ",
        "obrien",
        "1970",
        "345",
        "4711",
        "mary",
        "elm",
        "0104",
        "wu",
        "lukasz",
    ):
        assert value not in message


@pytest.mark.parametrize(
    "diagnosis",
    [
        DIAGNOSIS,
        "47-year-old male, M1a, T12 fracture at 12:00:00",
        "Planar xanthoma; the patient's annual follow-up was on 31 May 2020",
        "Lesion 31 x 1 x 70 mm, 12 345 HU",
        "Hospital-acquired pneumonia in the USA, St. p. appendectomy, Mary-Jane 3 mm",
        "Mullerian duct remnant in January 1970",
        "Li-Fraumeni syndrome, wu",
        "19700132 and 31.10.1970 and 131.01.1970",
        "1234 567891, 345 678, 12345",
    ],
)
def test_a_diagnosis_that_names_nobody_passes(diagnosis):
    check_diagnosis(diagnosis, NAMED)


def test_values_that_identify_nobody_are_passed_over():
    check_diagnosis(
        "CT head of an anonymous male patient, unknown cause, 47Y, M; 12 mm; phantom pain at T12",
        {
            "PatientName": "Anonymous^Male",
            "OtherPatientNames": "",
            "PatientID": "12",
            "PatientBirthDate": "",
            "PatientSex": "M",
            "PatientAge": "47Y",
            "InstitutionName": "CT",
            "StationName": "T12",
            "InstitutionalDepartmentName": "UNKNOWN",
            "ReferringPhysicianName": "^^^^",
            "OperatorsName": "Head^Phantom",
            "AccessionNumber": "NONE",
            "StudyID": "007",
        },
    )


@pytest.mark.parametrize(
    ("name", "diagnosis"),
    [
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "山田様の左肺に結節"),
        ("Hong^Gildong=洪^吉洞=홍^길동", "홍길동의 폐결절"),
        ("李^明", "患者李明左肺结节"),
        ("Петров^Иван", "У пациента ПЕТРОВ узел 7 мм"),
        ("Παπαδόπουλος^Νίκος", "ο ΠΑΠΑΔΟΠΟΥΛΟΣ έχει όζο"),
    ],
)
def test_names_of_other_scripts_are_found(name, diagnosis):
    with pytest.raises(IdentifyingDiagnosisError):
        check_diagnosis(diagnosis, {"PatientName": name})


def test_an_attribute_that_the_dictionary_does_not_know_is_checked_and_named():
    with pytest.raises(IdentifyingDiagnosisError, match="WardBook"):
        check_diagnosis("Seen as WB-77 K", {"WardBook": "WB77K"})


@given(st.dates(), st.sampled_from(["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d %B %Y", "%y-%m-%d"]))
@settings(max_examples=200, deadline=None)
def test_any_date_of_birth_is_found_as_people_write_it(date, form):
    identity = {"PatientBirthDate": f"{date:%d}" and date.strftime("%Y%m%d").zfill(8)}
    written = date.strftime(form.replace("%Y", f"{date.year:04d}"))
    with pytest.raises(IdentifyingDiagnosisError):
        check_diagnosis(f"Nodule, patient born on {written}.", identity)


@given(st.dictionaries(st.sampled_from([*NAMED, "X"]), st.text(max_size=30)), st.text(max_size=30))
@settings(max_examples=200, deadline=None)
def test_no_value_breaks_the_check(identity, diagnosis):
    with contextlib.suppress(IdentifyingDiagnosisError):
        check_diagnosis(diagnosis, identity)


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "authority.json"
    create_key_file(path, "pässwörd 密", iterations=2)
    return path


def test_a_key_file_opens_with_its_password_to_the_account_it_was_made_for(tmp_path):
    path = tmp_path / "authority.json"
    address = create_key_file(path, "pässwörd 密", iterations=2)
    account = load_account(path, "pässwörd 密")
    assert account.address == address
    assert sign(IMAGE_HASH, DIAGNOSIS, account).signer == address
    content = json.loads(path.read_text())
    assert content["version"] == 3
    assert bytes(account.key).hex() not in path.read_text()


def test_the_default_cost_is_that_of_other_ethereum_software(tmp_path):
    path = tmp_path / "authority.json"
    create_key_file(path, "password")
    assert json.loads(path.read_text())["crypto"]["kdfparams"]["n"] == 2**18


def test_the_test_vector_of_web3_secret_storage_opens(tmp_path):
    # From the Ethereum wiki's page on the format: PBKDF2-SHA-256, "testpassword".
    path = tmp_path / "vector.json"
    crypto = {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
        "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
        "kdf": "pbkdf2",
        "kdfparams": {
            "c": 262144,
            "dklen": 32,
            "prf": "hmac-sha256",
            "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd",
        },
        "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
    }
    content = {"crypto": crypto, "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6", "version": 3}
    path.write_text(json.dumps(content))
    key = load_account(path, "testpassword").key
    assert bytes(key).hex() == "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no file modes")
def test_a_key_file_is_its_owners_alone(key_file):
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600


def test_a_key_file_is_never_overwritten_and_nothing_lies_beside_it(key_file):
    before = key_file.read_bytes()
    with pytest.raises(KeyFileExistsError, match=key_file.name):
        create_key_file(key_file, "other", iterations=2)
    assert key_file.read_bytes() == before
    assert list(key_file.parent.iterdir()) == [key_file]


def test_a_key_file_needs_a_password_and_a_folder(tmp_path):
    with pytest.raises(KeyFileError, match="password"):
        create_key_file(tmp_path / "a.json", "", iterations=2)
    with pytest.raises(KeyFileError, match="No such file"):
        create_key_file(tmp_path / "missing" / "a.json", "password", iterations=2)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_password_is_called_so_and_not_repeated(key_file):
    with pytest.raises(WrongPasswordError) as refused:
        load_account(key_file, "passwort-123")
    assert "passwort-123" not in str(refused.value)
    assert key_file.name in str(refused.value)


@pytest.mark.parametrize("version", [1, 2, 4, "3"])
def test_a_key_file_of_another_version_is_called_so(key_file, version):
    content = json.loads(key_file.read_text())
    key_file.write_text(json.dumps(content | {"version": version}))
    with pytest.raises(KeyFileVersionError, match=str(version)):
        load_account(key_file, "pässwörd 密")


def changed(*path, to):
    def change(content):
        inner = content
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = to

    return change


@pytest.mark.parametrize(
    "change",
    [
        changed("crypto", to={}),
        changed("crypto", "mac", to=None),
        changed("crypto", "kdf", to="argon2id"),
        changed("crypto", "kdfparams", "n", to=3),
        changed("crypto", "kdfparams", "n", to="2"),
        changed("crypto", "kdfparams", "salt", to="no hex"),
        changed("crypto", "cipherparams", "iv", to="00"),
        changed("address", to="00" * 20),
        changed("version", to=None),
    ],
)
def test_a_damaged_key_file_is_called_so(key_file, change):
    content = json.loads(key_file.read_text())
    change(content)
    key_file.write_text(json.dumps(content))
    with pytest.raises(KeyFileError, match="damaged") as refused:
        load_account(key_file, "pässwörd 密")
    assert type(refused.value) is KeyFileError


@pytest.mark.parametrize("content", [b"", b"{", b"[3]", b'"3"', b"\xff\xfe", b"null"])
def test_another_file_is_no_key_file(tmp_path, content):
    path = tmp_path / "authority.json"
    path.write_bytes(content)
    with pytest.raises(KeyFileError, match="not a key file"):
        load_account(path, "password")


def test_a_missing_key_file_is_called_so(tmp_path):
    with pytest.raises(KeyFileError, match="No such file"):
        load_account(tmp_path / "none.json", "password")
