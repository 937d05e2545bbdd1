"""Compact signatures (EIP-2098) of EIP-712 structs in the domain of MedWatermark.

The domain names neither chain nor contract: what is signed in it is a statement that is true
anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data
from eth_account.signers.local import LocalAccount

SIZE = 64
_DOMAIN = {"name": "MedWatermark", "version": "1"}
_TYPES = {
    "Claim": {"commitment": "bytes32", "issuedAt": "uint64"},
    "Batch": {"root": "bytes32", "count": "uint64", "issuedAt": "uint64"},
}
# Order of the curve secp256k1 (SEC 2, 2.4.1).
_ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141


class SignatureError(ValueError):
    """A signature that nobody can have made, or that is not in its one form."""


def sign_struct(name: str, values: Mapping[str, Any], account: LocalAccount) -> bytes:
    """Sign a struct.

    Parameters
    ----------
    name : str
        ``"Claim"`` or ``"Batch"``.
    values : mapping
        Its members, by their names in Solidity.
    account : eth_account.signers.local.LocalAccount
        Who signs.

    Returns
    -------
    bytes
        64 bytes: r, and s with the parity of y in its first bit.
    """
    signed = account.sign_message(_message(name, values))
    s_and_parity = signed.s | (signed.v - 27) << 255
    return bytes(signed.r.to_bytes(32) + s_and_parity.to_bytes(32))


def signer_of(name: str, values: Mapping[str, Any], signature: bytes) -> str:
    """Recover who signed a struct.

    Parameters
    ----------
    name, values
        As for `sign_struct`.
    signature : bytes
        64 bytes.

    Returns
    -------
    str
        The address, with checksum (EIP-55). Of a forgery it is just another address.

    Raises
    ------
    SignatureError
        If the signature has not 64 bytes, is not canonical (EIP-2), or nobody's.
    """
    r, vs = halves(signature)
    parity, s = divmod(int.from_bytes(vs), 2**255)
    # The greater s would make a second signature of the first (EIP-2).
    if not 0 < int.from_bytes(r) < _ORDER or not 0 < s <= _ORDER // 2:
        raise SignatureError("The signature is not in canonical form.")
    full = r + s.to_bytes(32) + bytes([27 + parity])
    try:
        return str(Account.recover_message(_message(name, values), signature=full))
    except Exception as error:  # eth-keys raises its own BadSignature, eth-account others.
        raise SignatureError("The signature is nobody's.") from error


def halves(signature: bytes) -> tuple[bytes, bytes]:
    """Return r and vs of a signature, as the contracts take them.

    Raises
    ------
    SignatureError
        If it has not 64 bytes.
    """
    if not isinstance(signature, bytes) or len(signature) != SIZE:
        raise SignatureError(f"The signature is not {SIZE} bytes.")
    return signature[:32], signature[32:]


def _message(name: str, values: Mapping[str, Any]) -> SignableMessage:
    members = [{"name": member, "type": kind} for member, kind in _TYPES[name].items()]
    return encode_typed_data(_DOMAIN, {name: members}, dict(values))
