// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {MerklePath} from "./MerklePath.sol";

/// @title Who may vouch for an image, and what was vouched for
/// @notice Accredited authorities (radiologists) sign claims; the institutions (hospitals) that they are accredited for
/// register the marked images. Only commitments, roots, addresses and times stand here: nothing about a patient.
/// @dev A record's fields stand in the event of its registration and its id is their hash, so that one slot of state is
/// enough for each. Whoever has the fields computes the id and asks for its entry.
contract ImageRegistry is AccessControl {
    /// @notice What is registered for one marked image.
    /// @param commitment The claim's: keccak256(salt ‖ image hash ‖ keccak256(diagnosis)).
    /// @param issuedAt When the authority signed the claim, in seconds since 1970.
    /// @param tag The first 8 bytes of the SHA-256 of the message that every slice carries.
    /// @param voxelRoot The Merkle root over the tiles of the marked image.
    /// @param packageRoot The Merkle root over the chunks of the sealed package.
    /// @param chunkCount How many chunks the sealed package has.
    /// @param contentCommitment The hash of the identity that opens the sealed package.
    /// @param institution Who registers it.
    struct Record {
        bytes32 commitment;
        uint64 issuedAt;
        bytes8 tag;
        bytes32 voxelRoot;
        bytes32 packageRoot;
        uint64 chunkCount;
        bytes32 contentCommitment;
        address institution;
    }

    /// @notice A copy of a registered image, marked with a number of its own for one recipient.
    /// @param number The copy number in the mark.
    /// @param recipient A commitment to who it was made for.
    /// @param voxelRoot As in a record.
    /// @param packageRoot As in a record.
    /// @param chunkCount As in a record.
    /// @param contentCommitment As in a record.
    struct Copy {
        uint32 number;
        bytes32 recipient;
        bytes32 voxelRoot;
        bytes32 packageRoot;
        uint64 chunkCount;
        bytes32 contentCommitment;
    }

    /// @notice Many records under one root, signed once.
    /// @param root The Merkle root over the ids of the records.
    /// @param count How many records there are.
    /// @param issuedAt When the authority signed the batch, in seconds since 1970.
    /// @param institution Who registers it.
    /// @param authority Who signed it, and the claim of each record.
    struct Batch {
        bytes32 root;
        uint64 count;
        uint64 issuedAt;
        address institution;
        address authority;
    }

    /// @notice A time in which an authority may vouch for an institution: `from` is within it, `until` is not.
    struct Period {
        uint64 from;
        uint64 until;
    }

    enum State {
        None,
        Registered,
        Revoked
    }

    /// @notice What is kept for a record.
    struct Entry {
        address owner;
        uint64 registeredAt;
        State state;
    }

    /// @notice What is kept for a batch: when it was registered, and since when its authority had been accredited.
    struct BatchEntry {
        uint64 registeredAt;
        uint64 accreditedFrom;
    }

    event Accredited(address indexed institution, address indexed authority, uint256 period, uint64 from, uint64 until);
    event AccreditationEnded(address indexed institution, address indexed authority, uint256 period, uint64 until);
    event Invalidated(address indexed authority, uint64 since);
    event ClaimRevoked(address indexed authority, bytes32 indexed commitment);
    event Registered(
        bytes32 indexed id,
        bytes32 indexed voxelRoot,
        bytes8 indexed tag,
        bytes32 commitment,
        uint64 issuedAt,
        bytes32 packageRoot,
        uint64 chunkCount,
        bytes32 contentCommitment,
        address institution,
        address authority
    );
    event BatchRegistered(
        bytes32 indexed id,
        address indexed institution,
        address indexed authority,
        bytes32 root,
        uint64 count,
        uint64 issuedAt,
        bytes tags
    );
    event CopyAdded(
        bytes32 indexed id,
        bytes32 indexed voxelRoot,
        uint32 indexed number,
        bytes32 recipient,
        bytes32 packageRoot,
        uint64 chunkCount,
        bytes32 contentCommitment
    );
    event Revoked(bytes32 indexed id);
    event OwnershipTransferred(bytes32 indexed id, address indexed from, address indexed to);
    event Granted(bytes32 indexed id, bytes32 indexed recipient, bytes32 packageRoot);
    event Withdrawn(bytes32 indexed id, bytes32 indexed recipient);

    error EmptyPeriod();
    error NoSuchPeriod();
    error NotAccredited(address institution, address authority);
    error FromTheFuture(uint64 time);
    error ClaimIsRevoked(bytes32 commitment);
    error KeyIsInvalidated(address authority, uint64 since);
    error AlreadyInvalidated(uint64 since);
    error AlreadyRegistered(bytes32 id);
    error NotRegistered(bytes32 id);
    error NotTheInstitution(address institution);
    error NotTheOwner(address owner);
    error NotTheAuthority();
    error NotInBatch();
    error CopyExists(uint32 number);
    error EmptyBatch();
    error PartialTag();
    error NoOwner();

    /// @notice Who may accredit authorities; the default administrator of AccessControl says who that is.
    bytes32 public constant ACCREDITOR_ROLE = keccak256("ACCREDITOR_ROLE");

    // A claim is a statement that is true anywhere, so its EIP-712 domain names neither chain nor contract.
    bytes32 private constant DOMAIN = keccak256(
        abi.encode(keccak256("EIP712Domain(string name,string version)"), keccak256("MedWatermark"), keccak256("1"))
    );
    bytes32 private constant CLAIM_TYPE = keccak256("Claim(bytes32 commitment,uint64 issuedAt)");
    bytes32 private constant BATCH_TYPE = keccak256("Batch(bytes32 root,uint64 count,uint64 issuedAt)");
    uint256 private constant TAG_SIZE = 8;

    mapping(bytes32 id => Entry) private _entries;
    mapping(bytes32 id => BatchEntry) private _batches;
    mapping(bytes32 id => mapping(uint32 number => bytes32)) private _copies;
    // Slither does not see that `accredit` pushes to it, through a reference into storage.
    // slither-disable-next-line uninitialized-state
    mapping(address institution => mapping(address authority => Period[])) private _periods;
    mapping(address authority => mapping(bytes32 commitment => bool)) private _revokedClaims;
    // 0 says never, which is why the time itself is kept plus one.
    mapping(address authority => uint64) private _invalidSincePlusOne;

    /// @param administrator Who has both roles at first: says who accredits, and accredits.
    constructor(address administrator) {
        _grantRole(DEFAULT_ADMIN_ROLE, administrator);
        _grantRole(ACCREDITOR_ROLE, administrator);
    }

    // --- Authorities ---

    /// @notice Let an authority vouch for an institution in a period.
    /// @return period The number of the period, which `register` is told.
    function accredit(address institution, address authority, uint64 from, uint64 until)
        external
        onlyRole(ACCREDITOR_ROLE)
        returns (uint256 period)
    {
        if (from >= until) revert EmptyPeriod();
        Period[] storage periods = _periods[institution][authority];
        period = periods.length;
        periods.push(Period(from, until));
        emit Accredited(institution, authority, period, from, until);
    }

    /// @notice End a period now. What was registered in it stands.
    function endAccreditation(address institution, address authority, uint256 period)
        external
        onlyRole(ACCREDITOR_ROLE)
    {
        Period[] storage periods = _periods[institution][authority];
        if (period >= periods.length) revert NoSuchPeriod();
        uint64 present = uint64(block.timestamp);
        if (periods[period].until <= present) revert EmptyPeriod();
        periods[period].until = present;
        emit AccreditationEnded(institution, authority, period, present);
    }

    /// @notice Disown whatever was registered under an authority's key since a time, and will be: the key was lost or
    /// stolen. The time can be moved to an earlier one and never back; the authority goes on with a new key.
    /// @dev It is the time of registration that counts, since a thief can date a claim back. The authority may call this,
    /// and so may an accreditor, for a key that is gone. A thief of the key can too, and makes less trusted, never more.
    function invalidateSince(address authority, uint64 since) external {
        if (msg.sender != authority && !hasRole(ACCREDITOR_ROLE, msg.sender)) revert NotTheAuthority();
        if (since > block.timestamp) revert FromTheFuture(since);
        uint64 present = _invalidSincePlusOne[authority];
        if (present != 0 && since + 1 >= present) revert AlreadyInvalidated(present - 1);
        _invalidSincePlusOne[authority] = since + 1;
        emit Invalidated(authority, since);
    }

    /// @notice Take back one claim that the caller signed, wherever it is registered or not.
    function revokeClaim(bytes32 commitment) external {
        if (_revokedClaims[msg.sender][commitment]) revert ClaimIsRevoked(commitment);
        _revokedClaims[msg.sender][commitment] = true;
        emit ClaimRevoked(msg.sender, commitment);
    }

    // --- Records ---

    /// @notice Register a marked image.
    /// @dev The caller is the institution in the record, so that a registration which is seen on its way cannot be made
    /// by another. Whoever signed must be accredited for it now, and must have been so in the same period when it signed.
    /// A claim names no institution: another that its authority is accredited for as well, and that holds the claim, can
    /// register it in its own name. It does not hinder this one, and the times tell which was first.
    /// @param record The fields.
    /// @param period In which period of accreditation.
    /// @param r The first half of the authority's signature of the claim.
    /// @param vs The second half, in the compact form of EIP-2098.
    /// @return id The hash of the record.
    function register(Record calldata record, uint256 period, bytes32 r, bytes32 vs) external returns (bytes32 id) {
        if (msg.sender != record.institution) revert NotTheInstitution(record.institution);
        address authority = _claimSigner(record, r, vs);
        _checkPeriod(record.institution, authority, period, record.issuedAt);
        id = _enter(record, authority, uint64(block.timestamp));
    }

    /// @notice Register many records at once.
    /// @dev The tags are not proved; they are told so that a tag that was read from an image leads to its batch.
    /// @param root The Merkle root over the ids of the records.
    /// @param issuedAt When the authority signed the batch.
    /// @param tags The tags of the records, 8 bytes each, in their order.
    /// @param period In which period of accreditation.
    /// @param r The first half of the authority's signature of the batch.
    /// @param vs The second half, in the compact form of EIP-2098.
    /// @return id The hash of the batch.
    function registerBatch(bytes32 root, uint64 issuedAt, bytes calldata tags, uint256 period, bytes32 r, bytes32 vs)
        external
        returns (bytes32 id)
    {
        if (tags.length == 0) revert EmptyBatch();
        if (tags.length % TAG_SIZE != 0) revert PartialTag();
        uint64 count = uint64(tags.length / TAG_SIZE);
        address authority = _signer(keccak256(abi.encode(BATCH_TYPE, root, count, issuedAt)), r, vs);
        _checkKey(authority, uint64(block.timestamp));
        uint64 from = _checkPeriod(msg.sender, authority, period, issuedAt);
        id = batchId(Batch(root, count, issuedAt, msg.sender, authority));
        if (_batches[id].registeredAt != 0) revert AlreadyRegistered(id);
        _batches[id] = BatchEntry(uint64(block.timestamp), from);
        emit BatchRegistered(id, msg.sender, authority, root, count, issuedAt, tags);
    }

    /// @notice Give a record of a batch an entry of its own, so that it can be revoked, granted, copied and handed over.
    /// @dev Anyone may; the entry is the institution's, and bears the time of the batch.
    /// @param batch The batch.
    /// @param record The record in it.
    /// @param index Where it stands in it.
    /// @param path Its path to the batch's root.
    /// @param r The first half of the authority's signature of the record's claim.
    /// @param vs The second half, in the compact form of EIP-2098.
    /// @return id The hash of the record.
    function registerFromBatch(
        Batch calldata batch,
        Record calldata record,
        uint64 index,
        bytes32[] calldata path,
        bytes32 r,
        bytes32 vs
    ) external returns (bytes32 id) {
        uint64 registeredAt = batchedAt(batch, record, index, path);
        if (registeredAt == 0 || _claimSigner(record, r, vs) != batch.authority) revert NotInBatch();
        id = _enter(record, batch.authority, registeredAt);
    }

    /// @notice Add a copy that is marked for one recipient.
    function addCopy(bytes32 id, Copy calldata copy_) external {
        _checkOwner(id);
        if (_copies[id][copy_.number] != 0) revert CopyExists(copy_.number);
        _copies[id][copy_.number] = copyHash(copy_);
        emit CopyAdded(
            id,
            copy_.voxelRoot,
            copy_.number,
            copy_.recipient,
            copy_.packageRoot,
            copy_.chunkCount,
            copy_.contentCommitment
        );
    }

    /// @notice Take a record back, for good.
    function revoke(bytes32 id) external {
        _checkOwner(id);
        _entries[id].state = State.Revoked;
        emit Revoked(id);
    }

    /// @notice Hand a record over to another owner.
    function transferOwnership(bytes32 id, address to) external {
        _checkOwner(id);
        if (to == address(0)) revert NoOwner();
        _entries[id].owner = to;
        emit OwnershipTransferred(id, msg.sender, to);
    }

    /// @notice Note that a recipient was given a package without payment.
    /// @param recipient A commitment to who it is.
    function grant(bytes32 id, bytes32 recipient, bytes32 packageRoot) external {
        _checkOwner(id);
        emit Granted(id, recipient, packageRoot);
    }

    /// @notice Note that a grant was taken back. What was received cannot be.
    function withdraw(bytes32 id, bytes32 recipient) external {
        _checkOwner(id);
        emit Withdrawn(id, recipient);
    }

    // --- What anyone can ask ---

    /// @notice The entry of a record; its state is None where there is none.
    function entry(bytes32 id) external view returns (Entry memory) {
        return _entries[id];
    }

    /// @notice The hash of the copy with a number, or 0.
    function copyOf(bytes32 id, uint32 number) external view returns (bytes32) {
        return _copies[id][number];
    }

    /// @notice The periods in which an authority may vouch, or might, for an institution.
    function periodsOf(address institution, address authority) external view returns (Period[] memory) {
        return _periods[institution][authority];
    }

    /// @notice Whether an authority took one of its claims back.
    function isClaimRevoked(address authority, bytes32 commitment) external view returns (bool) {
        return _revokedClaims[authority][commitment];
    }

    /// @notice Since when what is registered under an authority's key is disowned; the greatest number where it is not.
    function invalidSince(address authority) public view returns (uint64) {
        uint64 plusOne = _invalidSincePlusOne[authority];
        return plusOne == 0 ? type(uint64).max : plusOne - 1;
    }

    /// @notice When a batch was registered that holds a record at an index, or 0 if it does not.
    /// @dev A claim must have been signed before its batch and in the same period of accreditation. Whether its record
    /// has an entry that was revoked, its claim was taken back, or its authority's key was invalidated, is asked apart.
    function batchedAt(Batch calldata batch, Record calldata record, uint64 index, bytes32[] calldata path)
        public
        view
        returns (uint64)
    {
        BatchEntry memory kept = _batches[batchId(batch)];
        bytes32 leaf = MerklePath.leaf(index, abi.encode(recordId(record)));
        bool within = record.institution == batch.institution && record.issuedAt <= batch.issuedAt
            && record.issuedAt >= kept.accreditedFrom && MerklePath.holds(batch.root, batch.count, index, leaf, path);
        return within ? kept.registeredAt : 0;
    }

    /// @notice The id of a record.
    function recordId(Record calldata record) public pure returns (bytes32) {
        return keccak256(abi.encode(record));
    }

    /// @notice The id of a batch.
    function batchId(Batch memory batch) public pure returns (bytes32) {
        return keccak256(abi.encode(batch));
    }

    /// @notice The hash of a copy.
    function copyHash(Copy calldata copy_) public pure returns (bytes32) {
        return keccak256(abi.encode(copy_));
    }

    // --- Parts ---

    function _enter(Record calldata record, address authority, uint64 time) private returns (bytes32 id) {
        _checkKey(authority, time);
        if (_revokedClaims[authority][record.commitment]) revert ClaimIsRevoked(record.commitment);
        id = recordId(record);
        if (_entries[id].state != State.None) revert AlreadyRegistered(id);
        _entries[id] = Entry(record.institution, time, State.Registered);
        emit Registered(
            id,
            record.voxelRoot,
            record.tag,
            record.commitment,
            record.issuedAt,
            record.packageRoot,
            record.chunkCount,
            record.contentCommitment,
            record.institution,
            authority
        );
    }

    function _checkOwner(bytes32 id) private view {
        Entry memory kept = _entries[id];
        if (kept.state != State.Registered) revert NotRegistered(id);
        if (kept.owner != msg.sender) revert NotTheOwner(kept.owner);
    }

    function _checkKey(address authority, uint64 registeredAt) private view {
        uint64 since = invalidSince(authority);
        if (registeredAt >= since) revert KeyIsInvalidated(authority, since);
    }

    function _checkPeriod(address institution, address authority, uint256 number, uint64 issuedAt)
        private
        view
        returns (uint64 from)
    {
        if (issuedAt > block.timestamp) revert FromTheFuture(issuedAt);
        Period[] storage periods = _periods[institution][authority];
        if (number >= periods.length) revert NotAccredited(institution, authority);
        Period memory period = periods[number];
        if (issuedAt < period.from || block.timestamp >= period.until) revert NotAccredited(institution, authority);
        return period.from;
    }

    function _claimSigner(Record calldata record, bytes32 r, bytes32 vs) private pure returns (address) {
        return _signer(keccak256(abi.encode(CLAIM_TYPE, record.commitment, record.issuedAt)), r, vs);
    }

    function _signer(bytes32 structHash, bytes32 r, bytes32 vs) private pure returns (address) {
        // It refuses signatures whose s is in the upper half, so that each has one form only.
        return ECDSA.recover(MessageHashUtils.toTypedDataHash(DOMAIN, structHash), r, vs);
    }
}
