// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";
import {ImageRegistry} from "../src/ImageRegistry.sol";
import {ImageRegistryFixture} from "./ImageRegistryFixture.sol";
import {MerkleTree} from "./MerkleTree.sol";

/// @notice Two institutions and two authorities, honest and not, do what they can in any order.
/// @dev What the registry answers is written down beside what it should remember, and never asked of it again.
contract ImageRegistryHandler is ImageRegistryFixture {
    struct Memory {
        address institution;
        address authority;
        address owner;
        uint64 registeredAt;
        bool revoked;
    }

    uint256 private constant CLAIMS = 4;
    uint32 private constant COPIES = 3;

    bytes32[] public ids;
    mapping(bytes32 id => Memory) private _memories;
    mapping(bytes32 id => mapping(uint32 number => bytes32)) public copies;
    mapping(address authority => uint64) public invalidSince;
    mapping(address authority => mapping(bytes32 commitment => bool)) private _revoked;
    mapping(address institution => mapping(address authority => uint64)) private _accreditedUntil;
    mapping(bytes32 batch => uint64) private _batches;
    /// @dev How many answers were other than they should have been.
    uint256 public surprises;
    mapping(bytes4 call => uint256) public successes;

    function setUp() public override {
        super.setUp();
        _accreditedUntil[hospital][radiologist] = UNTIL;
        invalidSince[radiologist] = type(uint64).max;
        invalidSince[stranger] = type(uint64).max;
    }

    // --- What can happen ---

    function pass(uint32 time) external {
        vm.warp(block.timestamp + time % 20 days);
    }

    function accredit(uint256 who, uint256 whom, uint32 length) external {
        (address institution, address authority) = (_institution(who), _authority(whom));
        uint64 until = uint64(block.timestamp) + 1 + length % 200 days;
        if (_accreditedUntil[institution][authority] > block.timestamp) return;
        _accredit(institution, authority, FROM, until);
        _accreditedUntil[institution][authority] = until;
    }

    function endAccreditation(uint256 who, uint256 whom, uint8 chance) external {
        (address institution, address authority) = (_institution(who), _authority(whom));
        if (chance > 50 || _accreditedUntil[institution][authority] <= block.timestamp) return;
        uint256 last = registry.periodsOf(institution, authority).length - 1;
        vm.prank(administrator);
        registry.endAccreditation(institution, authority, last);
        _accreditedUntil[institution][authority] = uint64(block.timestamp);
    }

    /// @dev Seldom, or nothing would be registered any more.
    function invalidateSince(uint256 whom, uint256 caller, uint64 since, uint8 chance) external {
        if (chance > 10) return;
        address authority = _authority(whom);
        since = uint64(bound(since, block.timestamp - 10 days, block.timestamp + 1));
        address by = _anyone(caller);
        bool allowed = (by == authority || by == administrator) && since <= block.timestamp;
        vm.prank(by);
        try registry.invalidateSince(authority, since) {
            _expect(allowed && since < invalidSince[authority], true);
            invalidSince[authority] = since;
        } catch {
            _expect(allowed && since < invalidSince[authority], false);
        }
    }

    function revokeClaim(uint256 whom, uint256 number, uint8 chance) external {
        if (chance > 20) return;
        address authority = _authority(whom);
        bytes32 commitment = _record(number % CLAIMS).commitment;
        vm.prank(authority);
        try registry.revokeClaim(commitment) {
            _revoked[authority][commitment] = true;
        } catch {
            _expect(_revoked[authority][commitment], true);
        }
    }

    function register(uint256 caller, uint256 who, uint256 whom, uint256 number, uint64 ago, uint8 wrong) external {
        ImageRegistry.Record memory record = _recordOf(who, number);
        // Half are those that batches hold as well; one in eight is signed for a time that is to come.
        if (ago % 2 == 0) record.issuedAt = uint64(block.timestamp - ago % 40 days);
        if (wrong % 8 == 0) record.issuedAt = uint64(block.timestamp + 1);
        address authority = _authority(whom);
        (bytes32 r, bytes32 vs) = _signClaim(_key(whom), record.commitment, record.issuedAt);
        // And one in four is sent by somebody.
        address by = wrong % 4 == 1 ? _anyone(caller) : record.institution;
        bytes32 id = keccak256(abi.encode(record));
        bool due = by == record.institution && record.issuedAt <= block.timestamp && record.issuedAt >= FROM
            && _isGood(record.institution, authority) && !_revoked[authority][record.commitment]
            && _memories[id].registeredAt == 0;
        uint256 period = _lastPeriod(record.institution, authority);
        vm.prank(by);
        try registry.register(record, period, r, vs) {
            _expect(due, true);
            _remember(id, record.institution, authority, uint64(block.timestamp));
            ++successes[msg.sig];
        } catch {
            _expect(due, false);
        }
    }

    function registerBatch(uint256 who, uint256 whom, uint256 number) external {
        (ImageRegistry.Batch memory batch, ImageRegistry.Record[] memory records) = _batchOf(who, whom, number);
        (bytes32 r, bytes32 vs) = _signBatch(_key(whom), batch.root, batch.count, batch.issuedAt);
        bytes32 id = keccak256(abi.encode(batch));
        bool due = _isGood(batch.institution, batch.authority) && _batches[id] == 0;
        uint256 period = _lastPeriod(batch.institution, batch.authority);
        bytes memory tags = _tags(records);
        vm.prank(batch.institution);
        try registry.registerBatch(batch.root, batch.issuedAt, tags, period, r, vs) {
            _expect(due, true);
            _batches[id] = uint64(block.timestamp);
            ++successes[msg.sig];
        } catch {
            _expect(due, false);
        }
    }

    function registerFromBatch(uint256 caller, uint256 who, uint256 whom, uint256 number, uint64 index, bool wrong)
        external
    {
        (ImageRegistry.Batch memory batch, ImageRegistry.Record[] memory records) = _batchOf(who, whom, number);
        index %= uint64(records.length);
        bytes32[] memory path = MerkleTree.path(_leaves(records), index);
        ImageRegistry.Record memory record = records[index];
        if (wrong) record.voxelRoot = keccak256("other voxels");
        (bytes32 r, bytes32 vs) = _signClaim(_key(whom), record.commitment, record.issuedAt);
        bool due = !wrong && _isDueFromBatch(batch, record);
        vm.prank(_anyone(caller));
        try registry.registerFromBatch(batch, record, index, path, r, vs) returns (bytes32 id) {
            _expect(due, true);
            _remember(id, batch.institution, batch.authority, _batches[keccak256(abi.encode(batch))]);
            ++successes[msg.sig];
        } catch {
            _expect(due, false);
        }
    }

    function addCopy(uint256 which, uint256 caller, uint32 number, bytes32 recipient) external {
        if (ids.length == 0) return;
        (bytes32 id, address by) = _someones(which, caller);
        ImageRegistry.Copy memory copy = _copy(number % COPIES);
        copy.recipient = recipient;
        bool due = _isOwn(id, by) && copies[id][copy.number] == 0;
        vm.prank(by);
        try registry.addCopy(id, copy) {
            _expect(due, true);
            copies[id][copy.number] = keccak256(abi.encode(copy));
            ++successes[msg.sig];
        } catch {
            _expect(due, false);
        }
    }

    function transferOwnership(uint256 which, uint256 caller, uint256 to) external {
        if (ids.length == 0) return;
        (bytes32 id, address by) = _someones(which, caller);
        bool due = _isOwn(id, by);
        address owner = _anyone(to);
        vm.prank(by);
        try registry.transferOwnership(id, owner) {
            _expect(due, true);
            _memories[id].owner = owner;
            ++successes[msg.sig];
        } catch {
            _expect(due, false);
        }
    }

    function revoke(uint256 which, uint256 caller) external {
        if (ids.length == 0) return;
        (bytes32 id, address by) = _someones(which, caller);
        bool due = _isOwn(id, by);
        vm.prank(by);
        try registry.revoke(id) {
            _expect(due, true);
            _memories[id].revoked = true;
            ++successes[msg.sig];
        } catch {
            _expect(due, false);
        }
    }

    // --- What is remembered ---

    function count() external view returns (uint256) {
        return ids.length;
    }

    function copyNumbers() external pure returns (uint32) {
        return COPIES;
    }

    function remembered(bytes32 id) external view returns (Memory memory) {
        return _memories[id];
    }

    function theRegistry() external view returns (ImageRegistry) {
        return registry;
    }

    function authorities() external view returns (address, address) {
        return (radiologist, stranger);
    }

    // --- Parts ---

    function _remember(bytes32 id, address institution, address authority, uint64 time) private {
        ids.push(id);
        _memories[id] = Memory(institution, authority, institution, time, false);
    }

    function _expect(bool due, bool success) private {
        if (due != success) ++surprises;
    }

    function _isGood(address institution, address authority) private view returns (bool) {
        return block.timestamp < _accreditedUntil[institution][authority] && block.timestamp < invalidSince[authority];
    }

    function _isDueFromBatch(ImageRegistry.Batch memory batch, ImageRegistry.Record memory record)
        private
        view
        returns (bool)
    {
        uint64 batchedAt = _batches[keccak256(abi.encode(batch))];
        return batchedAt != 0 && batchedAt < invalidSince[batch.authority]
            && !_revoked[batch.authority][record.commitment]
            && _memories[keccak256(abi.encode(record))].registeredAt == 0;
    }

    function _isOwn(bytes32 id, address by) private view returns (bool) {
        return _memories[id].owner == by && !_memories[id].revoked;
    }

    function _lastPeriod(address institution, address authority) private view returns (uint256) {
        uint256 periods = registry.periodsOf(institution, authority).length;
        return periods == 0 ? 0 : periods - 1;
    }

    /// @dev Few claims, so that they meet each other; in the hands of either institution.
    function _recordOf(uint256 who, uint256 number) private view returns (ImageRegistry.Record memory record) {
        record = _record(number % CLAIMS);
        record.institution = _institution(who);
    }

    function _batchOf(uint256 who, uint256 whom, uint256 number)
        private
        view
        returns (ImageRegistry.Batch memory batch, ImageRegistry.Record[] memory records)
    {
        records = new ImageRegistry.Record[](2 + number % 2);
        for (uint256 i = 0; i < records.length; ++i) {
            records[i] = _recordOf(who, i);
        }
        batch = _batch(records);
        batch.institution = _institution(who);
        batch.authority = _authority(whom);
    }

    /// @return id Of a record that was registered.
    /// @return by Its owner three times of four, and else anyone.
    function _someones(uint256 which, uint256 caller) private view returns (bytes32 id, address by) {
        id = ids[which % ids.length];
        by = caller % 4 == 0 ? _anyone(caller / 4) : _memories[id].owner;
    }

    function _institution(uint256 seed) private view returns (address) {
        return seed % 2 == 0 ? hospital : rival;
    }

    function _authority(uint256 seed) private view returns (address) {
        return seed % 2 == 0 ? radiologist : stranger;
    }

    function _key(uint256 seed) private view returns (uint256) {
        return seed % 2 == 0 ? radiologistKey : strangerKey;
    }

    function _anyone(uint256 seed) private view returns (address) {
        address[6] memory all = [hospital, rival, radiologist, stranger, administrator, address(0xbad)];
        return all[seed % all.length];
    }
}

contract ImageRegistryInvariantsTest is Test {
    ImageRegistryHandler private handler;
    ImageRegistry private registry;

    function setUp() public {
        handler = new ImageRegistryHandler();
        handler.setUp();
        registry = handler.theRegistry();
        bytes4[] memory selectors = new bytes4[](11);
        selectors[0] = handler.pass.selector;
        selectors[1] = handler.accredit.selector;
        selectors[2] = handler.endAccreditation.selector;
        selectors[3] = handler.invalidateSince.selector;
        selectors[4] = handler.revokeClaim.selector;
        selectors[5] = handler.register.selector;
        selectors[6] = handler.registerBatch.selector;
        selectors[7] = handler.registerFromBatch.selector;
        selectors[8] = handler.addCopy.selector;
        selectors[9] = handler.transferOwnership.selector;
        selectors[10] = handler.revoke.selector;
        targetContract(address(handler));
        targetSelector(FuzzSelector(address(handler), selectors));
    }

    function invariant_NothingIsRegisteredOrChangedButByWhomItShould() public view {
        assertEq(handler.surprises(), 0);
        for (uint256 i = 0; i < handler.count(); ++i) {
            bytes32 id = handler.ids(i);
            assertEq(registry.entry(id).owner, handler.remembered(id).owner);
        }
    }

    function invariant_ARevokedRecordNeverComesBack() public view {
        for (uint256 i = 0; i < handler.count(); ++i) {
            bytes32 id = handler.ids(i);
            bool revoked = registry.entry(id).state == ImageRegistry.State.Revoked;
            assertEq(revoked, handler.remembered(id).revoked);
        }
    }

    function invariant_TheTimeOfAnEntryNeverChangesNorLiesInTheFuture() public view {
        for (uint256 i = 0; i < handler.count(); ++i) {
            bytes32 id = handler.ids(i);
            uint64 registeredAt = registry.entry(id).registeredAt;
            assertEq(registeredAt, handler.remembered(id).registeredAt);
            assertLe(registeredAt, block.timestamp);
        }
    }

    function invariant_ACopyNeverChanges() public view {
        for (uint256 i = 0; i < handler.count(); ++i) {
            bytes32 id = handler.ids(i);
            for (uint32 number = 0; number < handler.copyNumbers(); ++number) {
                assertEq(registry.copyOf(id, number), handler.copies(id, number));
            }
        }
    }

    function invariant_AKeyThatWasInvalidatedStaysSo() public view {
        (address one, address other) = handler.authorities();
        assertEq(registry.invalidSince(one), handler.invalidSince(one));
        assertEq(registry.invalidSince(other), handler.invalidSince(other));
    }

    /// @dev Else the invariants could hold because nothing ever happens.
    function test_WhatTheInvariantsAreHeldAgainstHappens() public {
        for (uint256 i = 0; i < 600; ++i) {
            uint256[6] memory seeds;
            for (uint256 j = 0; j < seeds.length; ++j) {
                seeds[j] = uint256(keccak256(abi.encode(i, j)));
            }
            _step(i % 8, seeds);
        }
        assertGt(handler.successes(handler.register.selector), 0, "register");
        assertGt(handler.successes(handler.registerBatch.selector), 0, "registerBatch");
        assertGt(handler.successes(handler.registerFromBatch.selector), 0, "registerFromBatch");
        assertGt(handler.successes(handler.addCopy.selector), 0, "addCopy");
        assertGt(handler.successes(handler.transferOwnership.selector), 0, "transferOwnership");
        assertGt(handler.successes(handler.revoke.selector), 0, "revoke");
        assertEq(handler.surprises(), 0);
    }

    function _step(uint256 what, uint256[6] memory s) private {
        if (what == 0) handler.pass(uint32(s[0]));
        else if (what == 1) handler.accredit(s[0], s[1], uint32(s[2]));
        else if (what == 2) handler.register(s[0], s[1], s[2], s[3], uint64(s[4]), uint8(s[5]));
        else if (what == 3) handler.registerBatch(s[0], s[1], s[2]);
        else if (what == 4) handler.registerFromBatch(s[0], s[1], s[2], s[3], uint64(s[4]), s[5] % 8 == 0);
        else if (what == 5) handler.addCopy(s[0], s[1], uint32(s[2]), bytes32(s[3]));
        else if (what == 6) handler.transferOwnership(s[0], s[1], s[2]);
        else handler.revoke(s[0], s[1]);
    }
}
