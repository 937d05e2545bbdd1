"""Identity files that open quickly: age files whose passphrase costs nearly nothing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from pathlib import Path

from Crypto.Cipher import ChaCha20_Poly1305

from MedWatermarkLib.sealing import Identity

# Of scrypt, the logarithm of its cost; age itself takes one that lasts a second.
_LOG_COST = 4


def quick_identity_file(path: Path, password: str) -> str:
    """Make a new identity, write its file as ``age --passphrase`` does, return its public key."""
    identity = Identity.generate()
    text = f"# public key: {identity.recipient}\n{identity.text}\n".encode()
    file_key, salt, nonce = (secrets.token_bytes(16) for _ in range(3))
    wrapping = hashlib.scrypt(
        password.encode(),
        salt=b"age-encryption.org/v1/scrypt" + salt,
        n=2**_LOG_COST,
        r=8,
        p=1,
        dklen=32,
    )
    header = b"age-encryption.org/v1\n-> scrypt " + _base64(salt) + f" {_LOG_COST}\n".encode()
    header += _base64(_encrypted(wrapping, bytes(12), file_key)) + b"\n---"
    mac = hmac.digest(_derived(file_key, b"", b"header"), header, "sha256")
    # A single chunk, and so the last.
    last = bytes(11) + b"\x01"
    payload = _encrypted(_derived(file_key, nonce, b"payload"), last, text)
    path.write_bytes(header + b" " + _base64(mac) + b"\n" + nonce + payload)
    return identity.recipient


def _derived(key: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF with SHA-256 (RFC 5869), to 32 bytes."""
    extracted = hmac.digest(salt or bytes(32), key, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def _encrypted(key: bytes, nonce: bytes, text: bytes) -> bytes:
    cipher = ChaCha20_Poly1305.new(key=key, nonce=nonce)
    encrypted, tag = cipher.encrypt_and_digest(text)
    return bytes(encrypted + tag)


def _base64(content: bytes) -> bytes:
    return base64.b64encode(content).rstrip(b"=")
