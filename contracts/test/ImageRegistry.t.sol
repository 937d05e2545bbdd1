// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {VmSafe} from "forge-std/Vm.sol";
import {ImageRegistry} from "../src/ImageRegistry.sol";
import {ImageRegistryFixture} from "./ImageRegistryFixture.sol";
import {MerkleTree} from "./MerkleTree.sol";

contract ImageRegistryTest is ImageRegistryFixture {
    // --- What other programs compute as well: from eth-account and eth-abi ---

    function test_IdsAreThoseOfOtherPrograms() public view {
        ImageRegistry.Record memory record = ImageRegistry.Record({
            commitment: sha256("commitment"),
            issuedAt: 1_800_864_000,
            tag: bytes8(sha256("tag")),
            voxelRoot: sha256("voxels"),
            packageRoot: sha256("root"),
            chunkCount: 1000,
            contentCommitment: sha256("content"),
            institution: address(0x2222222222222222222222222222222222222222)
        });
        ImageRegistry.Batch memory batch = ImageRegistry.Batch({
            root: sha256("root"),
            count: 3,
            issuedAt: 1_800_864_000,
            institution: address(0x2222222222222222222222222222222222222222),
            authority: radiologist
        });
        ImageRegistry.Copy memory copy = ImageRegistry.Copy({
            number: 7,
            recipient: sha256("recipient"),
            voxelRoot: sha256("voxels"),
            packageRoot: sha256("root"),
            chunkCount: 1000,
            contentCommitment: sha256("content")
        });
        assertEq(registry.recordId(record), 0x7e09e877a6304ce1c78ad76143908e8004c11f00c1f392d09016b41231eff39e);
        assertEq(registry.batchId(batch), 0x6d58d62188a7604c1714da5d974b0c283c8294ecb751b494145fe296f50d703f);
        assertEq(registry.copyHash(copy), 0x8470247df366778ae0f0b152e7db67538d0a7e433f1d7a4043ef4f3a87f53a90);
    }

    function test_AClaimSignedByAnotherProgramIsTaken() public {
        ImageRegistry.Record memory record = _record();
        record.commitment = sha256("commitment");
        record.issuedAt = 1_800_864_000;
        vm.prank(hospital);
        registry.register(
            record,
            0,
            0xa07c64db9d9b7511cec16023456ff7efe86e0528c31fbdb4c073261c16df7062,
            0xc9a318f2ac5db62f747077014894f37160ecc00c2818dd336e2f0b4a2dff9f3b
        );
    }

    function test_ABatchSignedByAnotherProgramIsTaken() public {
        bytes32 root = sha256("root");
        vm.prank(hospital);
        registry.registerBatch(
            root,
            1_800_864_000,
            new bytes(24),
            0,
            0xf18010d61a519be049a9d306e5da06e2e4ed0495afede953da0e2c4d8da92079,
            0x8826fb8ff3719b43fa8f4fcc580a3fa40e6cba54ac9648381acb011d8e1cfbab
        );
    }

    // --- Roles ---

    function test_TheAdministratorHasBothRolesAtFirst() public view {
        assertTrue(registry.hasRole(registry.DEFAULT_ADMIN_ROLE(), administrator));
        assertTrue(registry.hasRole(registry.ACCREDITOR_ROLE(), administrator));
    }

    function test_TheAdministratorSaysWhoAccredits() public {
        bytes32 role = registry.ACCREDITOR_ROLE();
        vm.prank(administrator);
        registry.grantRole(role, stranger);
        vm.prank(stranger);
        registry.accredit(rival, radiologist, FROM, UNTIL);
        vm.prank(administrator);
        registry.revokeRole(role, stranger);
        _expectWithoutRole(stranger);
        vm.prank(stranger);
        registry.accredit(rival, radiologist, FROM, UNTIL);
    }

    function test_WhoOnlyAccreditsDoesNotSayWhoElseDoes() public {
        bytes32 role = registry.ACCREDITOR_ROLE();
        bytes32 adminRole = registry.DEFAULT_ADMIN_ROLE();
        vm.prank(administrator);
        registry.grantRole(role, stranger);
        vm.expectRevert(
            abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, stranger, adminRole)
        );
        vm.prank(stranger);
        registry.grantRole(role, rival);
    }

    // --- Accreditation ---

    function test_AnAccreditationIsKeptAndTold() public {
        vm.expectEmit(address(registry));
        emit ImageRegistry.Accredited(hospital, radiologist, 1, UNTIL, UNTIL + 1);
        assertEq(_accredit(hospital, radiologist, UNTIL, UNTIL + 1), 1);
        ImageRegistry.Period[] memory periods = registry.periodsOf(hospital, radiologist);
        assertEq(periods.length, 2);
        assertEq(periods[0].from, FROM);
        assertEq(periods[0].until, UNTIL);
        assertEq(periods[1].from, UNTIL);
        assertEq(periods[1].until, UNTIL + 1);
        assertEq(registry.periodsOf(rival, radiologist).length, 0);
        assertEq(registry.periodsOf(hospital, stranger).length, 0);
    }

    function testFuzz_OnlyWhoHasTheRoleAccredits(address caller) public {
        vm.assume(caller != administrator);
        _expectWithoutRole(caller);
        vm.prank(caller);
        registry.accredit(hospital, stranger, FROM, UNTIL);
    }

    function testFuzz_OnlyAPeriodThatIsNotEmptyIsKept(uint64 from, uint64 until) public {
        if (from >= until) vm.expectRevert(ImageRegistry.EmptyPeriod.selector);
        _accredit(hospital, stranger, from, until);
        assertEq(registry.periodsOf(hospital, stranger).length, from < until ? 1 : 0);
    }

    function test_APeriodWithoutLengthIsRefused() public {
        vm.expectRevert(ImageRegistry.EmptyPeriod.selector);
        _accredit(hospital, stranger, FROM, FROM);
    }

    function test_AnAccreditationEndsNow() public {
        vm.expectEmit(address(registry));
        emit ImageRegistry.AccreditationEnded(hospital, radiologist, 0, NOW);
        _endAccreditation();
        assertEq(registry.periodsOf(hospital, radiologist)[0].until, NOW);
        _registerAndExpect(_notAccredited(hospital, radiologist), _record());
    }

    function test_WhatWasRegisteredInAPeriodStandsAfterItsEnd() public {
        bytes32 id = _register(_record());
        _endAccreditation();
        _assertEntry(id, hospital, NOW, ImageRegistry.State.Registered);
    }

    function test_APeriodThatIsToComeCanBeEndedBeforeItBegins() public {
        uint256 period = _accredit(hospital, stranger, NOW + 1 days, NOW + 2 days);
        vm.prank(administrator);
        registry.endAccreditation(hospital, stranger, period);
        vm.warp(NOW + 1 days);
        (bytes32 r, bytes32 vs) = _signClaim(strangerKey, _record().commitment, NOW + 1 days);
        ImageRegistry.Record memory record = _record();
        record.issuedAt = NOW + 1 days;
        vm.expectRevert(_notAccredited(hospital, stranger));
        vm.prank(hospital);
        registry.register(record, period, r, vs);
    }

    function testFuzz_OnlyWhoHasTheRoleEndsAnAccreditation(address caller) public {
        vm.assume(caller != administrator);
        _expectWithoutRole(caller);
        vm.prank(caller);
        registry.endAccreditation(hospital, radiologist, 0);
    }

    function testFuzz_AnAccreditationThatIsNotThereIsNotEnded(uint256 period) public {
        vm.assume(period != 0);
        vm.expectRevert(ImageRegistry.NoSuchPeriod.selector);
        vm.prank(administrator);
        registry.endAccreditation(hospital, radiologist, period);
    }

    function test_AnAccreditationIsNotEndedTwice() public {
        _endAccreditation();
        vm.expectRevert(ImageRegistry.EmptyPeriod.selector);
        _endAccreditation();
    }

    function test_AnAccreditationThatRanOutIsNotProlongedByEndingIt() public {
        vm.warp(UNTIL + 1);
        vm.expectRevert(ImageRegistry.EmptyPeriod.selector);
        _endAccreditation();
        assertEq(registry.periodsOf(hospital, radiologist)[0].until, UNTIL);
    }

    // --- A lost key ---

    function test_AKeyIsGoodUntilItIsInvalidated() public view {
        assertEq(registry.invalidSince(radiologist), type(uint64).max);
    }

    function testFuzz_AnAuthorityInvalidatesItsKeySinceAnyTimeThatIsPast(uint64 since) public {
        since = uint64(bound(since, 0, NOW));
        vm.expectEmit(address(registry));
        emit ImageRegistry.Invalidated(radiologist, since);
        _invalidateSince(since);
        assertEq(registry.invalidSince(radiologist), since);
        assertEq(registry.invalidSince(stranger), type(uint64).max);
    }

    function test_AnAccreditorInvalidatesAKeyThatIsGone() public {
        vm.prank(administrator);
        registry.invalidateSince(radiologist, NOW - 1 days);
        assertEq(registry.invalidSince(radiologist), NOW - 1 days);
    }

    function testFuzz_NobodyElseInvalidatesAKey(address caller) public {
        vm.assume(caller != administrator && caller != radiologist);
        vm.expectRevert(ImageRegistry.NotTheAuthority.selector);
        vm.prank(caller);
        registry.invalidateSince(radiologist, NOW);
    }

    function testFuzz_AKeyIsNotInvalidatedSinceATimeToCome(uint64 since) public {
        since = uint64(bound(since, NOW + 1, type(uint64).max));
        vm.expectRevert(abi.encodeWithSelector(ImageRegistry.FromTheFuture.selector, since));
        _invalidateSince(since);
    }

    function testFuzz_TheTimeOfInvalidationOnlyMovesBack(uint64 first, uint64 second) public {
        first = uint64(bound(first, 0, NOW));
        second = uint64(bound(second, 0, NOW));
        _invalidateSince(first);
        if (second >= first) {
            vm.expectRevert(abi.encodeWithSelector(ImageRegistry.AlreadyInvalidated.selector, first));
        }
        _invalidateSince(second);
        assertEq(registry.invalidSince(radiologist), second < first ? second : first);
    }

    function test_AKeyIsNotInvalidatedTwiceSinceTheSameTime() public {
        _invalidateSince(NOW);
        vm.expectRevert(abi.encodeWithSelector(ImageRegistry.AlreadyInvalidated.selector, NOW));
        _invalidateSince(NOW);
    }

    // --- A claim taken back ---

    function test_AnAuthorityTakesAClaimBack() public {
        bytes32 commitment = _record().commitment;
        vm.expectEmit(address(registry));
        emit ImageRegistry.ClaimRevoked(radiologist, commitment);
        vm.prank(radiologist);
        registry.revokeClaim(commitment);
        assertTrue(registry.isClaimRevoked(radiologist, commitment));
        assertFalse(registry.isClaimRevoked(radiologist, _record(1).commitment));
        _registerAndExpect(abi.encodeWithSelector(ImageRegistry.ClaimIsRevoked.selector, commitment), _record());
    }

    function test_AClaimIsNotTakenBackTwice() public {
        bytes32 commitment = _record().commitment;
        vm.startPrank(radiologist);
        registry.revokeClaim(commitment);
        vm.expectRevert(abi.encodeWithSelector(ImageRegistry.ClaimIsRevoked.selector, commitment));
        registry.revokeClaim(commitment);
    }

    function testFuzz_NobodyTakesBackTheClaimOfAnother(address caller) public {
        vm.assume(caller != radiologist);
        vm.prank(caller);
        registry.revokeClaim(_record().commitment);
        assertFalse(registry.isClaimRevoked(radiologist, _record().commitment));
        _register(_record());
    }

    // --- Registration ---

    function test_ARegistrationTellsEveryField() public {
        ImageRegistry.Record memory record = _record();
        vm.expectEmit(address(registry));
        emit ImageRegistry.Registered(
            keccak256(abi.encode(record)),
            record.voxelRoot,
            record.tag,
            record.commitment,
            record.issuedAt,
            record.packageRoot,
            record.chunkCount,
            record.contentCommitment,
            hospital,
            radiologist
        );
        _register(record);
    }

    function test_ARecordIsFoundByVoxelRootAndByTag() public {
        ImageRegistry.Record memory record = _record();
        vm.recordLogs();
        bytes32 id = _register(record);
        bytes32[] memory topics = vm.getRecordedLogs()[0].topics;
        assertEq(topics.length, 4);
        assertEq(topics[1], id);
        assertEq(topics[2], record.voxelRoot);
        assertEq(topics[3], bytes32(record.tag));
    }

    function testFuzz_WhatIsRegisteredStandsUnderTheHashOfItsFields(ImageRegistry.Record memory record) public {
        vm.assume(record.institution != address(0));
        record.issuedAt = uint64(bound(record.issuedAt, FROM, NOW));
        if (record.institution != hospital) _accredit(record.institution, radiologist, FROM, UNTIL);
        bytes32 id = _register(record);
        assertEq(id, keccak256(abi.encode(record)));
        assertEq(id, registry.recordId(record));
        _assertEntry(id, record.institution, NOW, ImageRegistry.State.Registered);
    }

    function testFuzz_AnyOtherFieldMakesAnotherRecord(ImageRegistry.Record memory record, uint256 field, uint256 change)
        public
        view
    {
        bytes32 id = registry.recordId(record);
        field = bound(field, 0, 7);
        // All fields are words in memory, some with room for fewer bits, on the left or on the right.
        uint256 place = field == 2 ? bound(change, 192, 255) : bound(change, 0, 63);
        assembly ("memory-safe") {
            let word := add(record, mul(32, field))
            mstore(word, xor(mload(word), shl(place, 1)))
        }
        assertNotEq(registry.recordId(record), id);
    }

    function testFuzz_AClaimIsTakenIfSignedInThePeriodThatIsNow(
        uint64 from,
        uint64 until,
        uint64 issuedAt,
        uint64 present
    ) public {
        from = uint64(bound(from, 1, 100));
        until = uint64(bound(until, from + 1, 101));
        present = uint64(bound(present, 0, 102));
        issuedAt = uint64(bound(issuedAt, 0, 102));
        uint256 period = _accredit(hospital, radiologist, from, until);
        ImageRegistry.Record memory record = _record();
        record.issuedAt = issuedAt;
        (bytes32 r, bytes32 vs) = _signClaim(record);
        vm.warp(present);
        if (issuedAt > present) {
            vm.expectRevert(abi.encodeWithSelector(ImageRegistry.FromTheFuture.selector, issuedAt));
        } else if (issuedAt < from || present >= until) {
            vm.expectRevert(_notAccredited(hospital, radiologist));
        }
        vm.prank(hospital);
        registry.register(record, period, r, vs);
    }

    function test_OneClaimCanStandInSeveralRecordsOfItsInstitution() public {
        ImageRegistry.Record memory record = _record();
        bytes32 first = _register(record);
        record.packageRoot = keccak256("sealed again");
        bytes32 second = _register(record);
        assertNotEq(first, second);
        _assertEntry(first, hospital, NOW, ImageRegistry.State.Registered);
        _assertEntry(second, hospital, NOW, ImageRegistry.State.Registered);
    }

    function test_ARecordTakesOneSlot() public {
        vm.record();
        _register(_record());
        (, bytes32[] memory written) = vm.accesses(address(registry));
        for (uint256 i = 0; i < written.length; ++i) {
            assertEq(written[i], written[0]);
        }
    }

    function test_ARegistrationCostsAtMost85000Gas() public {
        // Coverage is measured without the optimizer.
        vm.skip(vm.isContext(VmSafe.ForgeContext.Coverage));
        ImageRegistry.Record memory record = _record();
        (bytes32 r, bytes32 vs) = _signClaim(record);
        vm.cool(address(registry));
        vm.prank(hospital);
        registry.register(record, 0, r, vs);
        uint256 execution = vm.lastCallGas().gasTotalUsed;
        bytes memory data = abi.encodeCall(registry.register, (record, 0, r, vs));
        assertLe(_transactionGas(data, execution), 85_000);
    }

    // --- Batches ---

    function test_ABatchIsKeptAndTold() public {
        ImageRegistry.Record[] memory records = _records();
        ImageRegistry.Batch memory batch = _batch(records);
        bytes32 id = keccak256(abi.encode(batch));
        (bytes32 r, bytes32 vs) = _signBatch(batch);
        vm.expectEmit(address(registry));
        emit ImageRegistry.BatchRegistered(
            id, hospital, radiologist, batch.root, uint64(BATCH_SIZE), NOW, _tags(records)
        );
        bytes memory tags = _tags(records);
        vm.prank(hospital);
        assertEq(registry.registerBatch(batch.root, NOW, tags, 0, r, vs), id);
        assertEq(registry.batchId(batch), id);
    }

    function test_EveryRecordOfABatchIsFoundInItAndNowhereElse() public {
        ImageRegistry.Record[] memory records = _records();
        ImageRegistry.Batch memory batch = _registerBatch(records);
        bytes32[] memory leaves = _leaves(records);
        vm.warp(NOW + 1 days);
        for (uint64 i = 0; i < records.length; ++i) {
            for (uint64 j = 0; j < records.length + 3; ++j) {
                bytes32[] memory path = MerkleTree.path(leaves, j);
                assertEq(registry.batchedAt(batch, records[i], j, path), i == j ? NOW : 0);
            }
        }
    }

    function test_ABatchOfAThousandCostsAtMost400GasARecord() public {
        ImageRegistry.Record[] memory records = new ImageRegistry.Record[](1_000);
        for (uint256 i = 0; i < records.length; ++i) {
            records[i] = _record(i);
        }
        bytes32[] memory leaves = _leaves(records);
        ImageRegistry.Batch memory batch = _batch(records);
        (bytes32 r, bytes32 vs) = _signBatch(batch);
        bytes memory tags = _tags(records);
        vm.cool(address(registry));
        vm.prank(hospital);
        registry.registerBatch(batch.root, batch.issuedAt, tags, 0, r, vs);
        uint256 execution = vm.lastCallGas().gasTotalUsed;
        for (uint64 i = 0; i < records.length; i += 111) {
            assertEq(registry.batchedAt(batch, records[i], i, MerkleTree.path(leaves, i)), NOW);
        }
        bytes memory data = abi.encodeCall(registry.registerBatch, (batch.root, batch.issuedAt, tags, 0, r, vs));
        if (!vm.isContext(VmSafe.ForgeContext.Coverage)) {
            assertLe(_transactionGas(data, execution), 400_000);
        }
    }

    function test_ABatchWithoutRecordsIsRefused() public {
        ImageRegistry.Batch memory batch = _batch(_records());
        batch.count = 0;
        _registerBatchAndExpect(abi.encodeWithSelector(ImageRegistry.EmptyBatch.selector), batch);
    }

    function testFuzz_TagsThatAreNotWholeAreRefused(uint256 length) public {
        length = bound(length, 1, 100);
        vm.assume(length % 8 != 0);
        ImageRegistry.Batch memory batch = _batch(_records());
        (bytes32 r, bytes32 vs) = _signBatch(batch);
        vm.expectRevert(ImageRegistry.PartialTag.selector);
        vm.prank(hospital);
        registry.registerBatch(batch.root, batch.issuedAt, new bytes(length), 0, r, vs);
    }

    function testFuzz_ABatchIsTakenIfSignedInThePeriodThatIsNow(uint64 issuedAt, uint64 present) public {
        present = uint64(bound(present, FROM - 2, UNTIL + 2));
        issuedAt = uint64(bound(issuedAt, FROM - 2, UNTIL + 2));
        ImageRegistry.Batch memory batch = _batch(_records());
        batch.issuedAt = issuedAt;
        (bytes32 r, bytes32 vs) = _signBatch(batch);
        bytes memory tags = new bytes(8 * BATCH_SIZE);
        vm.warp(present);
        if (issuedAt > present) {
            vm.expectRevert(abi.encodeWithSelector(ImageRegistry.FromTheFuture.selector, issuedAt));
        } else if (issuedAt < FROM || present >= UNTIL) {
            vm.expectRevert(_notAccredited(hospital, radiologist));
        }
        vm.prank(hospital);
        registry.registerBatch(batch.root, issuedAt, tags, 0, r, vs);
    }

    function testFuzz_ARecordOfABatchGetsAnEntryFromAnyone(address caller, uint64 index, uint64 later) public {
        ImageRegistry.Record[] memory records = _records();
        _registerBatch(records);
        index = uint64(bound(index, 0, BATCH_SIZE - 1));
        later = uint64(bound(later, 0, 1_000 days));
        ImageRegistry.Record memory record = records[index];
        (bytes32 r, bytes32 vs) = _signClaim(record);
        ImageRegistry.Batch memory batch = _batch(records);
        bytes32[] memory path = MerkleTree.path(_leaves(records), index);
        // Neither the end of the accreditation nor of its period undoes what was batched within.
        vm.warp(NOW + later);
        vm.expectEmit(address(registry));
        emit ImageRegistry.Registered(
            registry.recordId(record),
            record.voxelRoot,
            record.tag,
            record.commitment,
            record.issuedAt,
            record.packageRoot,
            record.chunkCount,
            record.contentCommitment,
            hospital,
            radiologist
        );
        vm.prank(caller);
        bytes32 id = registry.registerFromBatch(batch, record, index, path, r, vs);
        assertEq(id, registry.recordId(record));
        _assertEntry(id, hospital, NOW, ImageRegistry.State.Registered);
    }

    function test_ABatchFromBeforeTheInvalidationStandsAndOneFromThenOnDoesNot() public {
        ImageRegistry.Record[] memory records = _records();
        _registerBatch(records);
        vm.warp(NOW + 1 days);
        _invalidateSince(NOW + 1);
        _registerFromBatch(records, 0);
        _invalidateSince(NOW);
        _registerFromBatchAndExpect(
            abi.encodeWithSelector(ImageRegistry.KeyIsInvalidated.selector, radiologist, NOW), records, 1
        );
    }

    function test_ARevokedClaimIsNotTakenFromABatch() public {
        ImageRegistry.Record[] memory records = _records();
        _registerBatch(records);
        vm.prank(radiologist);
        registry.revokeClaim(records[2].commitment);
        _registerFromBatchAndExpect(
            abi.encodeWithSelector(ImageRegistry.ClaimIsRevoked.selector, records[2].commitment), records, 2
        );
    }

    // --- What its owner does with a record ---

    function testFuzz_ACopyIsKeptAndTold(uint32 number) public {
        bytes32 id = _register(_record());
        ImageRegistry.Copy memory copy = _copy(number);
        vm.expectEmit(address(registry));
        emit ImageRegistry.CopyAdded(
            id, copy.voxelRoot, number, copy.recipient, copy.packageRoot, copy.chunkCount, copy.contentCommitment
        );
        vm.prank(hospital);
        registry.addCopy(id, copy);
        assertEq(registry.copyOf(id, number), keccak256(abi.encode(copy)));
        assertEq(registry.copyOf(id, number), registry.copyHash(copy));
        assertEq(registry.copyOf(id, number ^ 1), 0);
    }

    function testFuzz_ANumberOfACopyIsGivenOnce(uint32 number, uint32 other) public {
        vm.assume(number != other);
        bytes32 id = _register(_record());
        bytes32 another = _register(_record(1));
        vm.startPrank(hospital);
        registry.addCopy(id, _copy(number));
        registry.addCopy(id, _copy(other));
        registry.addCopy(another, _copy(number));
        vm.expectRevert(abi.encodeWithSelector(ImageRegistry.CopyExists.selector, number));
        registry.addCopy(id, _copy(number));
    }

    function test_ARecordIsRevoked() public {
        bytes32 id = _register(_record());
        vm.warp(NOW + 1);
        vm.expectEmit(address(registry));
        emit ImageRegistry.Revoked(id);
        vm.prank(hospital);
        registry.revoke(id);
        _assertEntry(id, hospital, NOW, ImageRegistry.State.Revoked);
    }

    function test_ARecordIsHandedOver() public {
        bytes32 id = _register(_record());
        vm.expectEmit(address(registry));
        emit ImageRegistry.OwnershipTransferred(id, hospital, rival);
        vm.prank(hospital);
        registry.transferOwnership(id, rival);
        _assertEntry(id, rival, NOW, ImageRegistry.State.Registered);
        vm.prank(rival);
        registry.revoke(id);
        _assertEntry(id, rival, NOW, ImageRegistry.State.Revoked);
    }

    function test_ARecordIsNotHandedOverToNobody() public {
        bytes32 id = _register(_record());
        vm.expectRevert(ImageRegistry.NoOwner.selector);
        vm.prank(hospital);
        registry.transferOwnership(id, address(0));
    }

    function test_AGrantIsTold() public {
        bytes32 id = _register(_record());
        vm.expectEmit(address(registry));
        emit ImageRegistry.Granted(id, keccak256("recipient"), keccak256("package"));
        vm.prank(hospital);
        registry.grant(id, keccak256("recipient"), keccak256("package"));
    }

    function test_TheWithdrawalOfAGrantIsTold() public {
        bytes32 id = _register(_record());
        vm.expectEmit(address(registry));
        emit ImageRegistry.Withdrawn(id, keccak256("recipient"));
        vm.prank(hospital);
        registry.withdraw(id, keccak256("recipient"));
    }

    function testFuzz_OnlyItsOwnerDoesAnythingWithARecord(address caller) public {
        vm.assume(caller != hospital);
        bytes32 id = _register(_record());
        _expectAllRefused(caller, id, abi.encodeWithSelector(ImageRegistry.NotTheOwner.selector, hospital));
    }

    function test_AFormerOwnerDoesNothingMore() public {
        bytes32 id = _register(_record());
        vm.prank(hospital);
        registry.transferOwnership(id, rival);
        _expectAllRefused(hospital, id, abi.encodeWithSelector(ImageRegistry.NotTheOwner.selector, rival));
    }

    function test_TheAuthorityAndTheAdministratorDoNothingWithARecord() public {
        bytes32 id = _register(_record());
        bytes memory error_ = abi.encodeWithSelector(ImageRegistry.NotTheOwner.selector, hospital);
        _expectAllRefused(radiologist, id, error_);
        _expectAllRefused(administrator, id, error_);
    }

    function test_NothingIsDoneWithARevokedRecord() public {
        bytes32 id = _register(_record());
        vm.prank(hospital);
        registry.revoke(id);
        _expectAllRefused(hospital, id, abi.encodeWithSelector(ImageRegistry.NotRegistered.selector, id));
    }

    function testFuzz_NothingIsDoneWithARecordThatIsNotThere(address caller, bytes32 id) public {
        _assertNotThere(id);
        _expectAllRefused(caller, id, abi.encodeWithSelector(ImageRegistry.NotRegistered.selector, id));
    }

    // --- Parts ---

    function _expectAllRefused(address caller, bytes32 id, bytes memory error_) private {
        vm.startPrank(caller);
        vm.expectRevert(error_);
        registry.addCopy(id, _copy(1));
        vm.expectRevert(error_);
        registry.revoke(id);
        vm.expectRevert(error_);
        registry.transferOwnership(id, caller);
        vm.expectRevert(error_);
        registry.grant(id, keccak256("recipient"), keccak256("package"));
        vm.expectRevert(error_);
        registry.withdraw(id, keccak256("recipient"));
        vm.stopPrank();
    }

    function _expectWithoutRole(address caller) private {
        bytes32 role = registry.ACCREDITOR_ROLE();
        vm.expectRevert(abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, caller, role));
    }

    /// @dev With the calldata's floor of EIP-7623, which is what a batch comes to.
    function _transactionGas(bytes memory data, uint256 execution) private pure returns (uint256) {
        uint256 tokens = 0;
        for (uint256 i = 0; i < data.length; ++i) {
            tokens += data[i] == 0 ? 1 : 4;
        }
        uint256 used = 4 * tokens + execution;
        uint256 least = 10 * tokens;
        return 21_000 + (used > least ? used : least);
    }
}
