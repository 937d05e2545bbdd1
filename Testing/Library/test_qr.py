import io
import subprocess
import sys

import numpy as np
import pytest
import qrcode
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter
from qrcode import util

from MedWatermarkLib import qr

NO_ZBAR = "ZBar's shared library is not installed (Debian: libzbar0)"
# What a claim of a diagnosis of 60 characters comes to.
CLAIM = b"MW1:" + (b"6BFOXN*TS0BI$ZDYSHTRMM2L3+96%8N:6" * 9)[:285]

# Runs of every kind, so that segments change mode, and characters that readers recode: bytes
# that are UTF-8, Latin-1, Shift JIS, or begin with a byte order mark.
messages = st.one_of(
    st.binary(min_size=1, max_size=400),
    st.text(min_size=1, max_size=80).map(
        lambda text: text.encode("utf-8", "surrogatepass") or b"\0"
    ),
    st.text("0123456789", min_size=1, max_size=500).map(str.encode),
    st.text(util.ALPHA_NUM.decode(), min_size=1, max_size=500).map(str.encode),
    st.lists(
        st.one_of(
            st.text("0123456789", min_size=1, max_size=30).map(str.encode),
            st.text(util.ALPHA_NUM.decode(), min_size=1, max_size=30).map(str.encode),
            st.binary(min_size=1, max_size=20),
        ),
        min_size=1,
        max_size=6,
    ).map(b"".join),
)


def bits_of(codewords: bytes) -> np.ndarray:
    return np.unpackbits(np.frombuffer(codewords, np.uint8)).astype(float)


def message_of(mode: int, version: int, fewer: int) -> bytes:
    """Fill a version, less a few characters, with characters that need this one mode."""
    rng = np.random.default_rng(version)
    alphabet = {
        util.MODE_NUMBER: b"0123456789",
        util.MODE_ALPHA_NUM: b"XYZ $%*+-./:",
        util.MODE_8BIT_BYTE: b"abc\xe4\xff\x00",
    }[mode]
    sixths = {util.MODE_NUMBER: 20, util.MODE_ALPHA_NUM: 33, util.MODE_8BIT_BYTE: 48}[mode]
    room = 8 * qr.capacity(version) - 4 - util.length_in_bits(mode, version)
    return bytes(rng.choice(list(alphabet), size=room * 6 // sixths - fewer).tolist())


@pytest.mark.parametrize("mode", [util.MODE_NUMBER, util.MODE_ALPHA_NUM, util.MODE_8BIT_BYTE])
@pytest.mark.parametrize("version", range(1, 41))
@pytest.mark.parametrize("fewer", [0, 1])
def test_the_symbol_is_the_qrcode_packages_own(mode, version, fewer):
    message = message_of(mode, version, fewer)
    code = qr.encode(message)

    other = qrcode.QRCode(error_correction=qrcode.ERROR_CORRECT_L, mask_pattern=0)
    other.add_data(message, optimize=0)
    other.make()
    assert code.version == other.version == version
    assert np.array_equal(code.modules, other.modules)


@given(messages)
@settings(max_examples=100, deadline=None)
def test_modules_of_exact_bits_are_the_symbol(message):
    codewords = qr.data_codewords(message)
    version = qr.version_for(len(codewords))
    values = qr.module_values(version, bits_of(codewords))

    other = qrcode.QRCode(error_correction=qrcode.ERROR_CORRECT_L, mask_pattern=0)
    for segment in qr._segments(message, version):
        other.add_data(segment)
    try:
        other.make()
    except ValueError as error:  # The package cannot divide a block of zeros.
        if "glog(0)" not in str(error):
            raise
    else:
        assert np.array_equal(values, np.array(other.modules, float))
    assert np.array_equal(values, qr.encode(message).modules)


@given(messages, st.integers(0, 40))
@settings(max_examples=200, deadline=None)
def test_data_codewords_give_the_message_back_with_or_without_pads(message, pads):
    codewords = qr.data_codewords(message)
    room = qr.capacity(qr.version_for(len(codewords))) - len(codewords)
    assert qr.from_data_codewords(codewords) == message
    assert qr.from_data_codewords(codewords + (b"\xec\x11" * 20)[: min(pads, room)]) == message


@given(messages)
@settings(max_examples=200, deadline=None)
def test_no_way_the_qrcode_package_splits_a_message_is_shorter(message):
    ours = len(qr.data_codewords(message))
    version = qr.version_for(ours)
    for minimum in (1, 4, 8, 20, 1000):
        buffer = util.BitBuffer()
        for segment in util.optimal_data_chunks(message, minimum):
            buffer.put(segment.mode, 4)
            buffer.put(len(segment), util.length_in_bits(segment.mode, version))
            segment.write(buffer)
        assert ours <= -(-(len(buffer) + 4) // 8)


def test_the_vector_of_the_format_holds():
    assert qr.data_codewords(b"MW1:").hex(" ") == "20 23 fe 0b 20"
    assert qr.encode(b"MW1:").version == 1


def test_a_claim_is_carried_alphanumerically():
    assert [segment.mode for segment in qr._segments(CLAIM, 9)] == [util.MODE_ALPHA_NUM]
    assert len(qr.data_codewords(CLAIM)) == 201
    assert qr.encode(CLAIM).version == 9


@pytest.mark.parametrize(
    ("character", "greatest"), [(b"\0", 2953), (b"A", 4296), (b"7", 7089), (b"\xff", 2953)]
)
def test_the_greatest_message_fits_and_one_more_is_refused_with_that_length(character, greatest):
    code = qr.encode(character * greatest)
    assert code.version == 40
    assert code.modules.shape == (177, 177)
    with pytest.raises(qr.MessageTooLongError, match=str(greatest)) as refused:
        qr.encode(character * (greatest + 1))
    assert refused.value.greatest == greatest


def test_an_empty_message_is_refused():
    with pytest.raises(qr.QRError, match="no message"):
        qr.encode(b"")


@pytest.mark.parametrize(
    "codewords",
    [
        b"",
        b"\0" * 2957,
        b"\0\0\0",  # terminator first
        b"\x40\xff\x41",  # 15 bytes said, fewer there
        b"\x70\x00\x00",  # an extended channel interpretation
        b"\x10\x0f\xff\xff",  # three digits that read 1023
        b"\x20\x17\xff\xff",  # two alphanumerics that read 2047
        b"\x20\x0f\xff\xff",  # one that reads 63
    ],
)
def test_malformed_codewords_are_refused(codewords):
    with pytest.raises(qr.QRError):
        qr.from_data_codewords(codewords)


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_codewords_give_a_message_or_a_qr_error(codewords):
    try:
        message = qr.from_data_codewords(codewords)
    except qr.QRError:
        return
    assert message


def test_doubtful_bits_leave_their_modules_grey_and_the_rest_certain():
    codewords = qr.data_codewords(CLAIM)
    version = qr.version_for(len(codewords))
    exact = qr.module_values(version, bits_of(codewords))
    bits = bits_of(codewords)
    bits[100:108] = 0.5 + 0.5 * (bits[100:108] - 0.5)
    doubtful = qr.module_values(version, bits)

    known = ~np.isin(doubtful, [0.25, 0.5, 0.75])
    assert np.array_equal(doubtful[known], exact[known])
    # 30 error correction codewords in each of two blocks (version 9, L).
    assert np.count_nonzero(doubtful == 0.5) == 8 * 60
    leaning = np.isin(doubtful, [0.25, 0.75])
    assert np.count_nonzero(leaning) == 8
    assert np.array_equal(doubtful[leaning] > 0.5, exact[leaning] > 0.5)


@pytest.mark.parametrize(
    ("version", "bits"),
    [(0, [0] * 8), (41, [0] * 8), (1, [0] * 7), (1, [0] * 160), (1, [1.5] * 8), (1, [np.nan] * 8)],
)
def test_module_values_refuses_what_is_no_probability_of_a_symbols_bits(version, bits):
    with pytest.raises(qr.QRError):
        qr.module_values(version, bits)


@pytest.fixture(params=["zbar", "zxing"])
def read(request):
    if request.param == "zxing":
        return qr._read_by_zxing
    if qr._zbar() is None:
        pytest.skip(NO_ZBAR)
    return qr._read_by_zbar


@given(message=messages)
@settings(max_examples=150, deadline=None)
def test_a_picture_of_any_bytes_reads_as_those_bytes(message):
    assert qr.decode(qr.picture(qr.encode(message).modules)) == message


@pytest.mark.parametrize(
    "message",
    [
        CLAIM,
        bytes(range(256)),
        b"Rundherd im linken Oberlappen, 7 mm: Verlaufskontrolle",
        "Größe".encode("latin-1"),
        "左肺上葉".encode(),
        "左肺上葉".encode("shift_jis"),
        b"\xef\xbb\xbfABC",
        b"\xff\xfe\0",
        b"\\~",
        b"\0",
    ],
)
def test_each_reader_alone_gives_the_bytes_as_they_were(read, message):
    assert read(np.asarray(qr.picture(qr.encode(message).modules))) == message


@pytest.mark.parametrize("version", [1, 6, 7, 9, 10, 20, 26, 27, 40])
def test_each_reader_alone_reads_every_size(read, version):
    code = qr.encode(message_of(util.MODE_8BIT_BYTE, version, 0))
    picture = np.asarray(qr.picture(code.modules, scale=4))
    assert read(picture) == message_of(util.MODE_8BIT_BYTE, version, 0)


def jpeg(picture: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file)


def badly_lit(picture: Image.Image) -> np.ndarray:
    pixels = np.asarray(picture, float)
    light = np.linspace(0.3, 0.8, pixels.shape[1])
    noise = np.random.default_rng(3).normal(0, 8, pixels.shape)
    return np.clip(light * pixels + 20 + noise, 0, 255).astype(np.uint8)


def askew(picture: Image.Image) -> Image.Image:
    n = picture.width
    # Maps output to input pixels: a tilt of the camera by some degrees.
    tilt = (1.08, 0.05, -0.05 * n, 0.02, 1.1, -0.06 * n, 0.1 / n, 0.06 / n)
    return picture.transform((n, n), Image.Transform.PERSPECTIVE, tilt, fillcolor=230)


@pytest.mark.parametrize(
    "seen",
    [
        lambda picture: picture,
        lambda picture: picture.rotate(17, Image.Resampling.BICUBIC, expand=True, fillcolor=255),
        lambda picture: picture.rotate(180),
        lambda picture: picture.filter(ImageFilter.GaussianBlur(1.3)),
        lambda picture: picture.resize((137, 137), Image.Resampling.BILINEAR),
        lambda picture: jpeg(picture, 20),
        badly_lit,
        askew,
        lambda picture: badly_lit(jpeg(askew(picture), 40)),
        lambda picture: picture.convert("RGB"),
        lambda picture: np.asarray(picture.convert("RGB")),
        lambda picture: np.asarray(picture).astype(np.uint16) * 250,
        lambda picture: Image.fromarray(np.asarray(picture).astype(np.uint16) * 250),
        lambda picture: np.asarray(picture) / 255 - 1000,
        lambda picture: np.asarray(picture) > 128,
        lambda picture: np.pad(np.asarray(picture), ((300, 400), (500, 90)), constant_values=170),
    ],
)
def test_a_claim_is_read_from_a_picture_as_people_take_them(seen):
    assert qr.decode(seen(qr.picture(qr.encode(CLAIM).modules, scale=4))) == CLAIM


@pytest.mark.parametrize("border", [0, 1, 4])
@pytest.mark.parametrize("scale", [1, 2, 3, 8])
def test_a_claim_is_read_at_any_size_and_without_a_quiet_zone(scale, border):
    picture = qr.picture(qr.encode(CLAIM).modules, scale, border)
    assert picture.size == ((53 + 2 * border) * scale,) * 2
    assert qr.decode(picture) == CLAIM


def test_a_picture_without_a_code_reads_as_none():
    rng = np.random.default_rng(5)
    assert qr.decode(rng.integers(0, 256, (200, 300), dtype=np.uint8)) is None
    assert qr.decode(np.zeros((40, 40))) is None


def test_without_zbars_library_pictures_are_read_by_zxing():
    # As on a machine without libzbar: pyzbar asks ctypes for it and fails to import.
    program = (
        "import ctypes.util, sys\n"
        "ctypes.util.find_library = lambda name: None\n"
        "from MedWatermarkLib import qr\n"
        "assert qr._zbar() is None\n"
        "message = bytes(range(256))\n"
        "assert qr.decode(qr.picture(qr.encode(message).modules)) == message\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_huge_message_is_refused_at_once() -> None:
    with pytest.raises(qr.MessageTooLongError) as error:
        qr.data_codewords(b"x" * 10_000_000)
    assert error.value.greatest == 2953
