// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {VmSafe} from "forge-std/Vm.sol";
import {ImageRegistry} from "../src/ImageRegistry.sol";
import {ImageRegistryFixture} from "./ImageRegistryFixture.sol";
import {MerkleTree} from "./MerkleTree.sol";

contract ImageRegistryAttacksTest is ImageRegistryFixture {
    // The order of secp256k1.
    uint256 private constant ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;

    // --- Who vouches ---

    function testFuzz_AnUnaccreditedSignerIsRefused(uint256 key) public {
        key = boundPrivateKey(key);
        vm.assume(key != radiologistKey);
        ImageRegistry.Record memory record = _record();
        (bytes32 r, bytes32 vs) = _signClaim(key, record.commitment, record.issuedAt);
        _registerAs(hospital, _notAccredited(hospital, vm.addr(key)), record, r, vs);
    }

    function test_TheAuthorityOfAnotherInstitutionIsRefused() public {
        _accredit(rival, stranger, FROM, UNTIL);
        ImageRegistry.Record memory record = _record();
        (bytes32 r, bytes32 vs) = _signClaim(strangerKey, record.commitment, record.issuedAt);
        _registerAs(hospital, _notAccredited(hospital, stranger), record, r, vs);
    }

    function testFuzz_APeriodThatIsNotThereIsRefused(uint256 period) public {
        vm.assume(period != 0);
        // Another authority's second period lends this one nothing.
        _accredit(hospital, stranger, FROM, UNTIL);
        _accredit(hospital, stranger, FROM, UNTIL);
        ImageRegistry.Record memory record = _record();
        (bytes32 r, bytes32 vs) = _signClaim(record);
        vm.expectRevert(_notAccredited(hospital, radiologist));
        vm.prank(hospital);
        registry.register(record, period, r, vs);
    }

    function test_AnAdministratorWithoutAccreditationVouchesForNothing() public {
        (address chief, uint256 key) = makeAddrAndKey("administrator");
        assertEq(chief, administrator);
        ImageRegistry.Record memory record = _record();
        (bytes32 r, bytes32 vs) = _signClaim(key, record.commitment, record.issuedAt);
        _registerAs(hospital, _notAccredited(hospital, chief), record, r, vs);
    }

    // --- When ---

    function testFuzz_AClaimFromTheFutureIsRefused(uint64 issuedAt) public {
        ImageRegistry.Record memory record = _record();
        record.issuedAt = uint64(bound(issuedAt, NOW + 1, type(uint64).max));
        _registerAndExpect(abi.encodeWithSelector(ImageRegistry.FromTheFuture.selector, record.issuedAt), record);
    }

    function test_AClaimOfThisVeryMomentIsTaken() public {
        ImageRegistry.Record memory record = _record();
        record.issuedAt = NOW;
        _register(record);
    }

    function test_AClaimFromBeforeTheAccreditationIsRefused() public {
        ImageRegistry.Record memory record = _record();
        record.issuedAt = FROM - 1;
        _registerAndExpect(_notAccredited(hospital, radiologist), record);
        record.issuedAt = FROM;
        _register(record);
    }

    function test_TheLastSecondOfAPeriodIsWithinAndTheNextIsNot() public {
        vm.warp(UNTIL - 1);
        _register(_record());
        vm.warp(UNTIL);
        _registerAndExpect(_notAccredited(hospital, radiologist), _record(1));
    }

    function test_AClaimFromAnEarlierPeriodIsRefusedInALaterOne() public {
        _endAccreditation();
        vm.warp(NOW + 10 days);
        uint256 period = _accredit(hospital, radiologist, NOW + 9 days, UNTIL);
        ImageRegistry.Record memory record = _record();
        (bytes32 r, bytes32 vs) = _signClaim(record);
        vm.expectRevert(_notAccredited(hospital, radiologist));
        vm.prank(hospital);
        registry.register(record, period, r, vs);
        _registerAndExpect(_notAccredited(hospital, radiologist), record);
    }

    function test_AClaimFromBetweenTwoPeriodsIsRefused() public {
        _endAccreditation();
        uint256 period = _accredit(hospital, radiologist, NOW + 9 days, UNTIL);
        vm.warp(NOW + 10 days);
        ImageRegistry.Record memory record = _record();
        record.issuedAt = NOW + 5 days;
        (bytes32 r, bytes32 vs) = _signClaim(record);
        vm.expectRevert(_notAccredited(hospital, radiologist));
        vm.prank(hospital);
        registry.register(record, period, r, vs);
    }

    // --- Whose institution ---

    function testFuzz_AClaimIsNotRegisteredInTheNameOfAnotherInstitution(address caller) public {
        vm.assume(caller != hospital);
        ImageRegistry.Record memory record = _record();
        (bytes32 r, bytes32 vs) = _signClaim(record);
        _registerAs(caller, abi.encodeWithSelector(ImageRegistry.NotTheInstitution.selector, hospital), record, r, vs);
        _assertNotThere(registry.recordId(record));
    }

    function test_AClaimIsNotRegisteredByAnInstitutionThatItsSignerIsNotAccreditedFor() public {
        ImageRegistry.Record memory record = _record();
        record.institution = rival;
        (bytes32 r, bytes32 vs) = _signClaim(record);
        _registerAs(rival, _notAccredited(rival, radiologist), record, r, vs);
    }

    function test_ARegistrationThatIsSeenOnItsWayIsNotFrontRun() public {
        ImageRegistry.Record memory record = _record();
        (bytes32 r, bytes32 vs) = _signClaim(record);
        bytes memory seen = abi.encodeCall(registry.register, (record, 0, r, vs));
        vm.prank(rival);
        (bool taken,) = address(registry).call(seen);
        assertFalse(taken);
        vm.prank(hospital);
        (taken,) = address(registry).call(seen);
        assertTrue(taken);
        _assertEntry(registry.recordId(record), hospital, NOW, ImageRegistry.State.Registered);
    }

    function test_EvenAnInstitutionWithTheSameAuthorityDoesNotKeepAnotherFromRegistering() public {
        _accredit(rival, radiologist, FROM, UNTIL);
        ImageRegistry.Record memory stolen = _record();
        stolen.institution = rival;
        bytes32 theirs = _register(stolen);
        bytes32 ours = _register(_record());
        _assertEntry(ours, hospital, NOW, ImageRegistry.State.Registered);
        _assertEntry(theirs, rival, NOW, ImageRegistry.State.Registered);
    }

    function test_OtherVoxelsAreNotAttachedToAClaimByAnother() public {
        ImageRegistry.Record memory record = _record();
        (bytes32 r, bytes32 vs) = _signClaim(record);
        record.voxelRoot = keccak256("other voxels");
        _registerAs(rival, abi.encodeWithSelector(ImageRegistry.NotTheInstitution.selector, hospital), record, r, vs);
    }

    // --- Signatures ---

    function testFuzz_ASignatureOfAnotherCommitmentIsRefused(bytes32 commitment) public {
        ImageRegistry.Record memory record = _record();
        vm.assume(commitment != record.commitment);
        (bytes32 r, bytes32 vs) = _signClaim(record);
        record.commitment = commitment;
        _registerSignedWrong(record, r, vs);
    }

    function testFuzz_ASignatureOfAnotherTimeIsRefused(uint64 issuedAt) public {
        ImageRegistry.Record memory record = _record();
        issuedAt = uint64(bound(issuedAt, FROM, NOW));
        vm.assume(issuedAt != record.issuedAt);
        (bytes32 r, bytes32 vs) = _signClaim(record);
        record.issuedAt = issuedAt;
        _registerSignedWrong(record, r, vs);
    }

    function testFuzz_NoBitOfASignatureCanBeOther(uint256 bit) public {
        ImageRegistry.Record memory record = _record();
        (bytes32 r, bytes32 vs) = _signClaim(record);
        bit = bound(bit, 0, 511);
        if (bit < 256) r ^= bytes32(1 << bit);
        else vs ^= bytes32(1 << (bit - 256));
        vm.prank(hospital);
        (bool taken,) = address(registry).call(abi.encodeCall(registry.register, (record, 0, r, vs)));
        assertFalse(taken);
    }

    function test_ASignatureOfABatchIsNotOneOfAClaim() public {
        ImageRegistry.Record memory record = _record();
        (bytes32 r, bytes32 vs) = _signBatch(radiologistKey, record.commitment, 1, record.issuedAt);
        _registerSignedWrong(record, r, vs);
    }

    function test_ASignatureOfAClaimIsNotOneOfABatch() public {
        bytes32 root = keccak256("root");
        (bytes32 r, bytes32 vs) = _signClaim(radiologistKey, root, NOW);
        vm.expectPartialRevert(ImageRegistry.NotAccredited.selector);
        vm.prank(hospital);
        registry.registerBatch(root, NOW, new bytes(8), 0, r, vs);
    }

    function testFuzz_ASignatureOfABatchHoldsForItsRootCountAndTimeAlone(uint256 field) public {
        ImageRegistry.Batch memory batch = _batch(_records());
        (bytes32 r, bytes32 vs) = _signBatch(batch);
        field = bound(field, 0, 2);
        if (field == 0) batch.root = ~batch.root;
        else if (field == 1) batch.count += 1;
        else batch.issuedAt -= 1;
        vm.expectPartialRevert(ImageRegistry.NotAccredited.selector);
        vm.prank(hospital);
        registry.registerBatch(batch.root, batch.issuedAt, new bytes(8 * batch.count), 0, r, vs);
    }

    function test_ASignatureThatRecoversNobodyIsRefusedEvenWhereNobodyIsAccredited() public {
        _accredit(hospital, address(0), FROM, UNTIL);
        bytes memory error_ = abi.encodeWithSelector(ECDSA.ECDSAInvalidSignature.selector);
        _registerAs(hospital, error_, _record(), 0, 0);
        vm.expectRevert(error_);
        vm.prank(hospital);
        registry.registerBatch(keccak256("root"), NOW, new bytes(8), 0, 0, 0);
    }

    /// @dev The compact form has 255 bits for s, so that almost no s of the upper half fits into it. A forger who makes
    /// the key for the purpose can have one that does: for a chosen s and k, the key is (s·k − hash) / r.
    function testFuzz_AMalleableSignatureIsRefused(uint256 s, uint256 k) public {
        s = bound(s, ORDER / 2 + 1, 2 ** 255 - 1);
        VmSafe.Wallet memory point = vm.createWallet(boundPrivateKey(k));
        ImageRegistry.Record memory record = _record();
        bytes32 claim = keccak256("Claim(bytes32 commitment,uint64 issuedAt)");
        bytes32 hash = _typed(keccak256(abi.encode(claim, record.commitment, record.issuedAt)));
        address forger = vm.addr(
            mulmod(
                addmod(mulmod(s, point.privateKey, ORDER), ORDER - uint256(hash) % ORDER, ORDER),
                Math.invModPrime(point.publicKeyX, ORDER),
                ORDER
            )
        );
        _accredit(hospital, forger, FROM, UNTIL);
        uint256 parity = point.publicKeyY % 2;
        bytes32 r = bytes32(point.publicKeyX);
        assertEq(ecrecover(hash, uint8(27 + parity), r, bytes32(s)), forger, "the curve takes it");
        _registerAs(
            hospital,
            abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureS.selector, bytes32(s)),
            record,
            r,
            bytes32(s | parity << 255)
        );
        // Its twin in the lower half is the one form that is taken.
        vm.prank(hospital);
        registry.register(record, 0, r, bytes32((ORDER - s) | (1 - parity) << 255));
    }

    // --- Again ---

    function test_ASecondRegistrationIsRefused() public {
        ImageRegistry.Record memory record = _record();
        bytes32 id = _register(record);
        bytes memory error_ = abi.encodeWithSelector(ImageRegistry.AlreadyRegistered.selector, id);
        vm.warp(NOW + 1);
        _registerAndExpect(error_, record);
        vm.prank(hospital);
        registry.transferOwnership(id, rival);
        _registerAndExpect(error_, record);
        _assertEntry(id, rival, NOW, ImageRegistry.State.Registered);
    }

    function test_ARevokedRecordDoesNotComeBack() public {
        ImageRegistry.Record[] memory records = _records();
        bytes32 id = _register(records[0]);
        vm.prank(hospital);
        registry.revoke(id);
        bytes memory error_ = abi.encodeWithSelector(ImageRegistry.AlreadyRegistered.selector, id);
        _registerAndExpect(error_, records[0]);
        _registerBatch(records);
        _registerFromBatchAndExpect(error_, records, 0);
        _assertEntry(id, hospital, NOW, ImageRegistry.State.Revoked);
    }

    function test_ABatchIsNotRegisteredAgainToChangeItsTime() public {
        ImageRegistry.Record[] memory records = _records();
        ImageRegistry.Batch memory batch = _registerBatch(records);
        vm.warp(NOW + 1);
        bytes32 id = registry.batchId(batch);
        _registerBatchAndExpect(abi.encodeWithSelector(ImageRegistry.AlreadyRegistered.selector, id), batch);
        assertEq(registry.batchedAt(batch, records[0], 0, MerkleTree.path(_leaves(records), 0)), NOW);
    }

    function test_ARecordOfABatchIsNotEnteredTwice() public {
        ImageRegistry.Record[] memory records = _records();
        _registerBatch(records);
        bytes32 id = _registerFromBatch(records, 3);
        bytes memory error_ = abi.encodeWithSelector(ImageRegistry.AlreadyRegistered.selector, id);
        _registerFromBatchAndExpect(error_, records, 3);
        _registerAndExpect(error_, records[3]);
    }

    // --- A stolen key ---

    function test_AStolenKeyThatDatesBackIsRefused() public {
        _register(_record());
        vm.warp(NOW + 2 days);
        _invalidateSince(NOW + 1 days);
        // Signed by the thief today, and said to be of a time when all was well.
        ImageRegistry.Record memory record = _record(1);
        bytes memory error_ = abi.encodeWithSelector(ImageRegistry.KeyIsInvalidated.selector, radiologist, NOW + 1 days);
        _registerAndExpect(error_, record);
        ImageRegistry.Batch memory batch = _batch(_records());
        _registerBatchAndExpect(error_, batch);
    }

    function test_AKeyThatWasInvalidatedThisSecondIsRefused() public {
        _invalidateSince(NOW);
        _registerAndExpect(abi.encodeWithSelector(ImageRegistry.KeyIsInvalidated.selector, radiologist, NOW), _record());
    }

    function testFuzz_AThiefDoesNotBringAKeyBack(uint64 later) public {
        _invalidateSince(NOW - 1 days);
        vm.warp(NOW + 100 days);
        later = uint64(bound(later, NOW - 1 days, NOW + 100 days));
        bytes memory error_ = abi.encodeWithSelector(ImageRegistry.AlreadyInvalidated.selector, NOW - 1 days);
        vm.expectRevert(error_);
        _invalidateSince(later);
        vm.expectRevert(error_);
        vm.prank(administrator);
        registry.invalidateSince(radiologist, later);
    }

    function test_ANewAccreditationDoesNotBringAKeyBack() public {
        _invalidateSince(NOW);
        uint256 period = _accredit(hospital, radiologist, FROM, UNTIL);
        ImageRegistry.Record memory record = _record();
        (bytes32 r, bytes32 vs) = _signClaim(record);
        vm.expectRevert(abi.encodeWithSelector(ImageRegistry.KeyIsInvalidated.selector, radiologist, NOW));
        vm.prank(hospital);
        registry.register(record, period, r, vs);
    }

    // --- Batches ---

    function testFuzz_ABatchPathOfAnotherRecordIsRefused(uint64 index, uint64 other) public {
        ImageRegistry.Record[] memory records = _records();
        index = uint64(bound(index, 0, BATCH_SIZE - 1));
        other = uint64(bound(other, 0, BATCH_SIZE - 1));
        vm.assume(index != other);
        _registerBatch(records);
        bytes32[] memory path = MerkleTree.path(_leaves(records), other);
        _expectNotInBatch(_batch(records), records[index], other, path);
        _expectNotInBatch(_batch(records), records[index], index, path);
    }

    function test_ARecordThatIsNotInTheBatchIsRefused() public {
        ImageRegistry.Record[] memory records = _records();
        _registerBatch(records);
        bytes32[] memory path = MerkleTree.path(_leaves(records), 1);
        ImageRegistry.Record memory changed = records[1];
        changed.voxelRoot = keccak256("other voxels");
        _expectNotInBatch(_batch(records), changed, 1, path);
    }

    function testFuzz_AnIndexBeyondTheBatchIsRefused(uint64 index) public {
        ImageRegistry.Record[] memory records = _records();
        ImageRegistry.Record[] memory more = new ImageRegistry.Record[](8);
        for (uint256 i = 0; i < more.length; ++i) {
            more[i] = _record(i);
        }
        // The root stands over eight records; the radiologist signed that there are five.
        ImageRegistry.Batch memory batch = _batch(records);
        batch.root = MerkleTree.root(_leaves(more));
        (bytes32 r, bytes32 vs) = _signBatch(batch);
        bytes memory tags = _tags(records);
        vm.prank(hospital);
        registry.registerBatch(batch.root, batch.issuedAt, tags, 0, r, vs);
        index = uint64(bound(index, BATCH_SIZE, 7));
        bytes32[] memory path = MerkleTree.path(_leaves(more), index);
        _expectNotInBatch(batch, more[index], index, path);
        batch.count = 8;
        _expectNotInBatch(batch, more[index], index, path);
    }

    function test_APathOfTheWrongLengthIsRefused() public {
        ImageRegistry.Record[] memory records = _records();
        ImageRegistry.Batch memory batch = _registerBatch(records);
        bytes32[] memory path = MerkleTree.path(_leaves(records), 4);
        bytes32[] memory longer = new bytes32[](path.length + 1);
        bytes32[] memory shorter = new bytes32[](path.length - 1);
        for (uint256 i = 0; i < shorter.length; ++i) {
            (longer[i], shorter[i]) = (path[i], path[i]);
        }
        longer[path.length - 1] = path[path.length - 1];
        _expectNotInBatch(batch, records[4], 4, longer);
        _expectNotInBatch(batch, records[4], 4, shorter);
        _expectNotInBatch(batch, records[4], 4, new bytes32[](0));
    }

    function test_ABatchThatWasNotRegisteredHoldsNothing() public {
        ImageRegistry.Record[] memory records = _records();
        bytes32[] memory path = MerkleTree.path(_leaves(records), 0);
        _expectNotInBatch(_batch(records), records[0], 0, path);
    }

    function test_ARecordOfAnotherInstitutionIsOfNoUseInABatch() public {
        ImageRegistry.Record[] memory records = _records();
        records[2].institution = rival;
        _registerBatch(records);
        _expectNotInBatch(_batch(records), records[2], 2, MerkleTree.path(_leaves(records), 2));
        _registerFromBatch(records, 1);
    }

    function test_ABatchThatIsSeenOnItsWayIsOfNoUseToAnotherInstitution() public {
        _accredit(rival, radiologist, FROM, UNTIL);
        ImageRegistry.Record[] memory records = _records();
        ImageRegistry.Batch memory batch = _batch(records);
        (bytes32 r, bytes32 vs) = _signBatch(batch);
        bytes memory tags = _tags(records);
        vm.prank(rival);
        registry.registerBatch(batch.root, batch.issuedAt, tags, 0, r, vs);
        ImageRegistry.Batch memory theirs = _batch(records);
        theirs.institution = rival;
        _expectNotInBatch(theirs, records[0], 0, MerkleTree.path(_leaves(records), 0));
        _registerBatch(records);
        _registerFromBatch(records, 0);
    }

    function test_ABatchIsNotTheWorkOfAnotherAuthority() public {
        _accredit(hospital, stranger, FROM, UNTIL);
        ImageRegistry.Record[] memory records = _records();
        ImageRegistry.Batch memory batch = _registerBatch(records);
        bytes32[] memory path = MerkleTree.path(_leaves(records), 0);
        // A batch of one authority does not carry the claim of another, accredited as it may be.
        (bytes32 r, bytes32 vs) = _signClaim(strangerKey, records[0].commitment, records[0].issuedAt);
        vm.expectRevert(ImageRegistry.NotInBatch.selector);
        registry.registerFromBatch(batch, records[0], 0, path, r, vs);
        batch.authority = stranger;
        vm.expectRevert(ImageRegistry.NotInBatch.selector);
        registry.registerFromBatch(batch, records[0], 0, path, r, vs);
    }

    function test_AClaimFromAfterItsBatchIsRefused() public {
        ImageRegistry.Record[] memory records = _records();
        records[0].issuedAt = NOW + 1;
        records[1].issuedAt = NOW;
        _registerBatch(records);
        vm.warp(NOW + 1 days);
        _expectNotInBatch(_batch(records), records[0], 0, MerkleTree.path(_leaves(records), 0));
        _registerFromBatch(records, 1);
    }

    function test_AClaimFromBeforeTheAccreditationIsOfNoUseInABatch() public {
        ImageRegistry.Record[] memory records = _records();
        records[0].issuedAt = FROM - 1;
        records[1].issuedAt = FROM;
        _registerBatch(records);
        _expectNotInBatch(_batch(records), records[0], 0, MerkleTree.path(_leaves(records), 0));
        _registerFromBatch(records, 1);
    }

    function test_ABatchOfAnUnaccreditedSignerIsRefused() public {
        ImageRegistry.Batch memory batch = _batch(_records());
        (bytes32 r, bytes32 vs) = _signBatch(strangerKey, batch.root, batch.count, batch.issuedAt);
        vm.expectRevert(_notAccredited(hospital, stranger));
        vm.prank(hospital);
        registry.registerBatch(batch.root, batch.issuedAt, new bytes(8 * BATCH_SIZE), 0, r, vs);
    }

    // --- Parts ---

    function _registerAs(address caller, bytes memory error_, ImageRegistry.Record memory record, bytes32 r, bytes32 vs)
        private
    {
        vm.expectRevert(error_);
        vm.prank(caller);
        registry.register(record, 0, r, vs);
    }

    /// @dev A signature of something else recovers to an address that nobody accredited, and once in 2^128 to none.
    function _registerSignedWrong(ImageRegistry.Record memory record, bytes32 r, bytes32 vs) private {
        vm.expectPartialRevert(ImageRegistry.NotAccredited.selector);
        vm.prank(hospital);
        registry.register(record, 0, r, vs);
        _assertNotThere(registry.recordId(record));
    }

    function _expectNotInBatch(
        ImageRegistry.Batch memory batch,
        ImageRegistry.Record memory record,
        uint64 index,
        bytes32[] memory path
    ) private {
        assertEq(registry.batchedAt(batch, record, index, path), 0);
        (bytes32 r, bytes32 vs) = _signClaim(record);
        vm.expectRevert(ImageRegistry.NotInBatch.selector);
        registry.registerFromBatch(batch, record, index, path, r, vs);
        _assertNotThere(registry.recordId(record));
    }
}
