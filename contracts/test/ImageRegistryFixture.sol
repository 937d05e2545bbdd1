// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";
import {ImageRegistry} from "../src/ImageRegistry.sol";
import {MerkleTree} from "./MerkleTree.sol";

/// @notice A registry on which one radiologist is accredited for one hospital, and what they have to register.
/// @dev What is signed is spelled here again, as EIP-712 has it, and shares nothing with the contract.
abstract contract ImageRegistryFixture is Test {
    uint64 internal constant FROM = 1_800_000_000;
    uint64 internal constant UNTIL = FROM + 365 days;
    uint64 internal constant NOW = FROM + 30 days;
    uint256 internal constant BATCH_SIZE = 5;

    ImageRegistry internal registry;
    address internal administrator = makeAddr("administrator");
    address internal hospital = makeAddr("hospital");
    address internal rival = makeAddr("another hospital");
    address internal radiologist;
    uint256 internal radiologistKey;
    address internal stranger;
    uint256 internal strangerKey;

    function setUp() public virtual {
        vm.warp(NOW);
        (radiologist, radiologistKey) = makeAddrAndKey("radiologist");
        (stranger, strangerKey) = makeAddrAndKey("stranger");
        registry = new ImageRegistry(administrator);
        _accredit(hospital, radiologist, FROM, UNTIL);
    }

    // --- What is registered ---

    function _record() internal view returns (ImageRegistry.Record memory) {
        return _record(0);
    }

    function _record(uint256 number) internal view returns (ImageRegistry.Record memory) {
        return ImageRegistry.Record({
            commitment: keccak256(abi.encode("commitment", number)),
            issuedAt: NOW - 1 hours,
            tag: bytes8(keccak256(abi.encode("tag", number))),
            voxelRoot: keccak256(abi.encode("voxels", number)),
            packageRoot: keccak256(abi.encode("package", number)),
            chunkCount: 100_000,
            contentCommitment: keccak256(abi.encode("content", number)),
            institution: hospital
        });
    }

    function _copy(uint32 number) internal pure returns (ImageRegistry.Copy memory) {
        return ImageRegistry.Copy({
            number: number,
            recipient: keccak256("recipient"),
            voxelRoot: keccak256("voxels of the copy"),
            packageRoot: keccak256("package of the copy"),
            chunkCount: 100_001,
            contentCommitment: keccak256("content of the copy")
        });
    }

    function _records() internal view returns (ImageRegistry.Record[] memory records) {
        records = new ImageRegistry.Record[](BATCH_SIZE);
        for (uint256 i = 0; i < records.length; ++i) {
            records[i] = _record(i);
        }
    }

    function _leaves(ImageRegistry.Record[] memory records) internal pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](records.length);
        for (uint64 i = 0; i < records.length; ++i) {
            leaves[i] = MerkleTree.leafHash(i, bytes.concat(keccak256(abi.encode(records[i]))));
        }
    }

    function _tags(ImageRegistry.Record[] memory records) internal pure returns (bytes memory tags) {
        for (uint256 i = 0; i < records.length; ++i) {
            tags = bytes.concat(tags, records[i].tag);
        }
    }

    function _batch(ImageRegistry.Record[] memory records) internal view returns (ImageRegistry.Batch memory) {
        return ImageRegistry.Batch({
            root: MerkleTree.root(_leaves(records)),
            count: uint64(records.length),
            issuedAt: NOW,
            institution: hospital,
            authority: radiologist
        });
    }

    // --- Signatures ---

    function _signClaim(uint256 key, bytes32 commitment, uint64 issuedAt) internal pure returns (bytes32, bytes32) {
        bytes32 claim = keccak256("Claim(bytes32 commitment,uint64 issuedAt)");
        return vm.signCompact(key, _typed(keccak256(abi.encode(claim, commitment, issuedAt))));
    }

    function _signClaim(ImageRegistry.Record memory record) internal view returns (bytes32, bytes32) {
        return _signClaim(radiologistKey, record.commitment, record.issuedAt);
    }

    function _signBatch(uint256 key, bytes32 root, uint64 count, uint64 issuedAt)
        internal
        pure
        returns (bytes32, bytes32)
    {
        bytes32 batch = keccak256("Batch(bytes32 root,uint64 count,uint64 issuedAt)");
        return vm.signCompact(key, _typed(keccak256(abi.encode(batch, root, count, issuedAt))));
    }

    function _signBatch(ImageRegistry.Batch memory batch) internal view returns (bytes32, bytes32) {
        return _signBatch(radiologistKey, batch.root, batch.count, batch.issuedAt);
    }

    function _typed(bytes32 structHash) internal pure returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(keccak256("EIP712Domain(string name,string version)"), keccak256("MedWatermark"), keccak256("1"))
        );
        return keccak256(bytes.concat(hex"1901", domain, structHash));
    }

    // --- Steps ---

    function _accredit(address institution, address authority, uint64 from, uint64 until) internal returns (uint256) {
        vm.prank(administrator);
        return registry.accredit(institution, authority, from, until);
    }

    function _endAccreditation() internal {
        vm.prank(administrator);
        registry.endAccreditation(hospital, radiologist, 0);
    }

    function _invalidateSince(uint64 since) internal {
        vm.prank(radiologist);
        registry.invalidateSince(radiologist, since);
    }

    function _register(ImageRegistry.Record memory record) internal returns (bytes32) {
        (bytes32 r, bytes32 vs) = _signClaim(record);
        vm.prank(record.institution);
        return registry.register(record, 0, r, vs);
    }

    /// @dev For what is refused: nothing is called after `vm.expectRevert` but the registry.
    function _registerAndExpect(bytes memory error_, ImageRegistry.Record memory record) internal {
        (bytes32 r, bytes32 vs) = _signClaim(record);
        vm.expectRevert(error_);
        vm.prank(record.institution);
        registry.register(record, 0, r, vs);
    }

    function _registerBatch(ImageRegistry.Record[] memory records) internal returns (ImageRegistry.Batch memory batch) {
        batch = _batch(records);
        (bytes32 r, bytes32 vs) = _signBatch(batch);
        bytes memory tags = _tags(records);
        vm.prank(hospital);
        registry.registerBatch(batch.root, batch.issuedAt, tags, 0, r, vs);
    }

    function _registerBatchAndExpect(bytes memory error_, ImageRegistry.Batch memory batch) internal {
        (bytes32 r, bytes32 vs) = _signBatch(batch);
        vm.expectRevert(error_);
        vm.prank(batch.institution);
        registry.registerBatch(batch.root, batch.issuedAt, new bytes(8 * batch.count), 0, r, vs);
    }

    function _registerFromBatch(ImageRegistry.Record[] memory records, uint64 index) internal returns (bytes32) {
        (bytes32 r, bytes32 vs) = _signClaim(records[index]);
        bytes32[] memory path = MerkleTree.path(_leaves(records), index);
        return registry.registerFromBatch(_batch(records), records[index], index, path, r, vs);
    }

    function _registerFromBatchAndExpect(bytes memory error_, ImageRegistry.Record[] memory records, uint64 index)
        internal
    {
        (bytes32 r, bytes32 vs) = _signClaim(records[index]);
        bytes32[] memory path = MerkleTree.path(_leaves(records), index);
        ImageRegistry.Batch memory batch = _batch(records);
        vm.expectRevert(error_);
        registry.registerFromBatch(batch, records[index], index, path, r, vs);
    }

    // --- Checks ---

    function _assertEntry(bytes32 id, address owner, uint64 registeredAt, ImageRegistry.State state) internal view {
        ImageRegistry.Entry memory kept = registry.entry(id);
        assertEq(kept.owner, owner, "owner");
        assertEq(kept.registeredAt, registeredAt, "time");
        assertEq(uint8(kept.state), uint8(state), "state");
    }

    function _assertNotThere(bytes32 id) internal view {
        _assertEntry(id, address(0), 0, ImageRegistry.State.None);
    }

    function _notAccredited(address institution, address authority) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ImageRegistry.NotAccredited.selector, institution, authority);
    }
}
