"""What the contracts' custom errors mean, in words for a clinician or an administrator.

Each error of ``ImageRegistry`` and ``FairExchange``, of the parts of OpenZeppelin that they are
made of, and of ERC-20 tokens (ERC-6093) that tell why they refuse a payment.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.abi import function_signature_to_4byte_selector
from eth_utils.address import to_checksum_address

from MedWatermarkLib.ledger_errors import RefusedError, refusal
from MedWatermarkLib.sale import SaleState


class CustomError(RefusedError):
    """A contract refused with one of the errors that it defines.

    Its kinds say what to do about it; `arguments` are those of Solidity.
    """

    SIGNATURE: ClassVar[str]
    SENTENCE: ClassVar[str]

    def __init__(self, *arguments: Any) -> None:
        shown = map(_shown, self.types(), arguments)
        name = self.SIGNATURE.partition("(")[0]
        super().__init__(name, arguments, self.SENTENCE.format(*shown))

    @classmethod
    def types(cls) -> list[str]:
        """Types of the arguments in the ABI."""
        return [kind for kind in cls.SIGNATURE[:-1].partition("(")[2].split(",") if kind]


class EmptyPeriodError(CustomError):
    """A period that ends before it begins, or is over."""

    SIGNATURE = "EmptyPeriod()"
    SENTENCE = (
        "The period of accreditation would be empty: let it end after it begins; "
        "one that is over cannot be ended again."
    )


class NoSuchPeriodError(CustomError):
    """A period that was never given."""

    SIGNATURE = "NoSuchPeriod()"
    SENTENCE = "There is no such period of accreditation; look at the ones there are."


class NotAccreditedError(CustomError):
    """The authority may not vouch for the institution, or might not when it signed."""

    SIGNATURE = "NotAccredited(address,address)"
    SENTENCE = (
        "The authority {1} is not accredited for the institution {0}, or was not when it signed; "
        "ask the consortium's administrator for accreditation."
    )


class FromTheFutureError(CustomError):
    """A time that the chain has not reached."""

    SIGNATURE = "FromTheFuture(uint64)"
    SENTENCE = (
        "The chain's clock has not reached {0}, the time that was given; "
        "check this computer's clock, and try again in a minute."
    )


class ClaimIsRevokedError(CustomError):
    """The authority took its claim back."""

    SIGNATURE = "ClaimIsRevoked(bytes32)"
    SENTENCE = "The authority took this claim back; have the scan marked with a new one."


class KeyIsInvalidatedError(CustomError):
    """The authority's key is not trusted any more."""

    SIGNATURE = "KeyIsInvalidated(address,uint64)"
    SENTENCE = (
        "The key of the authority {0} is disowned since {1}, being lost or stolen; "
        "have the claim signed with its new key."
    )


class AlreadyInvalidatedError(CustomError):
    """The key is disowned since an earlier time."""

    SIGNATURE = "AlreadyInvalidated(uint64)"
    SENTENCE = "The key is disowned since {0} already; only an earlier time can be set."


class AlreadyRegisteredError(CustomError):
    """The record or the batch is registered."""

    SIGNATURE = "AlreadyRegistered(bytes32)"
    SENTENCE = "{0} is registered already; nothing is left to do."


class NotRegisteredError(CustomError):
    """The record is not registered, or was revoked."""

    SIGNATURE = "NotRegistered(bytes32)"
    SENTENCE = "The record {0} is not registered, or was revoked; register it first."


class NotTheInstitutionError(CustomError):
    """Somebody else's record."""

    SIGNATURE = "NotTheInstitution(address)"
    SENTENCE = "The record is made out to the institution {0}, which must register it itself."


class NotTheOwnerError(CustomError):
    """The record belongs to somebody else."""

    SIGNATURE = "NotTheOwner(address)"
    SENTENCE = "The record belongs to {0}, which alone can do this; use its account."


class NotTheAuthorityError(CustomError):
    """Neither the key's owner nor an accreditor."""

    SIGNATURE = "NotTheAuthority()"
    SENTENCE = "A key is disowned by the authority itself or by an accreditor; use such an account."


class NotInBatchError(CustomError):
    """The record, the place, the path or the signer are not the batch's."""

    SIGNATURE = "NotInBatch()"
    SENTENCE = "The record is not in this batch at this place, or its claim has another signer."


class CopyExistsError(CustomError):
    """The number is taken."""

    SIGNATURE = "CopyExists(uint32)"
    SENTENCE = "There is a copy number {0} of this record already; mark it with another number."


class EmptyBatchError(CustomError):
    """A batch without records."""

    SIGNATURE = "EmptyBatch()"
    SENTENCE = "The batch holds no records; put at least one in."


class PartialTagError(CustomError):
    """Tags that are not 8 bytes each."""

    SIGNATURE = "PartialTag()"
    SENTENCE = "The tags of the batch are not 8 bytes each; make the batch again."


class NoOwnerError(CustomError):
    """The zero address as owner."""

    SIGNATURE = "NoOwner()"
    SENTENCE = "A record cannot be handed over to nobody; give the new owner's address."


class RoleMissingError(CustomError):
    """The account is not an administrator of the consortium."""

    SIGNATURE = "AccessControlUnauthorizedAccount(address,bytes32)"
    SENTENCE = (
        "The account {0} may not do this; it takes an account that the consortium's "
        "administrator gave the role to."
    )


class RoleConfirmationError(CustomError):
    """A role can be laid down by its bearer alone."""

    SIGNATURE = "AccessControlBadConfirmation()"
    SENTENCE = "An account can lay down its own roles alone; use the account that has the role."


class InvalidSignatureError(CustomError):
    """A signature that is nobody's."""

    SIGNATURE = "ECDSAInvalidSignature()"
    SENTENCE = "The authority's signature is damaged; have the claim signed again."


class SignatureLengthError(CustomError):
    """A signature of another length."""

    SIGNATURE = "ECDSAInvalidSignatureLength(uint256)"
    SENTENCE = "The authority's signature has {0} bytes and not 64; have the claim signed again."


class MalleableSignatureError(CustomError):
    """A signature that is not in its one form."""

    SIGNATURE = "ECDSAInvalidSignatureS(bytes32)"
    SENTENCE = (
        "The authority's signature is not in canonical form, as if it had been tampered with; "
        "have the claim signed again."
    )


class NotTheSellerError(CustomError):
    """Only the owner in the terms may."""

    SIGNATURE = "NotTheOwner()"
    SENTENCE = "Only the owner who is named in the terms of the sale can do this; use its account."


class NotTheRecipientError(CustomError):
    """Only the recipient in the terms may."""

    SIGNATURE = "NotTheRecipient()"
    SENTENCE = "Only the recipient who is named in the terms of the sale can do this."


class NotAPartyError(CustomError):
    """Neither owner nor recipient."""

    SIGNATURE = "NotAParty()"
    SENTENCE = "Only the owner and the recipient of the sale can settle it; use one's account."


class WrongStateError(CustomError):
    """The sale is not where this can be done."""

    SIGNATURE = "WrongState(uint8)"
    SENTENCE = "The sale is {0}, where this cannot be done."

    def __init__(self, state: int) -> None:
        super().__init__(SaleState(state))


class WindowOutOfRangeError(CustomError):
    """A window that is too short or too long."""

    SIGNATURE = "WindowOutOfRange()"
    SENTENCE = "The times to reveal and to complain must be from one hour to 90 days each."


class EmptyPackageError(CustomError):
    """A package of no bytes."""

    SIGNATURE = "EmptyPackage()"
    SENTENCE = "The package that is offered is empty; seal it again."


class OfferExpiredError(CustomError):
    """Too late to accept."""

    SIGNATURE = "OfferExpired()"
    SENTENCE = "The offer is over; ask the owner for a new one."


class TooEarlyError(CustomError):
    """The other side still has time."""

    SIGNATURE = "TooEarly(uint64)"
    SENTENCE = "The other side has time until {0}; try again after it."


class WrongPaymentError(CustomError):
    """Another amount arrived than was due."""

    SIGNATURE = "WrongPayment(uint256)"
    SENTENCE = "Exactly {0} units must be paid in; a token that keeps a part cannot be used."


class WrongKeyError(CustomError):
    """Not the key that was committed to."""

    SIGNATURE = "WrongKey()"
    SENTENCE = "This is not the key of the sale; use the one that was made when it was offered."


class WrongChunkSizeError(CustomError):
    """A chunk of another size than 1,024 bytes."""

    SIGNATURE = "WrongChunkSize()"
    SENTENCE = "A complaint takes one chunk of 1,024 bytes; pad the last one with zeros."


class NotInCipherTreeError(CustomError):
    """The chunk is not what was offered."""

    SIGNATURE = "NotInCipherTree()"
    SENTENCE = "The chunk is not what was offered at this place; download the package again."


class NotInPackageTreeError(CustomError):
    """The leaf is not what was offered."""

    SIGNATURE = "NotInPackageTree()"
    SENTENCE = "The leaf is not the package's at this place; fetch the package's leaves again."


class ChunkIsRightError(CustomError):
    """Nothing to complain about."""

    SIGNATURE = "ChunkIsRight()"
    SENTENCE = "This chunk is as it was promised, so there is no ground for a complaint."


class NoCreditError(CustomError):
    """Nothing to withdraw."""

    SIGNATURE = "NoCredit()"
    SENTENCE = "Nothing is kept for this account at the exchange."


class TransferFailedError(CustomError):
    """The receiver does not take the money."""

    SIGNATURE = "TransferFailed()"
    SENTENCE = "The receiver does not take the payment; have it paid to another address."


class TokenFailedError(CustomError):
    """The token refused a transfer."""

    SIGNATURE = "SafeERC20FailedOperation(address)"
    SENTENCE = "The token {0} refused the transfer; check that it is a token, and the balance."


class TokenBalanceError(CustomError):
    """Too few tokens."""

    SIGNATURE = "ERC20InsufficientBalance(address,uint256,uint256)"
    SENTENCE = "The account {0} holds {1} units of the token, and {2} are needed: pay in first."


class TokenAllowanceError(CustomError):
    """The exchange may not take that much."""

    SIGNATURE = "ERC20InsufficientAllowance(address,uint256,uint256)"
    SENTENCE = "{0} may take {1} units of the token, and {2} are needed: allow them first."


class ReentrancyError(CustomError):
    """A contract called back where it may not."""

    SIGNATURE = "ReentrancyGuardReentrantCall()"
    SENTENCE = "The account called the exchange while it was being paid; use an ordinary account."


_KINDS = {
    function_signature_to_4byte_selector(kind.SIGNATURE): kind
    for kind in CustomError.__subclasses__()
}


def typed_refusal(data: bytes) -> RefusedError:
    """Return what a contract said when it refused.

    Parameters
    ----------
    data : bytes
        What the call returned: a selector and its arguments, or nothing.

    Returns
    -------
    RefusedError
        A `CustomError` of the contracts' own, or what can be said of another.
    """
    kind = _KINDS.get(data[:4])
    if kind is None:
        return refusal(data)
    try:
        values = zip(kind.types(), decode(kind.types(), data[4:]), strict=True)
        return kind(*(to_checksum_address(v) if t == "address" else v for t, v in values))
    except (DecodingError, ValueError):
        return refusal(data)


def _shown(kind: str, value: Any) -> str:
    """Write an argument as people know it."""
    if kind == "bytes32":
        return f"0x{value.hex()}"
    if kind == "uint64":  # Every number of 64 bits in these errors is a time.
        return _time(value)
    return value.name.lower() if isinstance(value, SaleState) else str(value)


def _time(seconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):
        return f"{seconds} seconds after 1970"
